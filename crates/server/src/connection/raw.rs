//! Listeners on which a door is spoken from the first byte.

use std::sync::Arc;

use super::{Remote, proxied};
use crate::App;
use crate::config::Speaks;
use crate::stream::Stream;

/// Whether this build speaks that from the first byte; `check` refuses a configuration that asks for another.
pub(crate) fn speaks(speaks: &Speaks) -> bool {
    match speaks {
        Speaks::Http => true,
        Speaks::Lines | Speaks::Stream(_) => false,
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(app: &Arc<App>, speaks: &Speaks, stream: Stream, remote: &Arc<Remote>) {
    if !proxied::may_be_raw(app, remote) {
        return;
    }
    tracing::error!(?speaks, address = ?remote.address(), "a listener for what is not built in");
    drop(stream);
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn a_listener_for_what_is_not_built_in_is_refused_before_it_listens() {
        for speaks in ["lines", "stream:echo"] {
            let toml = format!("[listener.raw]\naddress = \"127.0.0.1:1\"\nspeaks = \"{speaks}\"");
            let problems = Config::parse("t", &toml).expect_err("a problem").to_string();
            assert!(problems.starts_with("t:3: listener.raw.speaks: this is not built in"), "{problems}");
        }
    }
}
