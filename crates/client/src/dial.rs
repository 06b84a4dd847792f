//! Where to connect, and with which head.

use http::{HeaderName, HeaderValue};
use trunkline_net::url::WsUrl;
use trunkline_net::{Connector, Dialled, WebSocket};

use crate::credential::{InHandshake, Plan};
use crate::error::Misuse;
use crate::limits::Limits;

/// The address of the hub, and what goes with the opening handshake.
#[derive(Debug)]
pub(crate) struct Dial {
    /// As it was given.
    url: WsUrl,
    /// Without a ticket in its query.
    url_alone: WsUrl,
    /// Where the hub has sent us for the next attempt.
    elsewhere: Option<WsUrl>,
    /// Without the header that is a credential.
    connector: Connector,
    credential: Option<(String, String)>,
}

impl Dial {
    pub(crate) fn new(
        url: WsUrl,
        headers: Vec<(String, String)>,
        connector: Connector,
        limits: &Limits,
    ) -> Result<Self, Misuse> {
        if let Some((name, _)) = headers.iter().find(|(name, value)| !is_header(name, value)) {
            return Err(Misuse::Header(name.clone()));
        }
        let net = trunkline_net::Limits { message: limits.message, ..Default::default() };
        let connector = connector.limits(net).subprotocol(trunkline_dialect::NAME).one_at_a_time(true);
        let (credentials, plain): (Vec<_>, Vec<_>) =
            headers.into_iter().partition(|(name, value)| is_credential(name, value) != InHandshake::None);
        let connector =
            plain.iter().fold(connector, |connector, (name, value)| connector.header(name, value));
        let mut credentials = credentials.into_iter();
        let credential = credentials.next();
        let url_alone = without_ticket(&url);
        if credentials.next().is_some() || credential.is_some() && url_alone != url {
            return Err(Misuse::TwoCredentials);
        }
        Ok(Self { url, url_alone, elsewhere: None, connector, credential })
    }

    /// What kind of credential goes with the handshake.
    pub(crate) fn in_handshake(&self) -> InHandshake {
        match &self.credential {
            Some((name, value)) => is_credential(name, value),
            None if self.url != self.url_alone => InHandshake::Once,
            None => InHandshake::None,
        }
    }

    /// The hub names another URL for the next attempt. It must be as safe as ours: a session goes there. The
    /// application's secrets go along to the same scheme, host and port, and nowhere else.
    pub(crate) fn go(&mut self, elsewhere: Option<String>) {
        let there = elsewhere.and_then(|url| WsUrl::parse(&url).ok());
        self.elsewhere = there.filter(|there| there.is_secure() || !self.url.is_secure());
    }

    /// One opening handshake. Another URL that the hub named is tried once.
    pub(crate) async fn connect(&mut self, plan: Plan) -> Result<WebSocket<Dialled>, trunkline_net::Error> {
        if plan != Plan::Handshake {
            return match self.elsewhere.take() {
                // The application has told its secrets for the host that it named.
                Some(there) if origin(&there) != origin(&self.url) => {
                    self.connector.clone().without_secrets().connect_to(there).await
                }
                Some(there) => self.connector.connect_to(there).await,
                None => self.connector.connect_to(self.url_alone.clone()).await,
            };
        }
        let url = self.url.clone();
        match &self.credential {
            Some((name, value)) => self.connector.clone().secret_header(name, value).connect_to(url).await,
            None => self.connector.connect_to(url).await,
        }
    }
}

/// Scheme, host and port (RFC 6454 section 4).
fn origin(url: &WsUrl) -> (&str, &str, u16) {
    (url.scheme(), url.host(), url.port())
}

fn is_header(name: &str, value: &str) -> bool {
    HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
}

/// Which headers the hub takes for a credential.
fn is_credential(name: &str, value: &str) -> InHandshake {
    let bearer = || value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    if name.eq_ignore_ascii_case("x-auth-token") {
        InHandshake::Once
    } else if name.eq_ignore_ascii_case("authorization") && bearer() {
        InHandshake::Often
    } else {
        InHandshake::None
    }
}

/// The URL without `ticket` in its query: it is good once, and does not belong into the next request.
fn without_ticket(url: &WsUrl) -> WsUrl {
    let text = url.to_string();
    let is_ticket = |pair: &&str| pair.split('=').next() == Some("ticket");
    let Some((before, query)) = text.split_once('?') else { return url.clone() };
    if !query.split('&').any(|pair| is_ticket(&pair)) {
        return url.clone();
    }
    let kept: Vec<_> = query.split('&').filter(|pair| !is_ticket(pair)).collect();
    let alone = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
    // By whichever of the two grammars it was one.
    let alone = WsUrl::parse(&alone).or_else(|_| WsUrl::parse_whatwg(&alone, None));
    alone.expect("a URL with less of a query is one").with_userinfo_of(Some(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(url: &str, headers: &[(&str, &str)]) -> Result<Dial, Misuse> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let url = WsUrl::parse(url).map_err(Misuse::Url)?;
        Dial::new(url, headers, Connector::default(), &Limits::default())
    }

    #[test]
    fn a_ticket_is_taken_out_of_a_url_and_the_rest_stays() {
        for (url, alone) in [
            ("ws://h/connect", "ws://h/connect"),
            ("ws://h/connect?", "ws://h/connect?"),
            ("ws://h/connect?ticket=a", "ws://h/connect"),
            ("ws://h/connect?a=1&ticket=b&c=2", "ws://h/connect?a=1&c=2"),
            ("ws://h/connect?tickets=1", "ws://h/connect?tickets=1"),
            ("ws://h/connect?&ticket=a", "ws://h/connect"),
            ("ws://h/connect?[|]&ticket=a", "ws://h/connect?[|]"),
            ("ws://zoe:pass@h/connect?ticket=a&b", "ws://h/connect?b"),
        ] {
            let url = WsUrl::parse_whatwg(url, None).expect("a URL");
            let found = without_ticket(&url);
            assert_eq!((found.to_string().as_str(), found.userinfo()), (alone, url.userinfo()));
        }
    }

    #[test]
    fn a_header_or_url_is_known_as_a_credential() {
        let kind = |url: &str, headers: &[(&str, &str)]| dial(url, headers).map(|dial| dial.in_handshake());
        assert!(matches!(kind("ws://h/", &[]), Ok(InHandshake::None)));
        assert!(matches!(kind("ws://h/?ticket=a", &[]), Ok(InHandshake::Once)));
        assert!(matches!(kind("ws://h/", &[("X-Auth-Token", "a")]), Ok(InHandshake::Once)));
        assert!(matches!(kind("ws://h/", &[("Authorization", "bearer a")]), Ok(InHandshake::Often)));
        assert!(matches!(kind("ws://h/", &[("Authorization", "Basic a")]), Ok(InHandshake::None)));
        assert!(matches!(kind("ws://h/?ticket=a", &[("x-auth-token", "a")]), Err(Misuse::TwoCredentials)));
        assert!(matches!(kind("http://h/", &[]), Err(Misuse::Url(_))));
        assert!(matches!(kind("ws://h/", &[("a b", "c")]), Err(Misuse::Header(name)) if name == "a b"));
        assert!(matches!(kind("ws://h/", &[("a", "b\r\nc: d")]), Err(Misuse::Header(name)) if name == "a"));
    }

    #[test]
    fn the_hub_may_send_us_elsewhere_but_not_to_where_it_is_less_safe() {
        let go = |from: &str, to: &str| {
            let mut dial = dial(from, &[]).ok()?;
            dial.go(Some(to.to_owned()));
            dial.elsewhere.map(|url| url.to_string())
        };
        assert_eq!(go("ws://a/", "ws://b/").as_deref(), Some("ws://b/"));
        assert_eq!(go("ws://a/", "wss://b/").as_deref(), Some("wss://b/"));
        assert_eq!(go("wss://a/", "wss://b/").as_deref(), Some("wss://b/"));
        assert_eq!(go("wss://a/", "ws://b/"), None);
        assert_eq!(go("ws://a/", "http://b/"), None);
    }
}
