//! The settings of `[listen]`, and those of one `[listener.<name>]`.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use trunkline_net::forwarded::Reads;

use super::given::{Expected, Given};
use super::readers::{apart, tls};
use super::settings::{Setting, setting};
use super::{Api, Config, Doors, Forged, NamedListener, ProxyProtocol, Speaks, Trusted};

/// `[listen]`.
pub(super) const LISTEN_SETTINGS: &[Setting<Config>] = &[
    setting!(
        "listen.address" = "\"127.0.0.1:8101\"",
        "TCP addresses of the doors: one or a list. Port 0 lets the system choose.",
        |c, v| {
            c.listen.address = v.addresses()?;
            Ok(())
        }
    ),
    setting!("listen.unix" = "none", "Path of a unix socket for the doors.", |c, v| {
        c.listen.unix = Some(v.text()?.into());
        Ok(())
    }),
    setting!(
        "listen.tls" = "\"on\" with certificates, else \"off\"",
        "Who does TLS on the doors' addresses: `\"on\"`, the certificates of `[tls]`; `\"offloaded\"`, something in front; `\"off\"`, nobody: on loopback alone.",
        |c, v| {
            c.listen.tls = Some(tls(v)?);
            Ok(())
        }
    ),
    setting!(
        "listen.trusted" = "none",
        "Networks of your own proxies, whose word about a client's address counts: a list such as `[\"10.0.0.0/8\"]`; `\"unix\"` in it stands for whoever opens a unix socket.",
        |c, v| {
            c.listen.trusted = trusted(v)?;
            Ok(())
        }
    ),
    setting!(
        "listen.proxy_protocol" = "\"off\"",
        "Whether connections begin with a PROXY protocol header, version 1 or 2: `\"required\"`, and only from `listen.trusted`; or `\"off\"`.",
        |c, v| {
            c.listen.proxy_protocol = proxy_protocol(v)?;
            Ok(())
        }
    ),
    setting!(
        "listen.forwarded" = "[\"forwarded\", \"x-forwarded-for\"]",
        "The fields by which your proxies tell of clients: a list of `\"forwarded\"`, `\"x-forwarded-for\"` (with `-Proto` and `-Host`), `\"x-real-ip\"`. Best the one that they write.",
        |c, v| {
            c.listen.forwarded = reads(v)?;
            Ok(())
        }
    ),
    setting!(
        "listen.forged" = "\"ignore\"",
        "What becomes of such fields from other addresses: `\"ignore\"`, they change nothing; `\"reject\"`, the request is answered 400.",
        |c, v| {
            c.listen.forged = v.choice(&[("ignore", Forged::Ignore), ("reject", Forged::Reject)])?;
            Ok(())
        }
    ),
    setting!(
        "listen.https_only" = "false",
        "Whether listeners with `tls = \"offloaded\"` refuse (403) what did not come to the proxy by TLS, or of which it does not say so.",
        |c, v| {
            c.listen.https_only = v.bool()?;
            Ok(())
        }
    ),
    setting!(
        "listen.doors" = "all",
        "The doors that are open: a list of `\"websocket\"`, `\"lines\"`, `\"stream\"`, `\"sse\"`.",
        |c, v| {
            c.listen.doors = Some(doors(v)?);
            Ok(())
        }
    ),
    setting!(
        "listen.api" = "on loopback and unix sockets only",
        "Whether the HTTP API, health and metrics are served with the doors: `true` everywhere, `false` nowhere. As a table it puts them on listeners of their own.",
        |c, v| {
            c.listen.api = if v.bool()? { Api::Everywhere } else { Api::Nowhere };
            Ok(())
        }
    ),
    setting!(
        "listen.api.address" = "none",
        "TCP addresses of the API's own: it is then served there and not with the doors.",
        |c, v| {
            apart(c).address = v.addresses()?;
            Ok(())
        }
    ),
    setting!("listen.api.unix" = "none", "Path of a unix socket of the API's own.", |c, v| {
        apart(c).unix = Some(v.text()?.into());
        Ok(())
    }),
    setting!(
        "listen.api.tls" = "\"on\" with certificates, else \"off\"",
        "As `listen.tls`, for the API's own addresses.",
        |c, v| {
            apart(c).tls = Some(tls(v)?);
            Ok(())
        }
    ),
];

/// What can be said of one more listener, under `[listener.<name>]`. From the file alone, as its name is the user's.
pub(super) static LISTENER_SETTINGS: &[Setting<NamedListener>] = &[
    setting!("address" = "none", "TCP addresses: one or a list. Port 0 lets the system choose.", |l, v| {
        l.address = v.addresses()?;
        Ok(())
    }),
    setting!("unix" = "none", "Path of a unix socket.", |l, v| {
        l.unix = Some(v.text()?.into());
        Ok(())
    }),
    setting!(
        "tls" = "\"on\" with certificates, else \"off\"",
        "As `listen.tls`, for these addresses.",
        |l, v| {
            l.tls = Some(tls(v)?);
            Ok(())
        }
    ),
    setting!("proxy_protocol" = "\"off\"", "As `listen.proxy_protocol`, for this listener.", |l, v| {
        l.proxy_protocol = proxy_protocol(v)?;
        Ok(())
    }),
    setting!("doors" = "all", "As `listen.doors`, for this listener.", |l, v| {
        l.doors = Some(doors(v)?);
        Ok(())
    }),
    setting!(
        "speaks" = "\"http\"",
        "What is spoken from the first byte: `\"http\"`; `\"lines\"`, the dialect; `\"stream:<service>\"`, the bytes of that service.",
        |l, v| {
            l.speaks = speaks(v)?;
            Ok(())
        }
    ),
];

/// How many characters the name of a listener, or of a service, may have: enough for words, and short in a log.
pub(super) const NAME_LENGTH: usize = 64;

/// A name that can stand in a path, a log and a metric as it is.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn proxy_protocol(given: &Given) -> Result<ProxyProtocol, Expected> {
    given.choice(&[("off", ProxyProtocol::Off), ("required", ProxyProtocol::Required)])
}

fn doors(given: &Given) -> Result<Doors, Expected> {
    let mut doors = Doors::NONE;
    for name in given.list()? {
        match name {
            "websocket" => doors.websocket = true,
            "lines" => doors.lines = true,
            "stream" => doors.stream = true,
            "sse" => doors.sse = true,
            other => {
                return Err(format!(
                    "a list of \"websocket\", \"lines\", \"stream\", \"sse\", not {other:?}"
                ));
            }
        }
    }
    Ok(doors)
}

fn reads(given: &Given) -> Result<Reads, Expected> {
    let mut reads = Reads { forwarded: false, x_forwarded: false, x_real_ip: false };
    for name in given.list()? {
        match name {
            "forwarded" => reads.forwarded = true,
            "x-forwarded-for" => reads.x_forwarded = true,
            "x-real-ip" => reads.x_real_ip = true,
            other => {
                return Err(format!(
                    "a list of \"forwarded\", \"x-forwarded-for\", \"x-real-ip\", not {other:?}"
                ));
            }
        }
    }
    Ok(reads)
}

fn speaks(given: &Given) -> Result<Speaks, Expected> {
    match given.text()? {
        "http" => Ok(Speaks::Http),
        "lines" => Ok(Speaks::Lines),
        text => match text.strip_prefix("stream:") {
            Some(service) if is_name(service) => Ok(Speaks::Stream(service.to_owned())),
            _ => Err("\"http\" or \"lines\" or \"stream:<service>\"".into()),
        },
    }
}

fn trusted(given: &Given) -> Result<Trusted, Expected> {
    let list = given.list()?;
    let unix = list.contains(&"unix");
    let networks = list.into_iter().filter(|item| *item != "unix").map(network).collect::<Result<_, _>>()?;
    Ok(Trusted { networks, unix })
}

/// `10.0.0.0/8`, or one address.
fn network(item: &str) -> Result<IpNet, Expected> {
    let network = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
    network
        .map(canonical_network)
        .map_err(|_| format!("a network such as 10.0.0.0/8, or \"unix\", not {item:?}"))
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8: what is compared with it is canonical.
fn canonical_network(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(v4, prefix)| Ipv4Net::new(v4, prefix).ok()).map_or(network, IpNet::V4)
}
