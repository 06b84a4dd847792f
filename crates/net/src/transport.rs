//! Ways to a stream: TCP and unix sockets, and the HTTP/1.1 head that comes first on them.

#[cfg(feature = "acme")]
pub mod acme;
pub mod forwarded;
pub mod http1;
#[cfg(feature = "http2")]
pub mod http2;
pub mod proxy_protocol;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
