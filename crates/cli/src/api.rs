//! The server's HTTP API, as far as these commands need it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trunkline_client::dialect::UserId;
use trunkline_net::{Connector, Dialled};

use crate::args::{self, AddressPolicy, TicketTerms};
use crate::exit::Failure;
use crate::{output, way};

/// From the request to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer: a ticket is far below 1 KiB, and so is a problem document.
const ANSWER_BYTES: usize = 64 << 10;

/// The HTTP API of one server, and the key to it.
#[derive(Clone)]
pub(crate) struct Api {
    connector: Connector,
    base: Base,
    authorization: HeaderValue,
}

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Base {
    is_secure: bool,
    authority: String,
    /// In front of `/api`, without a slash at its end.
    prefix: String,
}

/// The body of `POST /api/v1/tickets`.
#[derive(Clone, Serialize)]
pub(crate) struct TicketRequest {
    user: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Box<RawValue>>,
}

/// What is used of its answer.
#[derive(Deserialize)]
struct Minted {
    ticket: String,
}

/// What is used of a problem document (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Api {
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Usage: no key, or a URL that is not one of the API.
    pub(crate) fn new(args: &args::Api) -> Result<Self, Failure> {
        let key = args.key.as_deref().filter(|key| !key.is_empty()).ok_or_else(|| {
            Failure::usage(
                "no API key: set TRUNKLINE_API_KEY to the one that `trunkline serve` has, or printed",
            )
        })?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Failure::usage("the API key holds characters that no header may have"))?;
        authorization.set_sensitive(true);
        let base = base(&args.url).map_err(|why| Failure::usage(format_args!("--api: {why}")))?;
        let connector = way::connector(&args.way)?;
        Ok(Self { connector, base, authorization })
    }

    /// Mints a ticket.
    pub(crate) async fn mint(&self, wanted: &TicketRequest) -> Result<String, Failure> {
        let answer = self.post("/api/v1/tickets", wanted).await?;
        let minted: Minted = serde_json::from_slice(&answer).map_err(|error| {
            Failure::unclean(format_args!("{} does not answer as a Trunkline API does: {error}", self.base))
        })?;
        Ok(minted.ticket)
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Bytes, Failure> {
        let failed = |why: &dyn std::fmt::Display| Failure::unclean(format_args!("{}: {why}", self.base));
        let body = serde_json::to_vec(body).map_err(|error| failed(&error))?;
        let request = Request::post(format!("{}{path}", self.base.prefix))
            .header(HOST, &self.base.authority)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| failed(&error))?;
        let whole = async {
            let stream = self.connector.dial(&self.base.dialled()).await.map_err(|error| failed(&error))?;
            ask(stream, request).await.map_err(|error| failed(&root_cause(&*error)))
        };
        let response = tokio::time::timeout(TIMEOUT, whole)
            .await
            .unwrap_or_else(|_| Err(failed(&format_args!("no answer within {} s", TIMEOUT.as_secs()))))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(failed(&refusal(&response)))
    }
}

/// One request, one answer, one connection: tickets are asked for now and then.
async fn ask(
    stream: Dialled,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    // The connection moves only while it is awaited; its own end is told by the answer's.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => match never {},
    }
}

impl Base {
    /// What to dial for it.
    fn dialled(&self) -> String {
        format!("{}://{}/", if self.is_secure { "wss" } else { "ws" }, self.authority)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl TicketRequest {
    /// # Errors
    ///
    /// Usage: a user that cannot be, or JSON that is none.
    pub(crate) fn new(user: String, terms: TicketTerms) -> Result<Self, Failure> {
        Ok(Self {
            user: user_id(&user)?,
            info: json("--info", terms.info)?,
            ip: terms.ip,
            policy: terms.policy.map(name_of_policy),
            ttl_s: terms.ttl,
            channels: json("--channels", terms.channels)?,
        })
    }

    /// A ticket on the server's own terms.
    ///
    /// # Errors
    ///
    /// Usage: a user that cannot be.
    pub(crate) fn plain(user: String) -> Result<Self, Failure> {
        let user = user_id(&user)?;
        Ok(Self { user, info: None, ip: None, policy: None, ttl_s: None, channels: None })
    }
}

fn user_id(user: &str) -> Result<UserId, Failure> {
    UserId::new(user).map_err(|why| Failure::usage(format_args!("--user: {why}")))
}

fn name_of_policy(policy: AddressPolicy) -> &'static str {
    match policy {
        AddressPolicy::Exact => "exact",
        AddressPolicy::Prefix => "prefix",
        AddressPolicy::Off => "off",
        AddressPolicy::Adopt => "adopt",
    }
}

fn json(flag: &str, text: Option<String>) -> Result<Option<Box<RawValue>>, Failure> {
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| Failure::usage(format_args!("{flag} is not JSON: {error}")))
}

/// What of the URL is a base; the words of an error do not repeat it, for it may hold a password.
fn base(url: &str) -> Result<Base, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "not a URL")?;
    let is_secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err("the URL begins with http:// or https://"),
    };
    let authority = uri.authority().ok_or("the URL has no host")?;
    if authority.as_str().contains('@') {
        return Err("the URL has a user name; the API asks for a key");
    }
    if uri.query().is_some() {
        return Err("the URL has a query; give the part before /api alone");
    }
    let (authority, prefix) = (authority.to_string(), uri.path().trim_end_matches('/').to_owned());
    Ok(Base { is_secure, authority, prefix })
}

/// The server's own words if it gave any.
fn refusal(response: &Response<Bytes>) -> String {
    let status = response.status();
    let Ok(Problem { title, detail }) = serde_json::from_slice(response.body()) else {
        return format!("{status}, and it does not look like a Trunkline API");
    };
    if status == StatusCode::UNAUTHORIZED {
        // The server's words are for who sent no key. These commands always send one.
        return format!("{status}: the API key is not the server's");
    }
    let words = if detail.is_empty() { title } else { detail };
    format!("{status}: {}", output::for_terminal(&words))
}

/// "error reading a body" says little; what caused it says more.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_scheme_host_and_prefix() {
        let table = [
            ("http://127.0.0.1:8101", "http://127.0.0.1:8101"),
            ("http://127.0.0.1:8101/", "http://127.0.0.1:8101"),
            ("http://[::1]:8101/prefix/", "http://[::1]:8101/prefix"),
            ("https://hub.example/", "https://hub.example"),
        ];
        for (url, expected) in table {
            assert_eq!(base(url).map(|base| base.to_string()).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_url_that_is_no_base_is_refused_without_repeating_it() {
        for url in ["", "localhost:8101", "ws://h/", "ftp://h", "http://me:hunter2@h/", "http://h/?x=hunter2"]
        {
            let why = base(url).expect_err(url);
            assert!(!why.contains("hunter2"));
        }
    }

    #[test]
    fn only_what_was_said_is_asked_for() {
        let plain =
            serde_json::to_string(&TicketRequest::plain("ann".into()).expect("a user")).expect("it is JSON");
        assert_eq!(plain, r#"{"user":"ann"}"#);
    }
}
