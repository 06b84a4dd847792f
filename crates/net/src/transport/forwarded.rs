//! Who asked, as proxies say it in the fields of a request: `Forwarded` (RFC 7239), `X-Forwarded-For`, `-Proto` and `-Host`,
//! `X-Real-IP`. Pure.
//!
//! Every client can write these fields, and nearly every proxy passes on what it does not write itself. So they say something only
//! if the other end of the connection is one's own proxy, which is for the caller to know, and then only from the right: the last
//! entry is what that proxy has seen. If that is another one of one's own, its entry counts as well, and so on; **the first
//! address that is not trusted is the client's**, and what stands left of it anybody may have written.

mod node;
#[cfg(test)]
mod tests;
mod upstream;

pub use upstream::{Verified, set_for_upstream};

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName};
use http::uri::Authority;

use node::Node;

/// `X-Forwarded-For`
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Real-IP`
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Every field that is read here.
const FIELDS: [HeaderName; 5] = [FORWARDED, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_REAL_IP];

/// Which fields are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// `Forwarded`.
    pub forwarded: bool,
    /// `X-Forwarded-For`, and with it `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// `X-Real-IP`: one address, which the last proxy says alone.
    pub x_real_ip: bool,
}

/// What trusted proxies say of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The client. Where they do not know it (`unknown`, `_hidden`) or all are trusted, the last one on the way to it that has an
    /// address; `None` if none has.
    pub client: Option<IpAddr>,
    /// Whether the client came by TLS, if that is said.
    pub secure: Option<bool>,
    /// The host that the client asked for, if that is said.
    pub host: Option<Authority>,
}

/// What a proxy passes on and nobody can read, so that nobody can say who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Not by the grammar of RFC 7239 section 4.
    #[error("Forwarded: {0}")]
    Grammar(&'static str),
    /// An entry that is no address, `unknown`, or a name with an underscore.
    #[error("{field}: {got:?} is no address")]
    Address {
        /// The field.
        field: &'static str,
        /// The entry, at most [`SHOWN`] characters of it.
        got: String,
    },
    /// A host that is none.
    #[error("{0} is no host")]
    Host(&'static str),
    /// A field that has one value, more than once.
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    /// Two of the fields that are read name two clients: one of them is not written by the proxy but passed on.
    #[error("{0} and {1} name different clients")]
    Contradiction(&'static str, &'static str),
}

/// How much of an entry an error repeats.
pub const SHOWN: usize = 64;

/// Whether a request has any of these fields, read or not.
#[must_use]
pub fn says_anything(headers: &HeaderMap) -> bool {
    FIELDS.iter().any(|field| headers.contains_key(field))
}

/// What the fields say that are read, of a request that has come from a trusted proxy; `None` if they say nothing of the client.
///
/// # Errors
/// If they cannot be read as far as they have to be, or contradict each other.
pub fn read(
    headers: &HeaderMap,
    reads: Reads,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<Option<Told>, Unreadable> {
    let mut found: Option<(&'static str, Told)> = None;
    let mut take = |name: &'static str, told: Option<Told>| -> Result<(), Unreadable> {
        let Some(told) = told else { return Ok(()) };
        match &mut found {
            Some((first, known)) if known.client != told.client => {
                return Err(Unreadable::Contradiction(first, name));
            }
            Some((_, known)) => {
                known.secure = known.secure.or(told.secure);
                known.host = known.host.take().or(told.host);
            }
            None => found = Some((name, told)),
        }
        Ok(())
    };
    if reads.forwarded {
        take("Forwarded", by_forwarded(headers, &trusted)?)?;
    }
    if reads.x_forwarded {
        take("X-Forwarded-For", by_x_forwarded(headers, &trusted)?)?;
    }
    if reads.x_real_ip {
        take("X-Real-IP", by_x_real_ip(headers)?)?;
    }
    Ok(found.map(|(_, told)| told))
}

fn by_forwarded(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Result<Option<Told>, Unreadable> {
    let mut elements = Vec::new();
    for value in headers.get_all(FORWARDED) {
        elements.extend(node::elements(value.as_bytes())?);
    }
    if elements.is_empty() {
        return Ok(None);
    }
    let nodes = elements.iter().rev().map(|element| match &element.by_for {
        Some(text) => Node::parse("Forwarded", text),
        None => Ok(Node::Unknown),
    });
    let (client, hops) = walk(nodes, trusted)?;
    let element = &elements[elements.len() - 1 - hops];
    Ok(Some(Told {
        client,
        secure: element.proto.as_deref().and_then(secure),
        host: element.host.as_deref().map(|host| authority("Forwarded", host)).transpose()?,
    }))
}

fn by_x_forwarded(headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> Result<Option<Told>, Unreadable> {
    let entries = entries(headers, &X_FORWARDED_FOR);
    if entries.is_empty() {
        return Ok(None);
    }
    let nodes = entries.iter().rev().map(|entry| Node::parse("X-Forwarded-For", entry));
    let (client, hops) = walk(nodes, trusted)?;
    // One value for all is what most proxies write; with several, each proxy has added its own.
    let beside = |field: &HeaderName| {
        let mut entries = self::entries(headers, field);
        match entries.len() {
            0 | 1 => entries.pop(),
            many => many.checked_sub(1 + hops).map(|place| entries.swap_remove(place)),
        }
    };
    Ok(Some(Told {
        client,
        secure: beside(&X_FORWARDED_PROTO).as_deref().and_then(secure),
        host: beside(&X_FORWARDED_HOST).map(|host| authority("X-Forwarded-Host", &host)).transpose()?,
    }))
}

fn by_x_real_ip(headers: &HeaderMap) -> Result<Option<Told>, Unreadable> {
    let mut entries = entries(headers, &X_REAL_IP);
    if entries.len() > 1 {
        return Err(Unreadable::Repeated("X-Real-IP"));
    }
    let Some(entry) = entries.pop() else { return Ok(None) };
    let client = Node::parse("X-Real-IP", &entry)?.ip();
    Ok(Some(Told { client, secure: None, host: None }))
}

/// From the last entry on: the client, and how many entries are right of its own.
fn walk(
    nodes: impl Iterator<Item = Result<Node, Unreadable>>,
    trusted: impl Fn(IpAddr) -> bool,
) -> Result<(Option<IpAddr>, usize), Unreadable> {
    let (mut nearest, mut hops) = (None, 0);
    for (place, node) in nodes.enumerate() {
        hops = place;
        match node?.ip() {
            Some(ip) => nearest = Some(ip),
            None => break,
        }
        if !nearest.is_some_and(&trusted) {
            break;
        }
    }
    Ok((nearest, hops))
}

/// All entries of a list, over all fields of the name, in their order; empty ones do not count (RFC 9110 section 5.6.1.2).
fn entries(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let entries = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let entries = entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
    entries.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// Whether a scheme is one with TLS; `None` for one that is neither.
fn secure(scheme: &str) -> Option<bool> {
    let is = |known: [&str; 2]| known.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if is(["https", "wss"]) {
        Some(true)
    } else if is(["http", "ws"]) {
        Some(false)
    } else {
        None
    }
}

/// A host as `Host` has it: without a user.
fn authority(field: &'static str, text: &str) -> Result<Authority, Unreadable> {
    let parsed = text.parse::<Authority>().ok();
    parsed.filter(|_| !text.contains('@')).ok_or(Unreadable::Host(field))
}
