//! What a raw stream can be opened to: one file a kind of service.
//!
//! A service is made [`Ready`] before its client is answered, so that what cannot be had is told by a status; then it gets the
//! bytes ([`Ready::serve`]). To add a kind: a variant of [`Kind`] and one of [`Ready`], and its name to `BUILT_IN` in the
//! configuration if it has no upstream.

mod io;
pub(crate) mod probe;
mod upstream;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use trunkline_net::stream::{Bounds, Carried, Echo, Relay};

use crate::App;
use crate::config::{Auth, Config, Origins, ServiceConfig};
use crate::connection::Remote;
use crate::metrics::Carriage;

pub(crate) use io::{Carrier, Io};
pub(crate) use upstream::Unavailable;
use upstream::Upstream;

/// One service, as it was configured.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    pub(crate) auth: Auth,
    /// Which pages may open it.
    pub(crate) origins: Origins,
    bounds: Bounds,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Echo,
    Upstream(Upstream),
}

/// Who wants to be served, and how they asked.
pub(crate) struct Visit {
    pub(crate) app: Arc<App>,
    pub(crate) remote: Arc<Remote>,
    /// The request that the stream was opened by; `None` where it has been a stream from its first byte.
    pub(crate) request: Option<Arc<Request<()>>>,
    pub(crate) carriage: Carriage,
}

/// A service that waits for its client's bytes.
pub(crate) enum Ready {
    Echo(Bounds),
    Upstream(upstream::Connected, Bounds),
}

impl Service {
    /// Whatever has to be there before the client may be told yes.
    pub(crate) async fn ready(&self, visit: &Visit) -> Result<Ready, Unavailable> {
        Ok(match &self.kind {
            Kind::Echo => Ready::Echo(self.bounds),
            Kind::Upstream(upstream) => {
                let hand_on = self.auth == Auth::Upstream;
                Ready::Upstream(upstream.connect(&self.name, visit, hand_on).await?, self.bounds)
            }
        })
    }

    fn new(name: &str, said: ServiceConfig, origins: &Origins) -> Service {
        Service {
            name: name.to_owned(),
            auth: said.auth(),
            bounds: Bounds { idle: Some(said.idle), lifetime: said.lifetime },
            kind: match said.upstream {
                None => Kind::Echo,
                Some(address) => Kind::Upstream(Upstream { address, patience: said.connect_timeout }),
            },
            origins: said.origins.unwrap_or_else(|| origins.clone()),
        }
    }
}

impl Ready {
    /// Serves in a task of its own, so that nothing of the way in stays in memory with it.
    pub(crate) fn serve(self, visit: &Visit, io: Io) {
        let open = Open {
            app: visit.app.clone(),
            remote: visit.remote.clone(),
            _counted: visit.app.metrics.stream(visit.carriage),
        };
        match self {
            Ready::Echo(bounds) => drop(tokio::spawn(open.carry(Echo::new(io, bounds)))),
            Ready::Upstream(upstream, bounds) => {
                drop(tokio::spawn(open.carry(Relay::new(io, upstream, bounds))));
            }
        }
    }
}

/// What one open stream holds beside its bytes.
struct Open {
    app: Arc<App>,
    /// Counts the connection until all else is over.
    remote: Arc<Remote>,
    _counted: crate::metrics::Open,
}

impl Open {
    async fn carry<C: Carries>(self, carrying: C) {
        let app = self.app.clone();
        let mut carrying = pin!(carrying);
        let counting = std::future::poll_fn(|cx| {
            let before = carrying.carried();
            let polled = carrying.as_mut().poll(cx);
            let after = match &polled {
                Poll::Ready(carried) => (carried.there, carried.back),
                Poll::Pending => carrying.carried(),
            };
            app.metrics.stream_bytes_in.inc_by(after.0 - before.0);
            app.metrics.stream_bytes_out.inc_by(after.1 - before.1);
            polled
        });
        let address = self.remote.address();
        tokio::select! {
            Carried { there, back, why } = counting => {
                tracing::debug!(?address, there, back, ?why, "a raw stream ended");
            }
            () = app.stop.cut() => tracing::debug!(?address, "cut a raw stream that did not end in time"),
        }
    }
}

/// What carries bytes and knows how many.
trait Carries: Future<Output = Carried> {
    /// From the client, and to it.
    fn carried(&self) -> (u64, u64);
}

impl<A, B> Carries for Relay<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    fn carried(&self) -> (u64, u64) {
        Relay::carried(self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carries for Echo<S> {
    fn carried(&self) -> (u64, u64) {
        (Echo::carried(self), Echo::carried(self))
    }
}

/// Every service that is there, and what belongs to one.
#[derive(Debug)]
pub(crate) struct Services {
    by_name: BTreeMap<String, Arc<Service>>,
    /// Those that have hosts or paths of their own; the more particular ones first.
    mapped: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    host: Option<String>,
    path: Option<String>,
    service: Arc<Service>,
}

impl Services {
    pub(crate) fn new(config: &Config) -> Services {
        let mut by_name = BTreeMap::new();
        let mut mapped = Vec::new();
        for (name, said) in config.services() {
            let (hosts, paths) = (optional(&said.host), optional(&said.path));
            let service = Arc::new(Service::new(name, said, &config.origins));
            for host in &hosts {
                for path in &paths {
                    let (host, path) = (host.clone(), path.clone());
                    if host.is_some() || path.is_some() {
                        mapped.push(Place { host, path, service: service.clone() });
                    }
                }
            }
            by_name.insert(name.to_owned(), service);
        }
        mapped.sort_by_key(|place| (place.host.is_none(), place.path.is_none()));
        Services { by_name, mapped }
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Service>> {
        self.by_name.get(name)
    }

    /// The service to which an upgrade at this place belongs. `host` is without its port.
    pub(crate) fn at(&self, host: &str, path: &str) -> Option<&Arc<Service>> {
        let fits = |place: &&Place| {
            place.host.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(host))
                && place.path.as_ref().is_none_or(|own| own == path)
        };
        self.mapped.iter().find(fits).map(|place| &place.service)
    }
}

/// None of them is one that always fits.
fn optional(names: &[String]) -> Vec<Option<String>> {
    if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() }
}

/// How long a client that was refused after its upgrade may take to read why.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_particular_is_found_first_and_a_host_alone_has_all_its_paths() {
        let toml = r#"
            [service.by-path]
            upstream = "tcp:h:1"
            path = ["/a", "/b"]
            [service.by-host]
            upstream = "tcp:h:2"
            host = "db.example"
            [service.by-both]
            upstream = "tcp:h:3"
            host = ["db.example", "other.example"]
            path = "/a"
        "#;
        let services = Services::new(&Config::parse("t", toml).expect("no problems"));
        for (host, path, expected) in [
            ("a.example", "/a", Some("by-path")),
            ("a.example", "/c", None),
            ("DB.example", "/", Some("by-host")),
            ("db.example", "/b", Some("by-host")),
            ("db.example", "/a", Some("by-both")),
            ("other.example", "/a", Some("by-both")),
            ("other.example", "/b", Some("by-path")),
            ("other.example", "/c", None),
        ] {
            let found = services.at(host, path).map(|service| service.name.as_str());
            assert_eq!(found, expected, "{host}{path}");
        }
        assert!(services.named("by-both").is_some() && services.named("echo").is_some());
    }

    #[test]
    fn an_upstream_asks_for_a_ticket_unless_it_is_told_otherwise_and_what_is_built_in_does_not() {
        let toml =
            "[service.x]\nupstream = \"tcp:h:1\"\n[service.y]\nupstream = \"tcp:h:1\"\nauth = \"none\"";
        let services = Services::new(&Config::parse("t", toml).expect("no problems"));
        let auth = |name| services.named(name).expect("it is there").auth;
        assert_eq!((auth("x"), auth("y"), auth("echo")), (Auth::Ticket, Auth::Nobody, Auth::Nobody));
    }
}
