//! Which outgoing ports pass: a connection to each of them at the same host, through the same proxy.

use std::io;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::time::timeout;
use trunkline_net::url::WsUrl;
use trunkline_net::{DialCause, Error};

use crate::facts::Port;
use crate::near::target::{Target, since};

pub(crate) async fn measure(target: &Target<'_>, ports: &[u16]) -> Vec<Port> {
    join_all(ports.iter().map(|port| one(target, *port))).await
}

async fn one(target: &Target<'_>, port: u16) -> Port {
    let begun = Instant::now();
    let state = match url(target, port) {
        Err(why) => why,
        Ok(url) => match timeout(target.patience, target.connector.dial_timed(&url)).await {
            Err(_) => "no answer".to_owned(),
            Ok((Ok(_), _)) => "open".to_owned(),
            Ok((Err(error), _)) => words(&error),
        },
    };
    Port { port, state, ms: since(begun) }
}

/// Without TLS: it is the port that is asked about.
fn url(target: &Target<'_>, port: u16) -> Result<WsUrl, String> {
    let host = target.url.host();
    let host =
        if target.url.ip().is_some_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host.to_owned() };
    WsUrl::parse(&format!("ws://{host}:{port}/")).map_err(|error| error.to_string())
}

fn words(error: &Error) -> String {
    let Error::Dial(error) = error else { return error.to_string() };
    let refused = |(_, error): &(_, io::Error)| error.kind() == io::ErrorKind::ConnectionRefused;
    match &error.cause {
        DialCause::TimedOut { .. } => "no answer".to_owned(),
        DialCause::Unreachable if error.tried.iter().all(refused) => "refused".to_owned(),
        DialCause::ProxyRefused(response) => format!("the proxy answers {}", response.status()),
        _ => error.to_string(),
    }
}
