//! The URLs of the command line. No error repeats what was given: it may hold a password.

use trunkline_net::url::{UrlError, WsUrl};

/// Of `wss:` and `https:` URLs, wherever one is given.
pub(crate) const NO_TLS: &str = "wss:// and https:// need TLS, which this version does not speak yet";

/// The URL of a WebSocket as a page would read it, so that the http:// that `serve` prints will do.
///
/// # Errors
///
/// In words: no URL, or one that this version cannot connect to.
pub(crate) fn websocket(text: &str) -> Result<WsUrl, String> {
    let url = WsUrl::parse_whatwg(text, None).map_err(|error| match error {
        // Whoever typed no scheme, or only a host and a port, has to know which there are.
        UrlError::Scheme | UrlError::Relative => {
            "the URL begins with ws://, wss://, http:// or https://".to_owned()
        }
        error => error.to_string(),
    })?;
    if url.is_secure() { Err(NO_TLS.to_owned()) } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_read_as_ws() {
        for text in ["ws://127.0.0.1:8101/connect", "http://127.0.0.1:8101/connect"] {
            let url = websocket(text).map(|url| url.to_string());
            assert_eq!(url.as_deref(), Ok("ws://127.0.0.1:8101/connect"), "{text}");
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
    fn tls_is_refused_in_the_same_words_for_both_schemes() {
        for text in ["wss://h/", "https://h/"] {
            assert_eq!(websocket(text), Err(NO_TLS.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_else_is_wrong_with_a_url_is_named() {
        assert_eq!(websocket("ws://h/#x"), Err(UrlError::Fragment.to_string()));
    }
}
