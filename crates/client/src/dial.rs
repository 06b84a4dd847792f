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
    url: String,
    /// Without a ticket in its query.
    url_alone: String,
    /// Where the hub has sent us for the next attempt.
    elsewhere: Option<String>,
    /// Without the header that is a credential.
    connector: Connector,
    credential: Option<(String, String)>,
}

impl Dial {
    pub(crate) fn new(
        url: String,
        headers: Vec<(String, String)>,
        connector: Connector,
        limits: &Limits,
    ) -> Result<Self, Misuse> {
        WsUrl::parse(&url).map_err(Misuse::Url)?;
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
        if credentials.next().is_some() || credential.is_some() && without_ticket(&url) != url {
            return Err(Misuse::TwoCredentials);
        }
        let url_alone = without_ticket(&url);
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

    /// The hub names another URL for the next attempt. It must be as safe as ours: a session goes there.
    pub(crate) fn go(&mut self, elsewhere: Option<String>) {
        let secure = |url: &str| WsUrl::parse(url).map(|url| url.is_secure());
        self.elsewhere = elsewhere.filter(|there| match (secure(&self.url), secure(there)) {
            (Ok(ours), Ok(theirs)) => theirs || !ours,
            _ => false,
        });
    }

    /// One opening handshake. Another URL that the hub named is tried once.
    pub(crate) async fn connect(&mut self, plan: Plan) -> Result<WebSocket<Dialled>, trunkline_net::Error> {
        if plan != Plan::Handshake {
            let url = self.elsewhere.take().unwrap_or_else(|| self.url_alone.clone());
            return self.connector.connect(&url).await;
        }
        match &self.credential {
            Some((name, value)) => self.connector.clone().secret_header(name, value).connect(&self.url).await,
            None => self.connector.connect(&self.url).await,
        }
    }
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
fn without_ticket(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else { return url.to_owned() };
    let is_ticket = |pair: &&str| pair.split('=').next() == Some("ticket");
    let kept: Vec<_> = query.split('&').filter(|pair| !is_ticket(pair)).collect();
    match kept.join("&") {
        kept if kept.is_empty() && !query.is_empty() => before.to_owned(),
        kept => format!("{before}?{kept}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(url: &str, headers: &[(&str, &str)]) -> Result<Dial, Misuse> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Dial::new(url.to_owned(), headers, Connector::default(), &Limits::default())
    }

    #[test]
    fn a_ticket_is_taken_out_of_a_url_and_the_rest_stays() {
        for (url, alone) in [
            ("ws://h/connect", "ws://h/connect"),
            ("ws://h/connect?", "ws://h/connect?"),
            ("ws://h/connect?ticket=a", "ws://h/connect"),
            ("ws://h/connect?a=1&ticket=b&c=2", "ws://h/connect?a=1&c=2"),
            ("ws://h/connect?tickets=1", "ws://h/connect?tickets=1"),
        ] {
            assert_eq!(without_ticket(url), alone);
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
            dial.elsewhere
        };
        assert_eq!(go("ws://a/", "ws://b/").as_deref(), Some("ws://b/"));
        assert_eq!(go("ws://a/", "wss://b/").as_deref(), Some("wss://b/"));
        assert_eq!(go("wss://a/", "wss://b/").as_deref(), Some("wss://b/"));
        assert_eq!(go("wss://a/", "ws://b/"), None);
        assert_eq!(go("ws://a/", "http://b/"), None);
    }
}
