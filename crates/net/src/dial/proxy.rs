//! Clients behind proxies: which one to use for which host, and how to ask it.

mod connect_tunnel;
mod environment;
mod socks;
mod url;

use self::environment::Environment;
use self::url::Scheme;
pub use self::url::{ProxyUrl, ProxyUrlError};
use super::phase::Way;
use super::turn::{self, Key};
use super::{DialCause, DialError, Dialling, Opening, Phase, Reached, Via, host_and_port};

/// Which proxy to connect through.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ProxyPolicy {
    /// None, whatever the environment says: what a library should do unless it is told otherwise.
    #[default]
    None,
    /// As the environment says when this is given to a [`Connector`](crate::Connector): for `wss:` that is
    /// `https_proxy`, for `ws:` `http_proxy`, for both `all_proxy`; each in lower case first, then in upper case. An
    /// empty variable is none. `HTTP_PROXY` in upper case is not looked at in a CGI process (where `REQUEST_METHOD` is
    /// set), because there a client's `Proxy` header becomes that variable.
    ///
    /// `no_proxy` or `NO_PROXY` lists what is connected to directly, separated by commas or spaces: `*` is everything;
    /// `example.com` and `.example.com` are that name and all below it; `192.0.2.1` and `2001:db8::/32` are addresses as
    /// they stand in URLs, names are not looked up for them; behind any of them `:8443` limits it to that port. A dot at
    /// the end of a name, here or in the URL, makes no difference.
    /// Nothing is exempt that is not listed, loopback neither: as curl does it.
    ///
    /// A variable that holds no proxy's URL, or no UTF-8, fails the connection: going without would show what was not
    /// meant to be.
    FromEnvironment,
    /// This one, for every host.
    Url(ProxyUrl),
}

impl ProxyPolicy {
    /// What a dialler works with; `None` never uses a proxy.
    pub(crate) fn into_via(self) -> Option<Proxying> {
        match self {
            Self::None => None,
            Self::FromEnvironment => Some(Proxying::AsTold(Environment::of_process())),
            Self::Url(url) => Some(Proxying::Always(Box::new(url))),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Proxying {
    Always(Box<ProxyUrl>),
    AsTold(Environment),
}

impl Via for Proxying {
    fn open<'a>(&'a self, dialling: Dialling<'a>) -> Opening<'a> {
        Box::pin(async move {
            match self {
                Self::Always(proxy) => reach(dialling, proxy).await.map(Some),
                Self::AsTold(environment) => match environment.proxy_for(dialling.url) {
                    Ok(Some(proxy)) => reach(dialling, &proxy).await.map(Some),
                    Ok(None) => Ok(None),
                    Err(bad) => {
                        let way = Way { to: host_and_port(dialling.url), proxy: None };
                        Err(way.failed(Phase::Proxy, DialCause::Proxy(Box::new(bad))))
                    }
                },
            }
        })
    }
}

/// A stream to the host through `proxy`.
async fn reach(dialling: Dialling<'_>, proxy: &ProxyUrl) -> Result<Reached, DialError> {
    let way = Way { to: host_and_port(dialling.url), proxy: Some(proxy.to_string()) };
    let turn = if dialling.dialler.one_at_a_time {
        let turn = turn::take(Key::Name(way.to.clone()));
        Some(dialling.watch.bound(Phase::Turn, &way, turn).await?)
    } else {
        None
    };
    let stream = match proxy.scheme {
        Scheme::Http | Scheme::Https => connect_tunnel::open(dialling, proxy, &way).await?,
        Scheme::Socks5 => socks::open_resolved(dialling, proxy, &way).await?,
        Scheme::Socks5h => socks::open_named(dialling, proxy, &way).await?,
    };
    let name = proxy.to_string();
    Ok(Reached { stream: stream.through(&name), turn, way })
}
