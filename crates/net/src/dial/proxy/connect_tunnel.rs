//! A tunnel through an HTTP proxy: `CONNECT` (RFC 9110 section 9.3.6).

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response, Uri};
use tokio::io::AsyncWriteExt;
use trunkline_websocket::handshake::http1::{self, HeadLimits, ResponseReader};

use super::url::{ProxyUrl, Scheme};
use crate::connect::refusal;
use crate::dial::{DialCause, DialError, Dialled, Dialling, Phase, Protocols, Way};
use crate::error::Error;
use crate::transport::http1::read_head;

/// Connects to the proxy and asks for a tunnel to the host.
pub(super) async fn open(dialling: Dialling<'_>, proxy: &ProxyUrl, way: &Way) -> Result<Dialled, DialError> {
    let (stream, _) = dialling.tcp(&proxy.at, way, false).await?;
    let work = async {
        let stream = match proxy.scheme {
            Scheme::Https => {
                // A proxy that speaks HTTP/2 to its clients is another protocol.
                dialling.dialler.tls_to_proxy.connect(proxy.at.host(), Protocols::Http1, stream).await?
            }
            _ => stream,
        };
        ask(stream, &request(&way.to, proxy)?, dialling.head).await
    };
    let result = dialling.watch.bound(Phase::Proxy, way, work).await?;
    match result.map_err(|cause| way.failed(Phase::Proxy, cause))? {
        Answer::Tunnel(stream) => Ok(stream),
        // Behind the phase: a body that does not come must not hide what is known.
        Answer::Refusal(stream, response, rest) => {
            let response = refusal::with_body(stream, response, &rest, dialling.watch).await;
            Err(way.failed(Phase::Proxy, DialCause::ProxyRefused(Box::new(response))))
        }
    }
}

/// What the proxy says.
enum Answer {
    Tunnel(Dialled),
    /// With what was read of its body.
    Refusal(Dialled, Response<()>, Bytes),
}

fn request(to: &str, proxy: &ProxyUrl) -> Result<Request<()>, DialCause> {
    let unfit = |error: http::Error| DialCause::Proxy(Box::new(error));
    let uri = Uri::try_from(to).map_err(|error| unfit(error.into()))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    let host = HeaderValue::try_from(to).map_err(|error| unfit(error.into()))?;
    request.headers_mut().insert(HOST, host);
    if let Some(basic) = proxy.basic() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, basic);
    }
    Ok(request)
}

/// Asks, and judges the answer: any 2xx is a tunnel, whatever length it may announce.
async fn ask(mut stream: Dialled, request: &Request<()>, limits: HeadLimits) -> Result<Answer, DialCause> {
    stream.write_all(&http1::write_request(request)).await?;
    stream.flush().await?;
    let mut reader = ResponseReader::new(limits);
    let rest = read_head(&mut stream, |input| reader.receive(input)).await.map_err(broken)?;
    let response = reader.response().map_err(|rejected| broken(rejected.into()))?;
    if !response.status().is_success() {
        return Ok(Answer::Refusal(stream, response, rest));
    }
    // We speak first, whether it is TLS or HTTP: nothing of the host's can be here yet. What is here is the proxy's, and
    // would be read as the host's answer.
    if !rest.is_empty() {
        let text = format!("it sent {} bytes behind its answer, before it was asked anything", rest.len());
        return Err(DialCause::Proxy(text.into()));
    }
    Ok(Answer::Tunnel(stream))
}

fn broken(error: Error) -> DialCause {
    match error {
        Error::Io(error) => error.into(),
        error => DialCause::Proxy(Box::new(error)),
    }
}
