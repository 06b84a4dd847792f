//! In place of TLS where the `tls` feature is off: a clear word.

use super::{DialCause, Dialled, Protocols};

/// No TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls;

impl Tls {
    /// Says no.
    pub(crate) async fn connect(&self, _: &str, _: Protocols, _: Dialled) -> Result<Dialled, DialCause> {
        Err(DialCause::NoTls)
    }
}
