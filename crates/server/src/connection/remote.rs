//! Who is at the other end of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::App;
use crate::address::{By, ClientAddress, Known};
use crate::admission::{Admitted, NotAdmitted};
use crate::config::{Doors, Tls};
use crate::shutdown::Live;

/// Who is at the other end of one connection, counted until the last holder of it is gone. A WebSocket in an HTTP/2
/// connection is a connection of its own, and has one of its own; so has a request that a proxy brings for somebody.
#[derive(Debug)]
pub(crate) struct Remote {
    /// By what way it came.
    pub(crate) way: Way,
    admitted: Admitted,
    /// Whether the next handshake was counted already.
    prepaid: AtomicBool,
    _live: Live,
}

/// What the listener says of the connections that come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Who does TLS.
    pub(crate) tls: Tls,
    /// The doors that are open over HTTP.
    pub(crate) doors: Doors,
}

impl Remote {
    pub(crate) fn new(app: &App, way: Way, admitted: Admitted) -> Arc<Remote> {
        Arc::new(Remote { way, admitted, prepaid: AtomicBool::new(false), _live: app.stop.enter() })
    }

    /// All that is known of it by now.
    pub(crate) fn known(&self) -> Known {
        self.admitted.known()
    }

    /// Whose it is, as far as is known by now.
    pub(crate) fn address(&self) -> ClientAddress {
        self.known().address
    }

    /// Whether this server did TLS for it.
    pub(crate) fn tls(&self) -> bool {
        self.way.tls == Tls::On
    }

    /// Whether the client itself came by TLS, to this server or to a trusted proxy; `None` where nobody says.
    pub(crate) fn secure(&self) -> Option<bool> {
        if self.tls() { Some(true) } else { self.known().secure }
    }

    /// Whether bytes may be spoken here that no mask keeps from looking like something else: nobody on the way reads them. That
    /// is so inside TLS, to here or to a listed proxy, and where there is no way because the client is on this machine.
    pub(crate) fn may_go_unmasked(&self, app: &App) -> bool {
        let (offloaded, known) = (self.way.tls == Tls::Offloaded, self.known());
        match (self.secure(), known.address) {
            (Some(secure), _) => secure,
            (None, address) if address.is_this_machine() => true,
            // Of whom it is not said a listed proxy does TLS for all, as the listener is told.
            (None, ClientAddress::Verified(_, By::Proxy | By::Forwarded)) => offloaded,
            (None, address) => offloaded && app.admission.trusts(address),
        }
    }

    /// Counts a handshake of its address.
    pub(crate) fn handshake(&self) -> Result<(), NotAdmitted> {
        if self.prepaid.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.admitted.handshake(Instant::now())
    }

    /// Its TLS handshake was counted: the first upgrade in it is not counted again.
    pub(super) fn prepay(&self) {
        self.prepaid.store(true, Ordering::Relaxed);
    }

    /// A trusted proxy says whose this connection is, from its beginning to its end.
    pub(super) fn belongs_to(&self, client: Known) -> Result<(), NotAdmitted> {
        if client.address != self.address() {
            // What was counted was the proxy's.
            self.prepaid.store(false, Ordering::Relaxed);
        }
        self.admitted.belongs_to(client, Instant::now())
    }

    /// One more connection inside the one that it has: its own, or of somebody whom a proxy brings.
    pub(crate) fn another(&self, app: &App, client: Known) -> Result<Arc<Remote>, NotAdmitted> {
        let admitted = app.admission.admit(client, Instant::now())?;
        let remote = Remote::new(app, self.way, admitted);
        if client.address == self.address() {
            remote.prepaid.store(self.prepaid.swap(false, Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Server};

    #[test]
    fn without_masks_only_what_nobody_on_the_way_can_read() {
        let config = Config::parse("t", "listen.trusted = \"10.0.0.0/8\"").expect("no problems");
        let server = Server::new(config).expect("no problems");
        let judge = |tls, address, secure| {
            let known = Known { address, secure };
            let admitted = server.app.admission.admit(known, Instant::now()).expect("room");
            Remote::new(&server.app, Way { tls, doors: Doors::ALL }, admitted).may_go_unmasked(&server.app)
        };
        let ip = |text: &str| text.parse().expect("an address");
        let socket = |text: &str| ClientAddress::socket(ip(text));
        let forwarded = |text: &str| ClientAddress::Verified(ip(text), By::Forwarded);
        let proxy = |text: &str| ClientAddress::Verified(ip(text), By::Proxy);
        for (tls, address, secure, expected) in [
            (Tls::On, socket("192.0.2.1"), None, true),
            (Tls::On, proxy("192.0.2.1"), Some(false), true),
            (Tls::Off, socket("127.0.0.1"), None, true),
            (Tls::Off, ClientAddress::Local, None, true),
            (Tls::Off, socket("192.0.2.1"), None, false),
            (Tls::Off, forwarded("192.0.2.1"), None, false),
            (Tls::Off, forwarded("127.0.0.1"), None, false),
            (Tls::Off, forwarded("192.0.2.1"), Some(true), true),
            (Tls::Off, forwarded("192.0.2.1"), Some(false), false),
            (Tls::Offloaded, socket("192.0.2.1"), None, false),
            (Tls::Offloaded, socket("10.0.0.1"), None, true),
            (Tls::Offloaded, proxy("192.0.2.1"), None, true),
            (Tls::Offloaded, forwarded("192.0.2.1"), None, true),
            (Tls::Offloaded, forwarded("192.0.2.1"), Some(false), false),
        ] {
            assert_eq!(judge(tls, address, secure), expected, "{tls:?} {address:?} {secure:?}");
        }
    }
}
