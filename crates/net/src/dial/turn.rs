//! Whose turn it is: "there MUST be no more than one connection in a CONNECTING state" per host (RFC 6455 section 4.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// What a turn is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// "If multiple connections to the same IP address are attempted simultaneously": whatever name led to it.
    Address(SocketAddr),
    /// Behind a proxy nobody here knows the address: "each host name refers to a distinct remote host" then.
    Name(String),
}

/// Held from before the first packet to the end of the opening handshake.
#[derive(Debug)]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

type Turns = Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>;

static TURNS: LazyLock<Turns> = LazyLock::new(Mutex::default);

/// Waits until no other connection of this process to the same host is between its first packet and the end of its
/// opening handshake. First come, first served; the turn ends when it is dropped.
pub(crate) async fn take(key: Key) -> Turn {
    let turn = {
        // Poisoned only if inserting panicked, which leaves the map whole.
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds or awaits a turn that only the map knows.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key).or_default())
    };
    Turn { _guard: turn.lock_owned().await }
}
