//! Who may come in: how many connections there are, in all and from one address, and how fast one address shakes hands.
//!
//! Loopback, unix sockets and one's own proxies (`listen.trusted`) are not counted by address: behind a proxy, all the world
//! has one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::address::ClientAddress;
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

/// One admitted connection; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    key: Option<IpAddr>,
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

    /// Counts a connection from `address`, if there is room for it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: ClientAddress,
        now: Instant,
    ) -> Result<Admitted, NotAdmitted> {
        let key = self.key(address);
        let mut inner = lock(&self.inner);
        if inner.connections >= self.connections {
            return Err(NotAdmitted::Full);
        }
        if let Some(key) = key {
            inner.sweep(now);
            let entry = inner.addresses.entry(key).or_insert_with(|| Entry {
                connections: 0,
                handshakes: Bucket::new(now),
                used: now,
            });
            if entry.connections >= self.per_address {
                return Err(NotAdmitted::TooManyFromAddress);
            }
            entry.connections += 1;
        }
        inner.connections += 1;
        Ok(Admitted { admission: self.clone(), key })
    }

    /// What an address is counted under; `None` if it is not. A host owns a whole /64 of IPv6, so that is what counts.
    fn key(&self, address: ClientAddress) -> Option<IpAddr> {
        let ip = address.ip()?;
        if ip.is_loopback() || self.trusted.contains(ip) {
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
    /// Counts a handshake of this connection's address.
    pub(crate) fn handshake(&self, now: Instant) -> Result<(), NotAdmitted> {
        let Some(key) = self.key else { return Ok(()) };
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
        let mut inner = lock(&self.admission.inner);
        inner.connections -= 1;
        if let Some(entry) = self.key.and_then(|key| inner.addresses.get_mut(&key)) {
            entry.connections -= 1;
        }
    }
}

impl Inner {
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

    fn from(ip: &str) -> ClientAddress {
        ClientAddress::socket(ip.parse().expect("an address"))
    }

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
        for address in
            [from("127.0.0.1"), from("::1"), from("::ffff:127.0.0.1"), from("10.1.2.3"), ClientAddress::Local]
        {
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
        assert!(admission.admit(ClientAddress::Local, now).is_ok());
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
            let connection = admission
                .admit(ClientAddress::socket(IpAddr::from((0x0B00_0000 + index).to_be_bytes())), now);
            connection.expect("room").handshake(now).expect("the first of its address");
        }
        assert!(lock(&admission.inner).addresses.len() <= 3 * SWEEP_AT);
    }
}
