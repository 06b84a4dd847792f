//! The grammar of RFC 6455 §3: `scheme "://" [userinfo "@"] host [":" port] path ["?" query]`.

use super::authority::{Authority, BadAuthority, is_unreserved};
use super::{UrlError, WsUrl};

pub(super) fn parse(input: &str) -> Result<WsUrl, UrlError> {
    let (secure, rest) = scheme(input)?;
    // "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used on these URIs."
    if rest.contains('#') {
        return Err(UrlError::Fragment);
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (userinfo, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
    if bad_position(userinfo, |byte| byte == b':').is_some() {
        return Err(UrlError::Userinfo);
    }
    let Authority { host, port } = Authority::parse(authority).map_err(|bad| match bad {
        BadAuthority::Host => UrlError::Host,
        BadAuthority::Port => UrlError::Port,
    })?;
    if let Some(error) = first_bad(target) {
        return Err(error);
    }
    WsUrl::new(secure, host, port, &resource_name(target), userinfo)
}

/// What comes after `ws://` or `wss://`; "the scheme is case-insensitive" (RFC 3986 §3.1).
fn scheme(input: &str) -> Result<(bool, &str), UrlError> {
    let (scheme, rest) = input.split_once("://").ok_or(UrlError::Scheme)?;
    match scheme {
        _ if scheme.eq_ignore_ascii_case("ws") => Ok((false, rest)),
        _ if scheme.eq_ignore_ascii_case("wss") => Ok((true, rest)),
        _ => Err(UrlError::Scheme),
    }
}

/// "/" if the path is empty, the path, and "?" with the query "if the query component is non-empty".
fn resource_name(target: &str) -> String {
    let target = target.strip_suffix('?').filter(|path| !path.contains('?')).unwrap_or(target);
    if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }
}

/// The first character that RFC 3986 allows neither in a path nor in a query (§3.3, §3.4).
pub(super) fn first_bad(target: &str) -> Option<UrlError> {
    let position = bad_position(target, |byte| matches!(byte, b':' | b'@' | b'/' | b'?'))?;
    let character = target[position..].chars().next()?;
    Some(UrlError::Target { character, position })
}

/// The first byte that is neither unreserved, sub-delimiter, `extra`, nor part of a percent-encoded byte.
fn bad_position(text: &str, extra: fn(u8) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += match bytes.get(position + 1..position + 3) {
            Some(digits) if byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit) => 3,
            _ if is_unreserved(byte) || is_sub_delim(byte) || extra(byte) => 1,
            _ => return Some(position),
        };
    }
    None
}

const fn is_sub_delim(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}
