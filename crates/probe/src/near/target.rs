//! Where to, and how to get there again and again.

use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use trunkline_net::url::WsUrl;
use trunkline_net::{Connector, Dialled};

use super::Options;
use crate::pipe::Measured;
use crate::wire::{Field, PATH};

/// The server that is probed.
#[derive(Debug)]
pub struct Target<'o> {
    pub(crate) url: &'o WsUrl,
    pub(crate) connector: &'o Connector,
    /// Headers for every request.
    pub(crate) own: &'o [Field],
    /// How long an answer may take.
    pub(crate) patience: Duration,
    path: String,
}

impl<'o> Target<'o> {
    pub(crate) fn new(options: &'o Options) -> Self {
        let resource = options.url.resource_name();
        // Whoever names no path means the probe's.
        let path = if resource == "/" { PATH } else { resource };
        Self {
            url: &options.url,
            connector: &options.connector,
            own: &options.headers,
            patience: options.patience,
            path: path.to_owned(),
        }
    }

    /// Path and query of the probe service, or of the other server's WebSocket.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path with something below it, and a query in place of the URL's own.
    pub(crate) fn below(&self, rest: &str, query: &str) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{}{rest}{query}", path.trim_end_matches('/'))
    }

    /// The URL with the path of the probe service.
    pub(crate) fn with_path(&self) -> Result<WsUrl, String> {
        let text = format!("{}://{}{}", self.url.scheme(), self.url.authority(), self.path);
        WsUrl::parse(&text).map_err(|error| error.to_string())
    }

    /// Without what may be a secret: user name, query.
    pub(crate) fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.url.scheme(), self.url.authority())
    }

    /// A new stream to the server.
    ///
    /// # Errors
    ///
    /// In words.
    pub(crate) async fn open(&self) -> Result<Dialled, String> {
        let (dialled, _) = self.connector.dial_timed(self.url).await;
        let stream = dialled.map_err(|error| error.to_string())?;
        stream.without_keepalive();
        Ok(stream)
    }
}

impl Measured for Dialled {
    fn reset_on_close(&self) -> bool {
        let reset = |socket: &TcpStream| SockRef::from(socket).set_linger(Some(Duration::ZERO)).is_ok();
        self.tcp_socket().is_some_and(reset)
    }

    fn without_keepalive(&self) {
        if let Some(socket) = self.tcp_socket() {
            // A socket that has ended already needs none.
            let _ = SockRef::from(socket).set_keepalive(false);
        }
    }
}

/// Milliseconds since.
pub(crate) fn since(begun: Instant) -> f64 {
    millis(begun.elapsed())
}

/// A duration as the facts have it.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
