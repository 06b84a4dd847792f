//! From a name to addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::lookup_host;

/// Addresses, some time later.
pub type Addresses<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// What knows the addresses of names. The system's resolver, unless
/// [`Connector::resolver`](crate::Connector::resolver) says otherwise.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `host`, each with `port`, the preferred first. `host` is a name and never an address.
    ///
    /// Of the families only the first address decides: from there on IPv6 and IPv4 are tried in turns (RFC 8305
    /// section 4).
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Addresses<'a>;
}

/// `getaddrinfo`, which sorts by RFC 6724: IPv6 first wherever this host has a way out for it.
#[derive(Debug)]
pub(crate) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Addresses<'a> {
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }
}
