//! The URLs of the command line. No error repeats what was given: it may hold a password.

use trunkline_net::url::{UrlError, WsUrl};

/// The URL of a WebSocket as a page would read it, so that the http:// that `serve` prints will do.
///
/// # Errors
///
/// In words: what is wrong with it.
pub(crate) fn websocket(text: &str) -> Result<WsUrl, String> {
    WsUrl::parse_whatwg(text, None).map_err(|error| match error {
        // Whoever typed no scheme, or only a host and a port, has to know which there are.
        UrlError::Scheme | UrlError::Relative => {
            "the URL begins with ws://, wss://, http:// or https://".to_owned()
        }
        error => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_read_as_ws_and_https_as_wss() {
        for (text, read) in [
            ("ws://127.0.0.1:8101/connect", "ws://127.0.0.1:8101/connect"),
            ("http://127.0.0.1:8101/connect", "ws://127.0.0.1:8101/connect"),
            ("wss://h/", "wss://h/"),
            ("https://h:443/connect", "wss://h/connect"),
        ] {
            let url = websocket(text).map(|url| url.to_string());
            assert_eq!(url.as_deref(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_absolute_url_is_told_how_one_begins() {
        for text in ["", "nonsense", "127.0.0.1:9001", "localhost:9001", "/connect", "ftp://h/"] {
            let why = websocket(text).expect_err(text);
            assert_eq!(why, "the URL begins with ws://, wss://, http:// or https://", "{text}");
        }
    }

    #[test]
    fn what_else_is_wrong_with_a_url_is_named() {
        assert_eq!(websocket("ws://h/#x"), Err(UrlError::Fragment.to_string()));
    }
}
