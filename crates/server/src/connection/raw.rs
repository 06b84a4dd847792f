//! Listeners on which a door is spoken from the first byte.

use std::sync::Arc;

use super::Remote;
use crate::App;
use crate::config::Speaks;
use crate::door;
use crate::stream::Stream;

/// Whether this build speaks that from the first byte; `check` refuses a configuration that asks for another.
pub(crate) fn speaks(speaks: &Speaks) -> bool {
    match speaks {
        Speaks::Http | Speaks::Lines => true,
        Speaks::Stream(_) => false,
    }
}

/// Hands one connection to its door.
pub(super) async fn serve(app: &Arc<App>, speaks: &Speaks, stream: Stream, remote: &Arc<Remote>) {
    match speaks {
        Speaks::Lines => door::lines::raw(app, remote, stream).await,
        Speaks::Http | Speaks::Stream(_) => {
            tracing::error!(?speaks, address = ?remote.address(), "a listener for what is not built in");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn a_listener_for_what_is_not_built_in_is_refused_before_it_listens() {
        let toml = "[listener.raw]\naddress = \"127.0.0.1:1\"\nspeaks = \"stream:echo\"";
        let problems = Config::parse("t", toml).expect_err("a problem").to_string();
        assert!(problems.starts_with("t:3: listener.raw.speaks: this is not built in"), "{problems}");
    }
}
