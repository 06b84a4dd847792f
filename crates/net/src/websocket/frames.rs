//! The log of frames: one line each at debug level under `trunkline_net::frames`, in a span with the connection's id.
//!
//! ```text
//! connection{id=7}: = open role="server"
//! connection{id=7}: < Text 125 fin
//! connection{id=7}: > Text 48 fin deflated
//! connection{id=7}: < Close 1000
//! connection{id=7}: > Close 1000
//! connection{id=7}: = closed_by_remote code=1000 by="remote" clean=true
//! ```
//!
//! `<` came in, `>` went out (was queued), `=` is what became of it. Payloads and close reasons are never logged.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::span::EnteredSpan;
use trunkline_websocket::{Closed, Connection, FrameNote, Role};

/// The target of the log; `RUST_LOG=trunkline_net::frames=debug` turns it on.
const TARGET: &str = "trunkline_net::frames";

/// The first has the number 1.
static LAST: AtomicU64 = AtomicU64::new(0);

/// A number that no other connection of this process has.
pub(super) fn next_id() -> u64 {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Enters the connection's span, which exists only while somebody looks at the log, and has the connection tell of its frames
/// as long as that is so. What it costs otherwise is a look at a number.
pub(super) fn enter(id: u64, connection: &mut Connection, own_observer: bool) -> Option<EnteredSpan> {
    let wanted = tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
    if own_observer {
        connection.observe(wanted.then_some(frame));
    }
    wanted.then(|| span(id))
}

fn span(id: u64) -> EnteredSpan {
    tracing::debug_span!(target: TARGET, "connection", id).entered()
}

pub(super) fn opened(id: u64, role: Role) {
    let _span = span(id);
    let role = if role.is_server() { "server" } else { "client" };
    tracing::debug!(target: TARGET, role, "= open");
}

fn frame(note: &FrameNote) {
    tracing::debug!(target: TARGET, "{note}");
}

pub(super) fn ended(closed: &Closed) {
    tracing::debug!(
        target: TARGET,
        code = closed.code,
        by = closed.by().label(),
        clean = closed.is_clean(),
        rule = closed.rule(),
        "= {}",
        closed.cause.label()
    );
}
