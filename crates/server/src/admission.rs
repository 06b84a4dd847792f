//! Who may come in: how many connections there are, in all and from one address, and how fast one address shakes hands.
//!
//! Loopback, unix sockets and one's own proxies (`listen.trusted`) are not counted by address: behind a proxy, all the world
//! has one address. Where a proxy says whose connection it brings, that client is counted, from then on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::address::{By, ClientAddress, Known};
use crate::cells::lock;
use crate::config::{Limits, Trusted};
use crate::rate::{Bucket, Rate};

/// The table of addresses is swept when it has grown to this many more entries than there are connections: what is
/// left of an address without one is the memory of its last handshakes, worth nothing after [`BUCKET_MEMORY`].
const SWEEP_AT: usize = 1_024;

/// After this long a bucket that refills in one second is full again, and an empty entry says the same.
const BUCKET_MEMORY: Duration = Duration::from_secs(1);

/// Counts connections and handshakes.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: usize,
    per_address: u32,
    handshakes: Rate,
    trusted: Trusted,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connections: usize,
    addresses: HashMap<IpAddr, Entry>,
    /// How many entries there may be before the next sweep.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    handshakes: Bucket,
    /// When the bucket was last taken from.
    used: Instant,
}

/// Why a connection or a handshake was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// As many connections as `limits.connections`.
    Full,
    /// As many connections from this address as `limits.connections_per_address`.
    TooManyFromAddress,
    /// More upgrades a second from this address than `limits.handshakes_per_address_per_s`.
    TooFastFromAddress,
}

/// One admitted connection; counted until it is dropped. It holds what is known of its client, by whose address it is counted:
/// the two change together.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    known: Mutex<Known>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, trusted: &Trusted) -> Arc<Admission> {
        Arc::new(Admission {
            connections: limits.connections,
            per_address: limits.connections_per_address,
            handshakes: Rate {
                per_second: limits.handshakes_per_address,
                burst: limits.handshakes_per_address,
            },
            trusted: trusted.clone(),
            inner: Mutex::default(),
        })
    }

    /// Counts a connection of a client of whom so much is known, if there is room for it.
    pub(crate) fn admit(self: &Arc<Self>, known: Known, now: Instant) -> Result<Admitted, NotAdmitted> {
        let mut inner = lock(&self.inner);
        if inner.connections >= self.connections {
            return Err(NotAdmitted::Full);
        }
        if let Some(key) = self.key(known.address) {
            inner.enter(key, self.per_address, now)?;
        }
        inner.connections += 1;
        Ok(Admitted { admission: self.clone(), known: Mutex::new(known) })
    }

    /// Whether one of one's own proxies has this address.
    pub(crate) fn trusts(&self, address: ClientAddress) -> bool {
        match address {
            ClientAddress::Verified(ip, _) => self.trusted.contains(ip),
            ClientAddress::Stated(_) => false,
            ClientAddress::Local => self.trusted.unix,
        }
    }

    /// What an address is counted under; `None` if it is not. A host owns a whole /64 of IPv6, so that is what counts.
    fn key(&self, address: ClientAddress) -> Option<IpAddr> {
        let ip = address.ip()?;
        // A proxy that passes on what clients write could be made to say "127.0.0.1".
        let own_loopback = ip.is_loopback() && matches!(address, ClientAddress::Verified(_, By::Socket));
        if own_loopback || self.trusted.contains(ip) {
            return None;
        }
        Some(match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        })
    }
}

impl Admitted {
    /// What is known of its client.
    pub(crate) fn known(&self) -> Known {
        *lock(&self.known)
    }

    /// It turns out to be the connection of somebody else, as a trusted proxy says: counted by that address from now on, if there is
    /// room for it; otherwise nothing changes.
    pub(crate) fn belongs_to(&self, client: Known, now: Instant) -> Result<(), NotAdmitted> {
        let admission = &self.admission;
        let mut known = lock(&self.known);
        let (before, after) = (admission.key(known.address), admission.key(client.address));
        if before != after {
            let mut inner = lock(&admission.inner);
            if let Some(key) = after {
                inner.enter(key, admission.per_address, now)?;
            }
            inner.leave(before);
        }
        *known = client;
        Ok(())
    }

    /// Counts a handshake of this connection's address.
    pub(crate) fn handshake(&self, now: Instant) -> Result<(), NotAdmitted> {
        let Some(key) = self.admission.key(self.known().address) else { return Ok(()) };
        let mut inner = lock(&self.admission.inner);
        // It is there as long as this connection is counted in it.
        let Some(entry) = inner.addresses.get_mut(&key) else { return Ok(()) };
        entry.used = now;
        if entry.handshakes.take(self.admission.handshakes, now) {
            Ok(())
        } else {
            Err(NotAdmitted::TooFastFromAddress)
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let key = self.admission.key(self.known().address);
        let mut inner = lock(&self.admission.inner);
        inner.connections -= 1;
        inner.leave(key);
    }
}

impl Inner {
    /// One more connection of this address.
    fn enter(&mut self, key: IpAddr, most: u32, now: Instant) -> Result<(), NotAdmitted> {
        self.sweep(now);
        let entry = self.addresses.entry(key).or_insert_with(|| Entry {
            connections: 0,
            handshakes: Bucket::new(now),
            used: now,
        });
        if entry.connections >= most {
            return Err(NotAdmitted::TooManyFromAddress);
        }
        entry.connections += 1;
        Ok(())
    }

    /// One connection less.
    fn leave(&mut self, key: Option<IpAddr>) {
        if let Some(entry) = key.and_then(|key| self.addresses.get_mut(&key)) {
            entry.connections -= 1;
        }
    }

    /// Forgets addresses without a connection whose bucket is full again. Each sweep is paid for by as many admissions as it
    /// looks at entries.
    fn sweep(&mut self, now: Instant) {
        if self.addresses.len() < self.sweep_at.max(SWEEP_AT) {
            return;
        }
        self.addresses.retain(|_, entry| {
            entry.connections > 0 || now.saturating_duration_since(entry.used) < BUCKET_MEMORY
        });
        self.sweep_at = 2 * self.addresses.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(limits: Limits, trusted: &[&str]) -> Arc<Admission> {
        let networks = trusted.iter().map(|network| network.parse().expect("a network")).collect();
        Admission::new(&limits, &Trusted { networks, unix: false })
    }

    fn from(ip: &str) -> Known {
        Known::by_socket(ClientAddress::socket(ip.parse().expect("an address")))
    }

    fn forwarded(ip: &str) -> Known {
        let address = ClientAddress::Verified(ip.parse().expect("an address"), By::Forwarded);
        Known { address, secure: Some(true) }
    }

    const UNIX: Known = Known { address: ClientAddress::Local, secure: None };

    #[test]
    fn one_connection_too_many_from_an_address_is_refused_until_another_ends() {
        let admission = admission(Limits { connections_per_address: 2, ..Limits::default() }, &[]);
        let now = Instant::now();
        let first = admission.admit(from("192.0.2.1"), now).expect("the first");
        let _second = admission.admit(from("192.0.2.1"), now).expect("the second");
        assert_eq!(admission.admit(from("192.0.2.1"), now).err(), Some(NotAdmitted::TooManyFromAddress));
        assert!(admission.admit(from("192.0.2.2"), now).is_ok(), "another address has its own count");
        drop(first);
        assert!(admission.admit(from("192.0.2.1"), now).is_ok());
    }

    #[test]
    fn loopback_unix_and_trusted_addresses_are_not_counted_by_address() {
        let admission =
            admission(Limits { connections_per_address: 1, ..Limits::default() }, &["10.0.0.0/8"]);
        let now = Instant::now();
        for address in [from("127.0.0.1"), from("::1"), from("::ffff:127.0.0.1"), from("10.1.2.3"), UNIX] {
            let held: Vec<_> = (0..10).map(|_| admission.admit(address, now)).collect();
            assert!(held.iter().all(Result::is_ok), "{address:?}");
        }
    }

    #[test]
    fn one_connection_too_many_in_all_is_refused_whoever_comes() {
        let admission = admission(Limits { connections: 1, ..Limits::default() }, &[]);
        let now = Instant::now();
        let held = admission.admit(from("127.0.0.1"), now).expect("the first");
        assert_eq!(admission.admit(from("127.0.0.1"), now).err(), Some(NotAdmitted::Full));
        drop(held);
        assert!(admission.admit(UNIX, now).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_64_count_as_one() {
        let admission = admission(Limits { connections_per_address: 1, ..Limits::default() }, &[]);
        let now = Instant::now();
        let _held = admission.admit(from("2001:db8::1"), now).expect("the first");
        assert_eq!(admission.admit(from("2001:db8::ffff"), now).err(), Some(NotAdmitted::TooManyFromAddress));
        assert!(admission.admit(from("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn handshakes_are_counted_by_address_across_its_connections_and_forgiven_with_time() {
        let admission = admission(Limits { handshakes_per_address: 2, ..Limits::default() }, &[]);
        let now = Instant::now();
        for _ in 0..2 {
            let connection = admission.admit(from("192.0.2.1"), now).expect("room");
            assert_eq!(connection.handshake(now), Ok(()));
        }
        let connection = admission.admit(from("192.0.2.1"), now).expect("room");
        assert_eq!(connection.handshake(now), Err(NotAdmitted::TooFastFromAddress));
        assert_eq!(connection.handshake(now + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn the_table_does_not_grow_with_addresses_that_have_gone() {
        let admission = admission(Limits::default(), &[]);
        let start = Instant::now();
        for index in 0..20_000_u32 {
            let now = start + Duration::from_millis(u64::from(index));
            let connection = admission.admit(
                Known::by_socket(ClientAddress::socket(IpAddr::from((0x0B00_0000 + index).to_be_bytes()))),
                now,
            );
            connection.expect("room").handshake(now).expect("the first of its address");
        }
        assert!(lock(&admission.inner).addresses.len() <= 3 * SWEEP_AT);
    }

    #[test]
    fn behind_a_proxy_each_client_is_counted_by_its_own_address_from_when_it_is_known() {
        let limits = Limits { connections_per_address: 2, handshakes_per_address: 1, ..Limits::default() };
        let admission = admission(limits, &["10.0.0.0/8"]);
        let now = Instant::now();
        let brought = || admission.admit(from("10.0.0.1"), now).expect("a proxy is not counted");
        let held: Vec<_> = (0..3).map(|_| brought()).collect();
        assert_eq!(held[0].belongs_to(forwarded("192.0.2.1"), now), Ok(()));
        assert_eq!(held[1].belongs_to(forwarded("192.0.2.1"), now), Ok(()));
        assert_eq!(held[2].belongs_to(forwarded("192.0.2.1"), now), Err(NotAdmitted::TooManyFromAddress));
        assert_eq!(held[2].known(), from("10.0.0.1"), "nothing has changed");
        assert_eq!(held[2].belongs_to(forwarded("192.0.2.2"), now), Ok(()));
        assert_eq!(held[0].handshake(now), Ok(()));
        assert_eq!(held[1].handshake(now), Err(NotAdmitted::TooFastFromAddress));
        assert_eq!(held[2].handshake(now), Ok(()));
        drop(held);
        let inner = lock(&admission.inner);
        assert_eq!(inner.connections, 0);
        assert!(inner.addresses.values().all(|entry| entry.connections == 0));
    }

    #[test]
    fn a_loopback_address_that_a_proxy_tells_of_is_counted_like_any_other() {
        let admission =
            admission(Limits { connections_per_address: 1, ..Limits::default() }, &["10.0.0.0/8"]);
        let now = Instant::now();
        let _held = admission.admit(forwarded("127.0.0.1"), now).expect("the first");
        assert_eq!(admission.admit(forwarded("127.0.0.1"), now).err(), Some(NotAdmitted::TooManyFromAddress));
        assert!(admission.admit(from("127.0.0.1"), now).is_ok());
    }
}
