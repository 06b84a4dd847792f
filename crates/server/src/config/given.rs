//! One value as it was given, and the readers that turn it into what a setting wants or say what was expected.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A value from a file, typed as TOML types it, or a text from the environment or a flag, which is read as whatever
/// the setting wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// From the environment or a flag.
    Words(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Given>),
    /// Something that no setting takes: a date, a table.
    Other(&'static str),
}

/// What was expected, in words that follow "expected".
pub(super) type Expected = String;

impl Given {
    /// What it is, for a message: a number itself, but never a text, which may be a secret in the wrong place.
    pub(super) fn found(&self) -> String {
        match self {
            Given::Words(_) | Given::Text(_) => "a string".to_owned(),
            Given::Integer(number) => number.to_string(),
            Given::Float(number) => number.to_string(),
            Given::Bool(value) => value.to_string(),
            Given::List(_) => "a list".to_owned(),
            Given::Other(kind) => (*kind).to_owned(),
        }
    }

    pub(super) fn text(&self) -> Result<&str, Expected> {
        match self {
            Given::Words(text) | Given::Text(text) => Ok(text),
            _ => Err("a string".into()),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Expected> {
        match self {
            Given::Bool(value) => Ok(*value),
            Given::Words(text) if text == "true" || text == "1" => Ok(true),
            Given::Words(text) if text == "false" || text == "0" => Ok(false),
            _ => Err("true or false".into()),
        }
    }

    /// A whole number within `range`.
    pub(super) fn count<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Result<T, Expected> {
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        let number = match self {
            Given::Integer(number) => u64::try_from(*number).ok(),
            Given::Words(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(expected)
    }

    /// A number of bytes within `range`: a whole number, or a text such as `"64 KiB"`.
    pub(super) fn bytes(&self, range: RangeInclusive<u64>) -> Result<usize, Expected> {
        let number = match self {
            Given::Integer(number) => u64::try_from(*number).ok(),
            Given::Words(text) | Given::Text(text) => parse_bytes(text),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| {
                format!("a number of bytes from {} to {}, such as \"64 KiB\"", range.start(), range.end())
            })
    }

    /// A number of seconds within `range`, with or without a fraction.
    pub(super) fn seconds(&self, range: RangeInclusive<f64>) -> Result<Duration, Expected> {
        let number = match self {
            Given::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            Given::Float(number) => Some(*number),
            Given::Words(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .and_then(|number| Duration::try_from_secs_f64(number).ok())
            .ok_or_else(|| format!("a number of seconds from {} to {}", range.start(), range.end()))
    }

    /// A list of texts; one text stands for a list of one, and words are separated by commas.
    pub(super) fn list(&self) -> Result<Vec<&str>, Expected> {
        match self {
            Given::Words(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            }
            Given::Text(text) => Ok(vec![text]),
            Given::List(items) => items
                .iter()
                .map(|item| match item {
                    Given::Text(text) => Ok(text.as_str()),
                    _ => Err("a list of strings".into()),
                })
                .collect(),
            _ => Err("a list of strings".into()),
        }
    }

    /// Paths of files: one or a list.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Expected> {
        Ok(self.list()?.into_iter().map(PathBuf::from).collect())
    }

    /// Socket addresses, `127.0.0.1:8101` or `[::1]:8101`. No name but `localhost` is taken, and none is resolved: what
    /// is listened on must not depend on what a resolver says today.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, Expected> {
        let list = self.list()?;
        list.into_iter()
            .map(|item| {
                let address = match item.strip_prefix("localhost:") {
                    Some(port) => format!("127.0.0.1:{port}").parse(),
                    None => item.parse(),
                };
                address.map_err(|_| format!("an IP address and port such as 127.0.0.1:8101, not {item:?}"))
            })
            .collect()
    }

    /// One of the names in `choices`.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Expected> {
        let found = self.text().ok().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            names.join(" or ")
        })
    }
}

/// `65536`, `64KiB`, `1 MiB`.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim_start() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
