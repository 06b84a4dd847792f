//! How a connection is opened, as `connect` and `bench` are told.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Way, seconds};

/// What goes with an opening handshake, and the way to the host.
#[derive(Args)]
pub(crate) struct Dial {
    /// A ticket, sent as X-Auth-Token: a URL would end up in logs
    #[arg(long, value_name = "TICKET", allow_hyphen_values = true)]
    pub(crate) ticket: Option<String>,

    /// One more header, `Origin` too. May be repeated. A redirect to another host leaves them out, but for Origin
    #[arg(long = "header", value_name = "'Name: value'")]
    pub(crate) headers: Vec<Header>,

    /// One more subprotocol to offer, the preferred first. May be repeated
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub(crate) subprotocols: Vec<String>,

    /// Offer to compress messages
    #[arg(long)]
    pub(crate) deflate: bool,

    /// In an HTTP/2 connection: over TLS if the server can, else by HTTP/1.1; with `prior-knowledge` always
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "alpn"
    )]
    pub(crate) http2: Option<Http2>,

    /// How many redirects to follow; never from wss:// to ws://
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) redirects: u8,

    /// How long connecting may take, redirects included [default: 30, and at most 15 for each phase of it]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,

    /// PEM file with a certificate to show to a server that asks for one, and the chain behind it. A proxy never sees it
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) way: Way,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Http2 {
    Alpn,
    PriorKnowledge,
}

/// A header as typed, `Name: value`.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or("a header is written 'Name: value'")?;
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        http::HeaderName::try_from(&name).map_err(|_| "HTTP does not allow that name")?;
        http::HeaderValue::try_from(&value).map_err(|_| "HTTP does not allow that value")?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value_with_a_colon_between_them() {
        let header: Header = "X-Forwarded-For:  10.0.0.1:80 ".parse().expect("a header");
        assert_eq!((header.name.as_str(), header.value.as_str()), ("X-Forwarded-For", "10.0.0.1:80"));
        for bad in ["", "no colon", ": value", "na me: value", "name: va\nlue"] {
            assert!(bad.parse::<Header>().is_err(), "{bad:?}");
        }
    }
}
