//! Dev mode: the demo page and tickets for whoever asks.
//!
//! Whoever asks can only be this machine: every listener is loopback. But its *browser* also runs pages of the whole web,
//! and a name of the web may resolve to 127.0.0.1 (DNS rebinding). So these routes answer only under a loopback name,
//! and a ticket is only minted for a page of the same origin that says its body is JSON.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use trunkline_dialect::UserId;

use super::auth::is_from_elsewhere;
use super::body::Body;
use super::{Problem, api};
use crate::App;
use crate::connection::Remote;
use crate::ticket::{AddressPolicy, TicketRequest};

struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $media_type:expr;)+) => {
        &[$(Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $name)),
        }),+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: &[Asset] = assets! {
    "index.html": HTML;
    "style.css": CSS;
    "icon.svg": SVG;
    "app.js": JS;
    "channel.js": JS;
    "hub.js": JS;
    "log.js": JS;
    "outgoing.js": JS;
    "worker.js": JS;
};

/// Nothing from anywhere else, nothing inline, in nobody's frame.
const POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// `GET /`
pub(super) async fn page(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    asset(Path("index.html".into()), uri, headers).await
}

/// `GET /<asset>`
pub(super) async fn asset(
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset =
        ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| Problem::not_found(uri.path()))?;
    loopback_host(&headers)?;
    let headers = [
        (CONTENT_TYPE, asset.media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    Ok((headers, asset.bytes).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DevTicket {
    user: UserId,
}

/// `POST /dev/ticket`
pub(super) async fn ticket(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    if is_from_elsewhere(&request) {
        return Err(Problem::forbidden(
            "dev mode is for this machine, and a proxy brings this request from another",
        ));
    }
    let host = loopback_host(request.headers())?;
    let tls = request.extensions().get::<Arc<Remote>>().is_some_and(|remote| remote.secure() == Some(true));
    same_origin(request.headers(), if tls { "https://" } else { "http://" }, host)?;
    let Body(DevTicket { user }) = Body::from_request(request, &app).await?;
    // Not bound to an address: one browser may come as 127.0.0.1 for the page and as ::1 for the socket.
    let wanted = TicketRequest {
        user,
        policy: Some(AddressPolicy::Off),
        info: None,
        ip: None,
        ttl_s: None,
        session_ttl_s: None,
        channels: None,
        meta: None,
    };
    api::mint(&app, wanted).await
}

/// The `Host` of the request, if it is a name that only this machine can mean.
fn loopback_host(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    host.filter(|host| is_loopback_name(host)).ok_or_else(|| {
        Problem::forbidden("dev mode answers only under a loopback name, such as localhost or 127.0.0.1")
    })
}

fn is_loopback_name(host: &str) -> bool {
    // `Host` has no userinfo, and a parser that skipped it could be told any name.
    let Some(authority) = host.parse::<http::uri::Authority>().ok().filter(|_| !host.contains('@')) else {
        return false;
    };
    let name = authority.host().to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address.is_loopback(),
        // RFC 6761 §6.3: nothing under localhost. resolves to anything but loopback.
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// A page says where it is from; what is no page says nothing.
fn same_origin(headers: &HeaderMap, scheme: &str, host: &str) -> Result<(), Problem> {
    let foreign = || Problem::forbidden("dev tickets are for pages of this origin alone");
    // A browser sends one; of two, somebody could read the other.
    if headers.get_all(ORIGIN).iter().count() > 1 {
        return Err(foreign());
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme));
        own.filter(|own| own.eq_ignore_ascii_case(host)).ok_or_else(foreign)?;
    }
    match headers.get("sec-fetch-site") {
        Some(site) if site != "same-origin" && site != "none" => Err(foreign()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_the_same_origin_only_by_the_same_scheme_and_host() {
        let judge = |origin: &str, scheme: &str| {
            let headers = HeaderMap::from_iter([(ORIGIN, origin.parse().expect("a value"))]);
            same_origin(&headers, scheme, "localhost:8443").is_ok()
        };
        assert!(judge("https://localhost:8443", "https://"));
        assert!(judge("http://LOCALHOST:8443", "http://"));
        for foreign in ["http://localhost:8443", "https://localhost", "https://localhost:8444", "null"] {
            assert!(!judge(foreign, "https://"), "{foreign}");
        }
        assert!(!judge("https://localhost:8443", "http://"));
    }

    #[test]
    fn only_names_that_mean_this_machine_are_loopback_names() {
        for name in [
            "localhost",
            "localhost:8101",
            "LocalHost",
            "a.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]:8101",
        ] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in [
            "",
            "example.org",
            "127.0.0.1.example.org",
            "localhost.example.org",
            "0.0.0.0",
            "[::]",
            "notlocalhost",
            "evil@localhost",
        ] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
