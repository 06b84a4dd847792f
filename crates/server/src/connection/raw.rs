//! Listeners on which a door is spoken from the first byte.

use std::sync::Arc;

use bytes::Bytes;

use super::{Remote, proxied};
use crate::App;
use crate::config::Speaks;
use crate::door;
use crate::stream::Stream;

/// Hands one connection to its door.
pub(super) async fn serve(app: &Arc<App>, speaks: &Speaks, stream: Stream, remote: &Arc<Remote>) {
    if !proxied::may_be_raw(app, remote) {
        return;
    }
    match speaks {
        Speaks::Lines => door::lines::raw(app, remote, stream).await,
        Speaks::Stream(service) => door::stream::mapped(app, remote, stream, Bytes::new(), service).await,
        Speaks::Http => tracing::error!(address = ?remote.address(), "HTTP has a head to be read first"),
    }
}
