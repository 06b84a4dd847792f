//! The quiet form: what a client says once the server has said who it is, and what it is answered. One JSON object on one line,
//! each way.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest line, its end included: a name, and a ticket or a sentence.
pub const LINE: usize = 4 << 10;

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The name of the service.
    pub service: String,
    /// The ticket, where the service wants one. A secret: `Debug` does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// What it is answered. After [`Ok`](Self::Ok) the bytes are the service's, after [`Error`](Self::Error) there is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The service is there.
    Ok(Ready),
    /// It is not.
    Error(Refused),
}

/// Nothing yet. Whoever reads it ignores what it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {}

/// Why a service is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the server refuses: {message} ({code})")]
pub struct Refused {
    /// The code, one of the hub's dialect: `unauthenticated`, `forbidden`, `unavailable`, ...
    pub code: String,
    /// In words.
    pub message: String,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("service", &self.service).finish_non_exhaustive()
    }
}

/// A line out of `said`, its end included.
pub fn write<T: Serialize>(said: &T) -> Vec<u8> {
    // These types hold strings, and those can always be written.
    let mut line = serde_json::to_vec(said).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The end of the first line in `bytes`, of which all before `looked` was looked at already: how many bytes it has, its line end
/// included. `None` if there is none yet.
///
/// # Errors
///
/// [`TooLong`], once there is no room for an end.
pub fn end_of_line(bytes: &[u8], looked: usize) -> Result<Option<usize>, TooLong> {
    let rest = bytes.get(looked..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) if looked + at < LINE => Ok(Some(looked + at + 1)),
        None if bytes.len() < LINE => Ok(None),
        _ => Err(TooLong),
    }
}

/// A line of more than [`LINE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line has more than {LINE} bytes, its end included")]
pub struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_document() {
        let asked = Asked { service: "echo".into(), ticket: Some("t".into()) };
        assert_eq!(write(&asked), b"{\"service\":\"echo\",\"ticket\":\"t\"}\n");
        assert_eq!(write(&Asked { ticket: None, ..asked }), b"{\"service\":\"echo\"}\n");
        assert_eq!(write(&Answer::Ok(Ready {})), b"{\"ok\":{}}\n");
        let refused = Refused { code: "forbidden".into(), message: "no".into() };
        let line = write(&Answer::Error(refused.clone()));
        assert_eq!(line, b"{\"error\":{\"code\":\"forbidden\",\"message\":\"no\"}}\n");
        let read: Answer = serde_json::from_slice(&line).expect("our own line");
        assert_eq!(read, Answer::Error(refused));
    }

    #[test]
    fn what_is_not_known_yet_is_ignored() {
        let read: Answer = serde_json::from_str(r#"{"ok": {"later": 1}}"#).expect("an answer");
        assert_eq!(read, Answer::Ok(Ready {}));
        let line = r#"{"error": {"code": "x", "message": "", "retry": false}}"#;
        assert!(matches!(serde_json::from_str(line), Ok(Answer::Error(_))));
        let asked: Asked = serde_json::from_str(r#"{"later": [], "service": "x"}"#).expect("a request");
        assert_eq!(asked.service, "x");
    }

    #[test]
    fn a_ticket_is_not_shown() {
        let asked = Asked { service: "echo".into(), ticket: Some("secret".into()) };
        assert!(!format!("{asked:?}").contains("secret"));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_and_of_a_byte_more_none() {
        let line = |length: usize| [vec![b'x'; length - 1], vec![b'\n']].concat();
        assert_eq!(end_of_line(&line(LINE), 0), Ok(Some(LINE)));
        assert_eq!(end_of_line(&line(LINE + 1), 0), Err(TooLong));
        assert_eq!(end_of_line(&vec![b'x'; LINE - 1], 0), Ok(None));
        assert_eq!(end_of_line(&vec![b'x'; LINE], 0), Err(TooLong));
    }

    #[test]
    fn wherever_a_line_is_cut_its_end_is_found_once() {
        let bytes = b"{\"service\":\"echo\"}\nrest\n";
        for cut in 0..bytes.len() {
            let found = match end_of_line(&bytes[..cut], 0).expect("it is short") {
                Some(end) => end,
                None => end_of_line(bytes, cut).expect("it is short").expect("it is there"),
            };
            assert_eq!(&bytes[..found], b"{\"service\":\"echo\"}\n", "cut at {cut}");
        }
    }
}
