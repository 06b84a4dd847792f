//! Extensions (RFC 6455 §9.1) and subprotocols (§1.9): their lists, and the hook through which extensions are agreed on.
//!
//! An extension implements [`Extension`] and is put into [`AcceptPolicy::extensions`](super::AcceptPolicy) or
//! [`ConnectOptions::extensions`](super::ConnectOptions). The handshake asks it; it never parses a header itself. What
//! was agreed on comes out as [`Extensions`], which also tells the connection which RSV bits now have a meaning.

use std::collections::BTreeSet;
use std::fmt;
use std::str;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};

use super::field::{Cursor, is_token, trim_ows};
use super::rejected::{Rejected, Rule};
use super::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};

/// One extension, as either role negotiates it. Stateless: the same value serves every connection.
///
/// The role that it speaks for is told by which method is called.
pub trait Extension: fmt::Debug + Send + Sync {
    /// Its registered name, a token such as `permessage-deflate`. Names have case.
    fn name(&self) -> &str;

    /// The RSV bits to which it gives a meaning. No two extensions of a connection may claim the same (§9.1).
    fn rsv(&self) -> Rsv;

    /// Client: what to offer, best first. Each element is one way to use this extension; none at all offers nothing.
    fn offers(&self) -> Vec<Params>;

    /// Server: judges one offer. The parameters to answer with, or `None` to decline: then the client's next offer is
    /// tried, and if there is none, the connection goes without this extension.
    ///
    /// Parameters that it does not know, and bad values, are reasons to decline and never to fail.
    fn accept(&self, offer: &Params) -> Option<Params>;

    /// Client: judges the server's answer to [`offers`](Self::offers).
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words: the handshake then fails.
    fn confirm(&self, answer: &Params) -> Result<(), String>;
}

/// A set of the three reserved bits of a frame's header (§5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// RSV1, which permessage-deflate claims.
    pub const RSV1: Self = Self(0b100);
    /// RSV2.
    pub const RSV2: Self = Self(0b010);
    /// RSV3.
    pub const RSV3: Self = Self(0b001);

    /// RSV1, RSV2, RSV3 as bits 2, 1, 0: the order that they have in the frame's first byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The bits that are in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a bit is in both.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The parameters of one extension, in their order, repeated ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameter.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With one more parameter that has no value.
    #[must_use]
    pub fn flag(mut self, name: &str) -> Self {
        self.0.push((name.into(), None));
        self
    }

    /// With one more parameter, and its value.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.push((name.into(), Some(value.to_string())));
        self
    }

    /// Each parameter's name and value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One element of `Sec-WebSocket-Extensions`: an extension and its parameters, offered or chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionOffer {
    /// The extension's name.
    pub name: String,
    /// Its parameters.
    pub params: Params,
}

impl ExtensionOffer {
    /// Whether all of it is tokens, so that it can be written into a header.
    pub fn is_well_formed(&self) -> bool {
        is_token(self.name.as_bytes())
            && self.params.iter().all(|(name, value)| {
                is_token(name.as_bytes()) && value.is_none_or(|value| is_token(value.as_bytes()))
            })
    }
}

impl fmt::Display for ExtensionOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in self.params.iter() {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// An extension that is in use on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Its name, and the parameters that the server answered with: they are what both ends go by.
    pub extension: ExtensionOffer,
    /// The RSV bits that it claims.
    pub rsv: Rsv,
}

/// The extensions in use on a connection, in the order of the server's answer, which is the order they apply in (§9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions(Vec<Agreed>);

impl Extensions {
    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Agreed> {
        self.0.iter()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Agreed> {
        self.0.iter().find(|agreed| agreed.extension.name == name)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The RSV bits that have a meaning on this connection. Any other bit fails it (§5.2).
    pub fn rsv(&self) -> Rsv {
        self.0.iter().fold(Rsv::NONE, |all, agreed| all.union(agreed.rsv))
    }

    /// The server's answer; `None` if there is nothing to say.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        header(self.0.iter().map(|agreed| &agreed.extension))
    }

    fn push(&mut self, extension: ExtensionOffer, rsv: Rsv) {
        self.0.push(Agreed { extension, rsv });
    }
}

/// Reads every `Sec-WebSocket-Extensions` line of `headers` as one list (§9.1, erratum 3433), an element at a time.
///
/// # Errors
///
/// [`Rule::ExtensionSyntax`] at the first element that breaks the grammar, after which the iterator ends; also if the
/// header is there and lists nothing.
pub fn parse_extensions(headers: &HeaderMap) -> impl Iterator<Item = Result<ExtensionOffer, Rejected>> {
    let mut values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let present = headers.contains_key(SEC_WEBSOCKET_EXTENSIONS);
    let mut cursor = Cursor::new(b"");
    let mut elements = 0_usize;
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        loop {
            cursor.skip(b" \t,");
            if !cursor.at_end() {
                break;
            }
            match values.next() {
                Some(value) => cursor = Cursor::new(value.as_bytes()),
                None if elements == 0 && present => {
                    failed = true;
                    return Some(Err(Rejected::new(Rule::ExtensionSyntax).got("an empty list")));
                }
                None => return None,
            }
        }
        elements += 1;
        let element = cursor.rest();
        let parsed = extension(&mut cursor).ok_or_else(|| Rejected::new(Rule::ExtensionSyntax).got(element));
        failed = parsed.is_err();
        Some(parsed)
    })
}

/// `extension-token *( ";" extension-param )`, up to the comma after it or the end.
fn extension(cursor: &mut Cursor<'_>) -> Option<ExtensionOffer> {
    let name = cursor.token()?.to_owned();
    let mut params = Vec::new();
    cursor.skip(b" \t");
    while cursor.eat(b';') {
        cursor.skip(b" \t");
        let param = cursor.token()?.to_owned();
        cursor.skip(b" \t");
        let mut value = None;
        if cursor.eat(b'=') {
            cursor.skip(b" \t");
            value = Some(match cursor.token() {
                Some(token) => token.to_owned(),
                None => cursor.quoted_token()?,
            });
            cursor.skip(b" \t");
        }
        params.push((param, value));
    }
    (cursor.at_end() || cursor.eat(b',')).then_some(ExtensionOffer { name, params: Params(params) })
}

/// Reads every `Sec-WebSocket-Protocol` line of a request as one list: `1#token`, in the client's order of preference.
///
/// # Errors
///
/// [`Rule::SubprotocolSyntax`] for what is no token, for a name that comes twice ("MUST all be unique strings", §4.1),
/// and if the header is there and lists nothing.
pub fn parse_subprotocols(headers: &HeaderMap) -> Result<Vec<&str>, Rejected> {
    let refuse = |got: &[u8]| Rejected::new(Rule::SubprotocolSyntax).got(got);
    let mut offered = Vec::new();
    let mut seen = BTreeSet::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let members = value.as_bytes().split(|byte| *byte == b',').map(trim_ows);
        for member in members.filter(|member| !member.is_empty()) {
            let name = str::from_utf8(member).ok().filter(|name| is_token(name.as_bytes()));
            let name = name.ok_or_else(|| refuse(member))?;
            if !seen.insert(name) {
                return Err(refuse(member));
            }
            offered.push(name);
        }
    }
    if offered.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(refuse(b"an empty list"));
    }
    Ok(offered)
}

/// The server's side: for each of its extensions the client's first acceptable offer, in the client's order.
pub(super) fn select(headers: &HeaderMap, ours: &[Arc<dyn Extension>]) -> Result<Extensions, Rejected> {
    let mut agreed = Extensions::default();
    for offer in parse_extensions(headers) {
        let offer = offer?;
        let Some(extension) = ours.iter().find(|extension| extension.name() == offer.name) else { continue };
        let rsv = extension.rsv();
        if agreed.get(&offer.name).is_some() || agreed.rsv().intersects(rsv) {
            continue;
        }
        let answer =
            extension.accept(&offer.params).map(|params| ExtensionOffer { name: offer.name, params });
        // An extension of ours that answers what cannot be written has declined.
        if let Some(answer) = answer.filter(ExtensionOffer::is_well_formed) {
            agreed.push(answer, rsv);
        }
    }
    Ok(agreed)
}

/// The client's side: whether the server chose among the offers, and every choice is one we can go by.
pub(super) fn confirm(headers: &HeaderMap, ours: &[Arc<dyn Extension>]) -> Result<Extensions, Rejected> {
    let mut agreed = Extensions::default();
    for answer in parse_extensions(headers) {
        let answer = answer?;
        let refuse = |rule| Rejected::new(rule).got(answer.to_string());
        let offered =
            ours.iter().find(|extension| extension.name() == answer.name && !extension.offers().is_empty());
        let Some(extension) = offered.filter(|_| agreed.get(&answer.name).is_none()) else {
            return Err(refuse(Rule::UnofferedExtension));
        };
        let rsv = extension.rsv();
        if agreed.rsv().intersects(rsv) {
            return Err(refuse(Rule::ExtensionParams).hint("its RSV bits belong to another extension".into()));
        }
        extension.confirm(&answer.params).map_err(|why| refuse(Rule::ExtensionParams).hint(why))?;
        agreed.push(answer, rsv);
    }
    Ok(agreed)
}

/// Well-formed `offers` as one header value; `None` if there are none.
pub(super) fn header<'o>(offers: impl Iterator<Item = &'o ExtensionOffer>) -> Option<HeaderValue> {
    let list = offers.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(list).ok().filter(|value| !value.is_empty())
}
