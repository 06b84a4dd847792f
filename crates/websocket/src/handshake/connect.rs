//! The client's side (RFC 6455 §4.1): [`request`] asks, [`Attempt::verify`] judges the answer.

use std::str;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, ORIGIN, UPGRADE};
use http::{Request, Response, StatusCode, Uri, Version};

use super::field::{Single, declared_body, is_token, list_contains, single};
use super::misuse::Misuse;
use super::negotiate::{self, Extension, ExtensionOffer, Extensions};
use super::origin::Origin;
use super::rejected::{Rejected, Rule};
use super::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, accept_value, is_reserved,
};
use crate::leniency::Leniency;
use crate::url::WsUrl;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// The subprotocols to offer, best first.
    pub subprotocols: Vec<String>,
    /// Whether to fail if the server chooses none of those offered, as browsers do. RFC 6455 allows it to.
    pub require_subprotocol: bool,
    /// Headers of the application, such as `Cookie` or `Authorization`. None that the handshake itself sets.
    pub headers: HeaderMap,
    /// The origin to send, such as `https://example.com`. Only what runs on behalf of a page has one.
    pub origin: Option<String>,
    /// Whether to send the URL's user name and password as Basic authorization (RFC 7617). Off unless asked for: a
    /// URL travels further than a password should.
    pub authorization_from_url: bool,
    /// The extensions to offer, best first.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// What a server is forgiven; nothing by default. It is about frames only, so whoever drives the connection hands it on
    /// to its [`Setup`](crate::Setup).
    pub leniency: Leniency,
}

/// A handshake under way: the request to send, and what its answer must be.
#[derive(Clone, Debug)]
pub struct Attempt {
    request: Request<()>,
    accept: String,
    offer: Offer,
}

/// Proof that the answer passed every check: only [`Attempt::verify`] and
/// [`Http2Attempt::verify`](super::Http2Attempt::verify) make one.
#[derive(Clone, Debug)]
pub struct Established {
    response: Response<()>,
    subprotocol: Option<String>,
    extensions: Extensions,
}

/// Makes the request for a WebSocket at `url`.
///
/// `key` is 16 bytes "selected randomly for each connection" (§4.1): fresh ones, from the caller's generator. Write the
/// request with [`http1::write_request`](super::http1::write_request); send nothing more until
/// [`Attempt::verify`] has passed: there are proxies that lose early bytes.
///
/// # Errors
///
/// What in `options` cannot be sent.
pub fn request(url: &WsUrl, options: &ConnectOptions, key: [u8; 16]) -> Result<Attempt, Misuse> {
    let key = STANDARD.encode(key);
    let mut headers = HeaderMap::with_capacity(8 + options.headers.len());
    headers.insert(
        HOST,
        HeaderValue::try_from(url.authority()).expect("a parsed host is ASCII without controls"),
    );
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).expect("base64 is ASCII without controls"));
    let offer = Offer::write(&mut headers, url, options)?;

    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(url.resource().clone());
    *request.headers_mut() = headers;
    Ok(Attempt { request, accept: accept_value(&key), offer })
}

impl Attempt {
    /// The request to send.
    pub const fn request(&self) -> &Request<()> {
        &self.request
    }

    /// Judges the server's final answer (§4.1, second list). What follows a 101 that passed are frames; what follows
    /// any other response is its body, which the driver may attach to the error.
    ///
    /// # Errors
    ///
    /// [`Rule::NotSwitching`] for a status other than 101, which is HTTP's business (401, 503, a redirect): the
    /// caller finds status and headers in [`Rejected::received`]. Else the first rule that the server broke.
    pub fn verify<B>(&self, response: &Response<B>) -> Result<Established, Rejected> {
        self.judge(response.status(), response.version(), response.headers())
            .map_err(|rejected| rejected.of_response(response))
    }

    fn judge(
        &self,
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Established, Rejected> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Rejected::new(Rule::NotSwitching).got(status.to_string()));
        }
        if version != Version::HTTP_11 {
            return Err(Rejected::new(Rule::HttpVersion).got(format!("{version:?}")));
        }
        check_upgrade(headers)?;
        self.check_accept(headers)?;
        // "A server MUST NOT send" either in a 1xx (RFC 9110 §8.6, RFC 9112 §6.1): somebody in between may wait for it.
        if let Some(body) = declared_body(headers) {
            return Err(Rejected::new(Rule::Body).got(body));
        }
        self.offer.confirm(status, headers)
    }

    /// "Ignoring any leading and trailing whitespace" (§4.1).
    fn check_accept(&self, headers: &HeaderMap) -> Result<(), Rejected> {
        let rejected = Rejected::new(Rule::Accept);
        match single(headers, &SEC_WEBSOCKET_ACCEPT) {
            Single::One(value) if value == self.accept.as_bytes() => Ok(()),
            Single::One(value) => Err(rejected.got(value)),
            Single::None => Err(rejected.got("none")),
            Single::Several(count) => Err(rejected.got(format!("{count} Sec-WebSocket-Accept fields"))),
        }
    }
}

impl Established {
    /// The server's response, for its headers.
    pub const fn response(&self) -> &Response<()> {
        &self.response
    }

    /// The subprotocol that the server chose.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The extensions that the server chose.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// What a client asks for in every HTTP version, and so what the answer may choose from.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    subprotocols: Vec<String>,
    require_subprotocol: bool,
    extensions: Vec<Arc<dyn Extension>>,
}

impl Offer {
    /// Writes version, origin, subprotocols, extensions, authorization and the application's headers.
    pub(super) fn write(
        headers: &mut HeaderMap,
        url: &WsUrl,
        options: &ConnectOptions,
    ) -> Result<Self, Misuse> {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        write_origin(headers, options)?;
        for (name, value) in [
            (SEC_WEBSOCKET_PROTOCOL, subprotocols(options)?),
            (SEC_WEBSOCKET_EXTENSIONS, extensions(options)?),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        write_own(headers, url, options)?;
        Ok(Self {
            subprotocols: options.subprotocols.clone(),
            require_subprotocol: options.require_subprotocol,
            extensions: options.extensions.clone(),
        })
    }

    /// What the server chose, if it may choose that.
    pub(super) fn confirm(&self, status: StatusCode, headers: &HeaderMap) -> Result<Established, Rejected> {
        let extensions = negotiate::confirm(headers, &self.extensions)?;
        let subprotocol = self.chosen_subprotocol(headers)?;
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone();
        Ok(Established { response, subprotocol, extensions })
    }

    fn chosen_subprotocol(&self, headers: &HeaderMap) -> Result<Option<String>, Rejected> {
        let value = match single(headers, &SEC_WEBSOCKET_PROTOCOL) {
            Single::One(value) => value,
            Single::Several(count) => {
                let got = format!("{count} Sec-WebSocket-Protocol fields");
                return Err(Rejected::new(Rule::SubprotocolSyntax).got(got));
            }
            Single::None if self.require_subprotocol && !self.subprotocols.is_empty() => {
                return Err(Rejected::new(Rule::NoSubprotocol).got("none"));
            }
            Single::None => return Ok(None),
        };
        if !is_token(value) {
            return Err(Rejected::new(Rule::SubprotocolSyntax).got(value));
        }
        match self.subprotocols.iter().find(|offered| offered.as_bytes() == value) {
            Some(chosen) => Ok(Some(chosen.clone())),
            None => Err(Rejected::new(Rule::UnofferedSubprotocol).got(value)),
        }
    }
}

/// Writes what is of no protocol's own: origin, authorization and the application's headers.
pub(super) fn write_options(
    headers: &mut HeaderMap,
    url: &WsUrl,
    options: &ConnectOptions,
) -> Result<(), Misuse> {
    write_origin(headers, options)?;
    write_own(headers, url, options)
}

fn write_origin(headers: &mut HeaderMap, options: &ConnectOptions) -> Result<(), Misuse> {
    if let Some(origin) = origin(options)? {
        headers.insert(ORIGIN, origin);
    }
    Ok(())
}

/// Authorization and the application's headers, which come last.
fn write_own(headers: &mut HeaderMap, url: &WsUrl, options: &ConnectOptions) -> Result<(), Misuse> {
    // A header that the application sets is the more deliberate of the two.
    let from_url = options.authorization_from_url && !options.headers.contains_key(AUTHORIZATION);
    if let Some(userinfo) = url.userinfo().filter(|_| from_url) {
        headers.insert(AUTHORIZATION, basic_authorization(userinfo)?);
    }
    add_headers(headers, &options.headers)
}

/// `Upgrade` is "websocket" and nothing else; `Connection` "contains a token" upgrade among others (§4.1).
fn check_upgrade(headers: &HeaderMap) -> Result<(), Rejected> {
    match single(headers, &UPGRADE) {
        Single::One(value) if value.eq_ignore_ascii_case(b"websocket") => {}
        Single::One(value) => return Err(Rejected::new(Rule::Upgrade).got(value)),
        Single::None => return Err(Rejected::new(Rule::Upgrade).got("none")),
        Single::Several(count) => {
            return Err(Rejected::new(Rule::Upgrade).got(format!("{count} Upgrade fields")));
        }
    }
    match list_contains(headers, &CONNECTION, "upgrade") {
        Ok(true) => Ok(()),
        Ok(false) => {
            let first = headers.get(CONNECTION).map_or(&b"none"[..], HeaderValue::as_bytes);
            Err(Rejected::new(Rule::Connection).got(first))
        }
        Err(bad) => Err(Rejected::new(Rule::Connection).got(bad.0)),
    }
}

fn origin(options: &ConnectOptions) -> Result<Option<HeaderValue>, Misuse> {
    let Some(origin) = &options.origin else { return Ok(None) };
    // A page without an origin of its own says so (RFC 6454 §6.2).
    let valid = origin == "null" || Origin::parse(origin).is_some();
    let value = HeaderValue::from_str(origin).ok().filter(|_| valid);
    value.map(Some).ok_or_else(|| Misuse::Origin(origin.clone()))
}

fn subprotocols(options: &ConnectOptions) -> Result<Option<HeaderValue>, Misuse> {
    for (index, name) in options.subprotocols.iter().enumerate() {
        if !is_token(name.as_bytes()) {
            return Err(Misuse::Subprotocol(name.clone()));
        }
        if options.subprotocols[..index].contains(name) {
            return Err(Misuse::SubprotocolTwice(name.clone()));
        }
    }
    let list = HeaderValue::try_from(options.subprotocols.join(", "));
    Ok(list.ok().filter(|list| !list.is_empty()))
}

fn extensions(options: &ConnectOptions) -> Result<Option<HeaderValue>, Misuse> {
    let mut offers = Vec::new();
    for extension in &options.extensions {
        for params in extension.offers() {
            let offer = ExtensionOffer { name: extension.name().to_owned(), params };
            if !offer.is_well_formed() {
                return Err(Misuse::Extension(offer.to_string()));
            }
            offers.push(offer);
        }
    }
    Ok(negotiate::header(offers.iter()))
}

fn add_headers(headers: &mut HeaderMap, more: &HeaderMap) -> Result<(), Misuse> {
    for (name, value) in more {
        if is_reserved(name) {
            return Err(Misuse::ReservedHeader(name.clone()));
        }
        headers.try_append(name, value.clone()).map_err(|_| Misuse::TooManyHeaders)?;
    }
    Ok(())
}

/// `Basic` and the base64 of `user:password` (RFC 7617 §2), without the URL's percent-encoding.
fn basic_authorization(userinfo: &str) -> Result<HeaderValue, Misuse> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let user = percent_decode(user);
    let password = percent_decode(password);
    if user.contains(&b':') || user.iter().chain(&password).any(u8::is_ascii_control) {
        return Err(Misuse::Userinfo);
    }
    let credentials = STANDARD.encode([&user[..], b":", &password[..]].concat());
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).map_err(|_| Misuse::Userinfo)?;
    value.set_sensitive(true);
    Ok(value)
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| byte == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                rest = &tail[2..];
            }
            None => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    decoded
}
