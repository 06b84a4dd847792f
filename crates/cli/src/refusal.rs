//! Why there is no connection, with the server's answer if it gave one.

use std::fmt::Write as _;

use http::Response;
use trunkline_net::url::WsUrl;
use trunkline_net::{DialCause, Error};

use crate::exit::Failure;
use crate::output;

/// How much of the answer's body is shown. An error page says what it has to say early.
const BODY_BYTES: usize = 1024;

/// Names scheme and host alone: path and query may hold a ticket, and the user name a password.
pub(crate) fn failure(url: &WsUrl, error: Error) -> Failure {
    let why = output::for_terminal(&error.to_string());
    let shown = match &error {
        Error::Request(_) | Error::Url(_) => return Failure::usage(error),
        Error::Handshake(refused) => refused.response.as_ref(),
        Error::Redirect(refused) => Some(&refused.response),
        Error::Dial(failed) => match &failed.cause {
            DialCause::ProxyRefused(response) => Some(&**response),
            // It names the host itself.
            _ => return Failure::unclean(why),
        },
        _ => None,
    };
    let words = format!("cannot connect to {}://{}: {why}", url.scheme(), url.authority());
    Failure::unclean(match shown {
        Some(response) => format!("{words}\n{}", answer(response)),
        None => words,
    })
}

/// Status, headers and the start of the body, none of which can do anything to a terminal.
fn answer(response: &Response<Vec<u8>>) -> String {
    let mut shown = format!("{:?} {}\n", response.version(), response.status());
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        // A `String` takes all that is written to it.
        let _ = writeln!(shown, "{name}: {}", output::for_terminal(&value));
    }
    let body = response.body();
    for line in String::from_utf8_lossy(&body[..body.len().min(BODY_BYTES)]).lines() {
        let _ = write!(shown, "\n{}", output::for_terminal(line));
    }
    if body.len() > BODY_BYTES {
        let _ = write!(shown, "\n...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &[u8]) -> Response<Vec<u8>> {
        let response = Response::builder().status(403).header("x-why", &b"\xc2\x9b31mred\xff"[..]);
        response.body(body.to_vec()).expect("a response")
    }

    #[test]
    fn status_headers_and_body_are_shown_and_cannot_control_a_terminal() {
        let shown = answer(&response(b"one\r\ntwo\x07\n"));
        assert_eq!(shown, "HTTP/1.1 403 Forbidden\nx-why: \\u{9b}31mred\u{fffd}\n\none\ntwo\\u{7}");
    }

    #[test]
    fn a_long_body_is_cut_even_inside_a_character() {
        let body = [&b"x".repeat(BODY_BYTES - 1)[..], "\u{e4}".as_bytes(), b"rest"].concat();
        let shown = answer(&response(&body));
        assert!(shown.ends_with("x\u{fffd}\n..."), "{shown}");
        assert!(!shown.contains("rest"));
    }
}
