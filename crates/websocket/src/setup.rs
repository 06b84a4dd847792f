//! What a connection is made of: limits, what was agreed on in the opening handshake, what is forgiven.

use std::sync::Arc;

use crate::config::Limits;
use crate::deflate::{Agreed, Shelf};
use crate::leniency::Leniency;
use crate::observe::Observer;

/// Everything that [`Connection::new`](crate::Connection::new) is told beside its role. Limits alone will do.
///
/// ```
/// use trunkline_websocket::{Limits, Setup};
/// let limits = Limits { message: 64 * 1024, ..Limits::default() };
/// let setup = Setup { ..Setup::from(limits) };
/// assert!(!setup.leniency.long_lengths);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Every bound of the connection; shared, since many connections have the same.
    pub limits: Arc<Limits>,
    /// What a remote is forgiven; nothing by default.
    pub leniency: Leniency,
    /// permessage-deflate as the opening handshake agreed on it:
    /// [`DeflateConfig::agreed`](crate::deflate::DeflateConfig::agreed). `None` means that it is not in use.
    pub deflate: Option<Agreed>,
    /// Where compressors and decompressors rest that belong to no connection; the driver's affair. `None` makes a new one
    /// each time.
    pub shelf: Option<&'static dyn Shelf>,
    /// Is told of each frame.
    pub observer: Option<Observer>,
}

impl From<Arc<Limits>> for Setup {
    fn from(limits: Arc<Limits>) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl From<Limits> for Setup {
    fn from(limits: Limits) -> Self {
        Arc::new(limits).into()
    }
}
