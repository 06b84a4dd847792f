//! One entry: an address, or why there is none; and the grammar of `Forwarded` (RFC 7239 sections 4 and 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{SHOWN, Unreadable};

/// Whom a proxy has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// An address; `::ffff:192.0.2.1` is 192.0.2.1. Its port, if there was one, says nothing that is needed.
    Ip(IpAddr),
    /// `unknown`, or a name that hides it: `_secret`.
    Unknown,
}

/// One element of `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) by_for: Option<String>,
    pub(super) proto: Option<String>,
    pub(super) host: Option<String>,
}

impl Node {
    /// An entry of any of the fields: IPv4 with or without a port; IPv6 bare, or in brackets with or without a port.
    pub(super) fn parse(field: &'static str, text: &str) -> Result<Node, Unreadable> {
        let unreadable = || {
            let got = text.chars().take(SHOWN).collect();
            Unreadable::Address { field, got }
        };
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Ok(Node::Ip(IpAddr::V6(ip).to_canonical()));
        }
        let (name, port) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((v6, "")) => (v6, None),
            Some((v6, port)) => (v6, Some(port.strip_prefix(':').ok_or_else(unreadable)?)),
            None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        if !port.is_none_or(is_port) {
            return Err(unreadable());
        }
        if text.starts_with('[') {
            let ip = name.parse::<Ipv6Addr>().map_err(|_| unreadable())?;
            return Ok(Node::Ip(IpAddr::V6(ip).to_canonical()));
        }
        if name.eq_ignore_ascii_case("unknown") || name.strip_prefix('_').is_some_and(is_obfuscated) {
            return Ok(Node::Unknown);
        }
        name.parse::<Ipv4Addr>().map(|ip| Node::Ip(ip.into())).map_err(|_| unreadable())
    }

    /// The address, if it is known.
    pub(super) fn ip(self) -> Option<IpAddr> {
        match self {
            Node::Ip(ip) => Some(ip),
            Node::Unknown => None,
        }
    }
}

/// A number, or a name that hides it.
fn is_port(port: &str) -> bool {
    let number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    number || port.strip_prefix('_').is_some_and(is_obfuscated)
}

/// What is behind the underscore: `1*( ALPHA / DIGIT / "." / "_" / "-")`
fn is_obfuscated(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}

/// The elements of one field. Blanks around semicolons are forgiven, and colons and brackets without quotes: they are written,
/// and mean one thing only.
pub(super) fn elements(value: &[u8]) -> Result<Vec<Element>, Unreadable> {
    let mut scanner = Scanner { rest: value };
    let mut elements = Vec::new();
    loop {
        let mut element = Element::default();
        let mut said = false;
        loop {
            scanner.blanks();
            if let Some(name) = scanner.name() {
                said = true;
                let value = scanner.value()?;
                element.set(name, value)?;
                scanner.blanks();
            }
            if !scanner.skip(b';') {
                break;
            }
        }
        if said {
            elements.push(element);
        }
        if scanner.rest.is_empty() {
            return Ok(elements);
        }
        if !scanner.skip(b',') {
            return Err(Unreadable::Grammar("pairs are separated by semicolons and elements by commas"));
        }
    }
}

impl Element {
    /// Parameters that are not known are passed over (section 4: extensions).
    fn set(&mut self, name: &[u8], value: String) -> Result<(), Unreadable> {
        let place = match name.to_ascii_lowercase().as_slice() {
            b"for" => &mut self.by_for,
            b"proto" => &mut self.proto,
            b"host" => &mut self.host,
            _ => return Ok(()),
        };
        // "Each parameter MUST NOT occur more than once per field-value."
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Unreadable::Grammar("a parameter is there twice in one element")),
        }
    }
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn skip(&mut self, byte: u8) -> bool {
        let rest = self.rest.strip_prefix(&[byte]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let name = self.while_(is_token);
        (!name.is_empty()).then_some(name)
    }

    fn value(&mut self) -> Result<String, Unreadable> {
        if !self.skip(b'=') {
            return Err(Unreadable::Grammar("a parameter without a value"));
        }
        if self.skip(b'"') {
            return self.quoted();
        }
        let value = self.while_(|byte| is_token(byte) || matches!(byte, b':' | b'[' | b']'));
        if value.is_empty() {
            return Err(Unreadable::Grammar("a parameter without a value"));
        }
        Ok(String::from_utf8_lossy(value).into_owned())
    }

    /// What is behind the first quote, up to the second; a backslash stands before any byte that is meant as it is.
    fn quoted(&mut self) -> Result<String, Unreadable> {
        let mut value = Vec::new();
        loop {
            match *self.rest {
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    return Ok(String::from_utf8_lossy(&value).into_owned());
                }
                [b'\\', byte, ref rest @ ..] => {
                    value.push(byte);
                    self.rest = rest;
                }
                [byte, ref rest @ ..] if byte != b'\\' => {
                    value.push(byte);
                    self.rest = rest;
                }
                _ => return Err(Unreadable::Grammar("a quoted string without an end")),
            }
        }
    }

    fn while_(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !wanted(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
