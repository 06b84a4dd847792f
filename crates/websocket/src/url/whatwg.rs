//! The constructor steps of the WHATWG WebSockets standard, up to where it has a URL.

use ::url::{ParseError, Position, Url};

use super::authority::Host;
use super::{UrlError, WsUrl};

pub(super) fn parse(input: &str, base: Option<&str>) -> Result<WsUrl, UrlError> {
    let base = base.map(Url::parse).transpose().map_err(url_error)?;
    let url = Url::options().base_url(base.as_ref()).parse(input).map_err(url_error)?;
    // "If urlRecord's scheme is "http", then set it to "ws". Otherwise, if it is "https", set it to "wss"." The default
    // ports are the same, so nothing else of the record changes.
    let secure = match url.scheme() {
        "ws" | "http" => false,
        "wss" | "https" => true,
        _ => return Err(UrlError::Scheme),
    };
    // "If urlRecord's fragment is non-null": an empty one is not null.
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    let host = url.host().ok_or(UrlError::Host)?;
    if url.port() == Some(0) {
        return Err(UrlError::Port);
    }
    let userinfo = match (url.username(), url.password()) {
        (user, None) => user.to_owned(),
        (user, Some(password)) => format!("{user}:{password}"),
    };
    WsUrl::new(secure, Host::from_whatwg(&host), url.port(), &url[Position::BeforePath..], &userinfo)
}

fn url_error(error: ParseError) -> UrlError {
    match error {
        ParseError::RelativeUrlWithoutBase
        | ParseError::RelativeUrlWithCannotBeABaseBase
        | ParseError::SetHostOnCannotBeABaseUrl => UrlError::Relative,
        ParseError::InvalidPort => UrlError::Port,
        // All that is left is about the host, or an input of 4 GiB.
        _ => UrlError::Host,
    }
}
