//! What can be said of one service. From the file alone, as of a namespace.

use std::path::PathBuf;
use std::time::Duration;

use trunkline_net::url::WsUrl;

use super::given::{Expected, Given};
use super::readers::origins;
use super::settings::{DAY, Setting, setting};
use super::{Config, Origins};

/// The longest life of a stream that can be asked for: a year.
const YEAR: f64 = 365.0 * DAY;

/// One service, as `[service.<name>]` says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServiceConfig {
    /// Whether it is there at all.
    pub enabled: bool,
    /// Where its bytes go; `None` for what is built in.
    pub upstream: Option<UpstreamAddress>,
    /// Who lets clients in; `None` is `ticket` for an upstream and `none` for what is built in.
    pub auth: Option<Auth>,
    /// Which pages may open it; `None`: as everywhere.
    pub origins: Option<Origins>,
    /// The hosts that belong to it alone.
    pub host: Vec<String>,
    /// The paths that belong to it, on its hosts if it has any, else on all.
    pub path: Vec<String>,
    /// How long nothing may pass.
    pub idle: Duration,
    /// How long it may take in all.
    pub lifetime: Option<Duration>,
    /// How long the upstream may take to be there.
    pub connect_timeout: Duration,
}

/// Who lets clients in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Nobody: whoever reaches it may use it.
    Nobody,
    /// A ticket, redeemed here.
    Ticket,
    /// The upstream, which gets the credentials of the request where it has a place for them.
    Upstream,
}

/// Where an upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpstreamAddress {
    /// Host and port, resolved for each connection.
    Tcp(String),
    Unix(PathBuf),
    /// Another server's upgrade.
    Http(WsUrl),
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            upstream: None,
            auth: None,
            origins: None,
            host: Vec::new(),
            path: Vec::new(),
            idle: Duration::from_secs(3600),
            lifetime: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl ServiceConfig {
    /// Who lets clients in, said or not.
    pub(crate) fn auth(&self) -> Auth {
        self.auth.unwrap_or(if self.upstream.is_some() { Auth::Ticket } else { Auth::Nobody })
    }
}

/// The services that are built in, so that no upstream can be called so.
pub(crate) const BUILT_IN: &[&str] = &["echo"];

impl Config {
    /// Every service that is there, by name: `echo` without a word where every listener is loopback.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, ServiceConfig)> {
        let echo = (self.is_local() && !self.services.contains_key("echo")).then(ServiceConfig::default);
        let said = self.services.iter().map(|(name, service)| (name.as_str(), service.clone()));
        said.chain(echo.map(|echo| ("echo", echo))).filter(|(_, service)| service.enabled)
    }
}

const AUTH: &[(&str, Auth)] =
    &[("none", Auth::Nobody), ("ticket", Auth::Ticket), ("upstream", Auth::Upstream)];

/// What can be said of one service, under `[service.<name>]`.
pub(super) static SERVICE_SETTINGS: &[Setting<ServiceConfig>] = &[
    setting!("enabled" = "true", "Whether the service is there.", |s, v| {
        s.enabled = v.bool()?;
        Ok(())
    }),
    setting!(
        "upstream" = "what is built in under this name",
        "Where its bytes go: `tcp:host:port`, `unix:/path`, or the `http://` or `https://` URL of another server's `Upgrade: stream`.",
        |s, v| {
            s.upstream = Some(upstream(v)?);
            Ok(())
        }
    ),
    setting!(
        "auth" = "\"ticket\" for an upstream, else \"none\"",
        "Who lets clients in: `\"none\"`, nobody; `\"ticket\"`, redeemed here; `\"upstream\"`, which is handed the request's credentials if it is an HTTP one.",
        |s, v| {
            s.auth = Some(v.choice(AUTH)?);
            Ok(())
        }
    ),
    setting!("origins" = "as `origins`", "Origins of pages that may open it, as of `origins`.", |s, v| {
        s.origins = Some(origins(v)?);
        Ok(())
    }),
    setting!(
        "host" = "none",
        "Hosts that belong to it, one or a list, without port: every upgrade there is for this service.",
        |s, v| {
            s.host = v.list()?.into_iter().map(host).collect::<Result<_, _>>()?;
            Ok(())
        }
    ),
    setting!(
        "path" = "none",
        "Paths that belong to it, one or a list: on its hosts alone if it has any, else on all.",
        |s, v| {
            s.path = v.list()?.into_iter().map(path).collect::<Result<_, _>>()?;
            Ok(())
        }
    ),
    setting!("idle_s" = "3600", "How long nothing may pass either way before a stream is ended.", |s, v| {
        s.idle = v.seconds(0.05..=YEAR)?;
        Ok(())
    }),
    setting!("lifetime_s" = "no limit", "How long a stream may take in all.", |s, v| {
        s.lifetime = Some(v.seconds(0.05..=YEAR)?);
        Ok(())
    }),
    setting!(
        "connect_timeout_s" = "10",
        "How long its upstream may take to be reached; then the client is answered 504.",
        |s, v| {
            s.connect_timeout = v.seconds(0.05..=DAY)?;
            Ok(())
        }
    ),
];

fn upstream(given: &Given) -> Result<UpstreamAddress, Expected> {
    let expected = || Expected::from("tcp:host:port, unix:/path, http://host:port/path or https://host/path");
    let text = given.text()?;
    match text.split_once(':') {
        Some(("tcp", rest)) => {
            let (host, port) = rest.rsplit_once(':').ok_or_else(expected)?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            let good = is_port && !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_graphic());
            good.then(|| UpstreamAddress::Tcp(rest.to_owned())).ok_or_else(expected)
        }
        Some(("unix", path)) if path.starts_with('/') => Ok(UpstreamAddress::Unix(path.into())),
        Some(("http" | "https", _)) => {
            let url = WsUrl::parse_whatwg(text, None).map_err(|_| expected())?;
            Ok(UpstreamAddress::Http(url))
        }
        _ => Err(expected()),
    }
}

fn host(text: &str) -> Result<String, Expected> {
    let good = !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte))
        && (!text.contains(':') || text.starts_with('[') && text.ends_with(']'));
    good.then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "hosts such as db.example or [2001:db8::1], without port".into())
}

fn path(text: &str) -> Result<String, Expected> {
    let good =
        text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    good.then(|| text.to_owned()).ok_or_else(|| "paths such as /ssh, without query".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_socket_or_another_servers_upgrade() {
        let read = |text: &str| upstream(&Given::Text(text.to_owned()));
        assert_eq!(read("tcp:db.example:22"), Ok(UpstreamAddress::Tcp("db.example:22".into())));
        assert_eq!(read("tcp:[::1]:22"), Ok(UpstreamAddress::Tcp("[::1]:22".into())));
        assert_eq!(read("unix:/run/x.sock"), Ok(UpstreamAddress::Unix("/run/x.sock".into())));
        assert!(matches!(read("https://h/x"), Ok(UpstreamAddress::Http(url)) if url.is_secure()));
        for bad in [
            "",
            "tcp:",
            "tcp:host",
            "tcp::22",
            "tcp:h:0",
            "tcp:h:65536",
            "unix:x",
            "ftp://h/",
            "h:22",
            "http://",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_have_no_port_and_paths_no_query() {
        assert_eq!(host("DB.example"), Ok("db.example".into()));
        assert_eq!(host("[::1]"), Ok("[::1]".into()));
        for bad in ["", "h:80", "::1", "h/x"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert_eq!(path("/ssh"), Ok("/ssh".into()));
        for bad in ["", "ssh", "/a?b", "/a b", "/#"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn echo_is_there_without_a_word_on_loopback_alone_and_can_be_switched() {
        let names = |toml: &str| {
            let config = Config::parse("t", toml).expect("no problems");
            config.services().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        let off_loopback = "tls = \"offloaded\"\napi.key = \"0123456789abcdef\"\nlisten.address = \"192.0.2.1:1\"\n\
                            listen.trusted = \"192.0.2.0/24\"\n";
        let key = format!("session.key = \"{}\"\n", "0".repeat(64));
        assert_eq!(names(""), ["echo"]);
        assert_eq!(names("service.echo.enabled = false"), [""; 0]);
        assert_eq!(names(&format!("{off_loopback}{key}")), [""; 0]);
        assert_eq!(names(&format!("{off_loopback}{key}[service.echo]\n")), ["echo"]);
        assert_eq!(names("service.x.upstream = \"tcp:h:1\""), ["x", "echo"]);
    }
}
