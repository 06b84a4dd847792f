//! TLS around a dialled stream.

use std::io;
use std::sync::OnceLock;

use tokio::sync::Mutex;

use super::dialled::Stream;
use super::{DialCause, Dialled, Protocols};
use crate::tls::{ClientStream, ClientTls, TlsError};

/// What TLS is spoken with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// `None`: the system's roots.
    pub(crate) chosen: Option<ClientTls>,
}

impl Tls {
    /// The TLS handshake with `host`, which may be an address.
    pub(crate) async fn connect(
        &self,
        host: &str,
        protocols: Protocols,
        stream: Dialled,
    ) -> Result<Dialled, DialCause> {
        let tls = match &self.chosen {
            Some(tls) => tls.clone(),
            None => SYSTEM.get(ClientTls::system_roots).await?,
        };
        let place = stream.place();
        let offered: &[&[u8]] = match protocols {
            Protocols::Http1 => &[b"http/1.1"],
            Protocols::Http2OrHttp1 => &[b"h2", b"http/1.1"],
            Protocols::Http2 => &[b"h2"],
        };
        let stream = tls.alpn(offered).connect(host, stream).await.map_err(failed)?;
        Ok(Dialled::new(stream, place))
    }
}

fn failed(error: TlsError) -> DialCause {
    DialCause::Tls(Box::new(error))
}

static SYSTEM: SystemRoots = SystemRoots::new();

/// The system's roots, read from their files when they are first needed. That they cannot be read is not remembered:
/// whoever installs them need not start again.
struct SystemRoots {
    found: OnceLock<ClientTls>,
    /// Held while they are read, so that a file system that hangs holds one thread and not one for each call.
    turn: Mutex<()>,
}

impl SystemRoots {
    const fn new() -> Self {
        Self { found: OnceLock::new(), turn: Mutex::const_new(()) }
    }

    /// `read` reads files, hundreds of kilobytes of them: on a thread where that holds up nobody else. What it finds is
    /// kept even if nobody waits for it any more.
    async fn get<F>(&'static self, read: F) -> Result<ClientTls, DialCause>
    where
        F: FnOnce() -> Result<ClientTls, TlsError> + Send + 'static,
    {
        if let Some(tls) = self.found.get() {
            return Ok(tls.clone());
        }
        let turn = self.turn.lock().await;
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            match self.found.get() {
                Some(tls) => Ok(tls.clone()),
                None => read().map(|tls| self.found.get_or_init(|| tls).clone()),
            }
        });
        reading.await.map_err(|error| DialCause::Io(io::Error::other(error)))?.map_err(failed)
    }
}

impl Stream for ClientStream<Dialled> {
    fn is_tls(&self) -> bool {
        true
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.alpn()
    }

    fn tcp(&self) -> Option<&tokio::net::TcpStream> {
        self.get_ref().tcp_socket()
    }

    fn peer_certificates(&self) -> Vec<&[u8]> {
        self.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn one_root() -> Result<ClientTls, TlsError> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
        ClientTls::with_roots(made.cert.pem().into_bytes())
    }

    fn no_roots() -> Result<ClientTls, TlsError> {
        Err(TlsError::NoSystemRoots { problems: Vec::new() })
    }

    #[tokio::test]
    async fn roots_that_take_long_to_read_hold_up_nobody_and_are_kept_though_nobody_waits() {
        static ROOTS: SystemRoots = SystemRoots::new();
        let (release, held) = mpsc::channel::<()>();
        let slow = move || {
            let _ = held.recv_timeout(Duration::from_secs(20));
            one_root()
        };
        let short = Duration::from_millis(20);
        // The one thread of this runtime goes on, or the time would never be over.
        timeout(short, ROOTS.get(slow)).await.expect_err("they are being read");
        timeout(short, ROOTS.get(no_roots)).await.expect_err("and nobody else begins to");
        drop(release);
        ROOTS.get(no_roots).await.expect("what the first has read");
    }

    #[tokio::test]
    async fn roots_that_cannot_be_read_are_looked_for_again() {
        static ROOTS: SystemRoots = SystemRoots::new();
        let Err(DialCause::Tls(error)) = ROOTS.get(no_roots).await else { panic!("there are none") };
        assert!(matches!(error.downcast_ref(), Some(TlsError::NoSystemRoots { .. })), "{error}");
        ROOTS.get(one_root).await.expect("now there are");
    }
}
