//! Load for a hub: publishers and subscribers of one channel, and every delivery accounted for.

mod item;
mod publisher;
mod sequence;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use trunkline_client::dialect::{ChannelName, Code};
use trunkline_client::{Builder, Client, ConnectionEvent, ConnectionEvents, Connector, Error, Limits};
use trunkline_net::url::WsUrl;

use self::item::Items;
use self::publisher::publisher;
use self::sequence::PAIR_BYTES;
use self::subscriber::{Seat, subscriber};
use super::load::Load;
use super::progress::Progress;
use super::report::{self, Findings, Latency, Report, Settings};
use super::run::{Run, Tasks, conduct};
use super::tally::{Errors, Kind};
use crate::api::{Api, TicketRequest};
use crate::args;
use crate::exit::Failure;
use crate::signals::Signals;
use crate::{descriptors, dial, hub, output};

/// Whose tickets are minted, unless told.
const USER: &str = "bench";

/// Pairs of a publisher and a subscriber: for each it is known what arrived, in [`PAIR_BYTES`].
const PAIRS: u64 = (64 << 20) / PAIR_BYTES;

/// What is to be measured.
pub(super) struct Bench {
    hub: HubDoor,
    channel: String,
    subscribers: u32,
    publishers: u32,
    load: Load,
    ramp: Duration,
    items: Items,
    settings: Settings,
}

/// How to come in.
struct HubDoor {
    url: WsUrl,
    connector: Connector,
    limits: Limits,
    /// Where tickets come from, and for whom. Without, everybody is nobody in particular.
    tickets: Option<(Api, String)>,
}

/// What all tasks share.
struct Shared {
    run: Run,
    hub: HubDoor,
    channel: String,
    publishers: u32,
    items: Items,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    /// Publications that the hub has taken, those of the warm-up too.
    taken: AtomicU64,
    unsent: AtomicU64,
    lost: AtomicU64,
    duplicated: AtomicU64,
    out_of_order: AtomicU64,
    foreign: AtomicU64,
}

impl Bench {
    /// # Errors
    ///
    /// Usage: a channel, a user or a URL that cannot be, or more than there is room for.
    pub(super) fn new(args: args::Bench, url: WsUrl, load: Load, size: u64) -> Result<Self, Failure> {
        let args::BenchHub { channel, subscribers, publishers, user, api, api_key } = args.hub;
        let channel = channel.unwrap_or_default();
        ChannelName::new(&channel).map_err(|why| Failure::usage(format_args!("--channel: {why}")))?;
        if url.userinfo().is_some() {
            return Err(Failure::usage(
                "the URL has a user name, which says nothing to the hub; give the API key",
            ));
        }
        let items = Items::new(size as usize).map_err(|why| Failure::usage(format_args!("--size: {why}")))?;
        let (subscribers, publishers) = (subscribers.unwrap_or(1), publishers.unwrap_or(1));
        let all = subscribers.saturating_add(publishers);
        fits(subscribers, publishers)?;
        descriptors::make_room(all.into())
            .map_err(|why| Failure::usage(format_args!("--subscribers and --publishers: {why}")))?;
        let user =
            user.or_else(|| api_key.as_deref().is_some_and(|key| !key.is_empty()).then(|| USER.to_owned()));
        let api =
            args::Api { url: api.unwrap_or_else(|| api_of(&url)), key: api_key, way: args.dial.way.clone() };
        let tickets = user.map(|user| Ok((Api::new(&api)?, user))).transpose()?;
        if let Some((_, user)) = &tickets {
            // The longest of all names.
            ticket_for(user, all)?;
        }
        let limits = Limits {
            requests: load.in_flight.max(Limits::default().requests),
            in_flight: load.in_flight,
            message: Limits::default().message + 2 * items.size(),
            ..Limits::default()
        };
        let connector = dial::connector(&args.dial, trunkline_net::Limits::default())?;
        Ok(Self {
            settings: Settings::new(&load, items.size(), true, args.dial.deflate),
            ramp: super::ramp(&args.load, all),
            hub: HubDoor { url, connector, limits, tickets },
            channel,
            subscribers,
            publishers,
            load,
            items,
        })
    }
}

/// Measures. The first connection is tried alone: nothing is loaded that cannot be connected to.
///
/// # Errors
///
/// The first connection, or its subscription, does not come about.
pub(super) async fn run(bench: Bench, signals: &mut Signals) -> Result<Report, Failure> {
    let Bench { hub, channel, subscribers, publishers, load, ramp, items, settings } = bench;
    let run = Run::new(load, publishers, ramp);
    let shared = Arc::new(Shared { run, hub, channel, publishers, items, counts: Counts::default() });
    let (mut seat, mut client) = (None, None);
    let first = async {
        match subscribers {
            0 => client = Some(shared.connect(0).await.map_err(|error| shared.failure(error))?),
            _ => seat = Some(Seat::take(&shared, 0).await.map_err(|error| shared.failure(error))?),
        }
        Ok(())
    };
    tokio::select! {
        first = first => first?,
        () = signals.next() => return Err(Failure::unclean("interrupted before the first connection stood")),
    }
    let (opening, opened) = mpsc::channel(1);
    let mut tasks = Tasks::default();
    for number in 0..subscribers {
        tasks.listeners.spawn(subscriber(Arc::clone(&shared), number, seat.take(), opening.clone()));
    }
    for number in 0..publishers {
        let all_before = subscribers + number;
        let task = publisher(Arc::clone(&shared), all_before, client.take(), opening.clone());
        tasks.senders.spawn(task);
    }
    drop(opening);
    let wanted = u64::from(subscribers) + u64::from(publishers);
    let run = &shared.run;
    let progress = match subscribers {
        0 => Progress::new(run, wanted, "publications", &run.published),
        _ => Progress::new(run, wanted, "deliveries", &run.latency),
    };
    let taken = || shared.counts.taken.load(Ordering::Relaxed);
    let course = conduct(run, tasks, opened, signals, progress, taken).await?;
    let findings = shared.findings(subscribers);
    Ok(Report::new(run, &course, super::place(&shared.hub.url), wanted, settings, findings))
}

impl Shared {
    /// A client, as one user of its own.
    async fn connect(&self, number: u32) -> Result<Client, Error> {
        let HubDoor { url, connector, limits, tickets } = &self.hub;
        let mut builder = Builder::at(url.clone())
            .software(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .connector(connector.clone())
            .limits(limits.clone());
        if let Some((api, user)) = tickets {
            let source = Arc::new((api.clone(), ticket_for(user, number + 1)));
            builder = builder.ticket_source(move || {
                let source = Arc::clone(&source);
                async move {
                    match &source.1 {
                        Ok(request) => source.0.mint(request).await,
                        Err(failure) => Err(Failure::usage(failure)),
                    }
                }
            });
        }
        builder.connect().await
    }

    /// Why the first connection did not come about.
    fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Connect(ending)
                if self.hub.tickets.is_none() && ending.code == Code::Unauthenticated.close_code() =>
            {
                let ending = output::for_terminal(&ending.to_string());
                Failure::unclean(format_args!("{ending}; give the API key, in TRUNKLINE_API_KEY"))
            }
            error => hub::failure(error),
        }
    }

    fn findings(&self, subscribers: u32) -> Findings {
        let (run, counts) = (&self.run, &self.counts);
        let (published, delivered) = (run.published.total(), run.latency.total());
        let (acknowledged, received) = (published.histogram.len(), delivered.histogram.len());
        let [unsent, lost, duplicated, out_of_order, foreign] =
            [&counts.unsent, &counts.lost, &counts.duplicated, &counts.out_of_order, &counts.foreign]
                .map(|count| count.load(Ordering::Relaxed));
        let size = self.items.size() as u64;
        Findings::Hub(report::Hub {
            channel: self.channel.clone(),
            subscribers: subscribers.into(),
            publishers: self.publishers.into(),
            publications: report::Publications {
                acknowledged,
                unsent,
                bytes: acknowledged * size,
                per_second: 0.0,
            },
            deliveries: report::Deliveries {
                received,
                bytes: received * size,
                per_second: 0.0,
                lost,
                duplicated,
                out_of_order,
                foreign,
            },
            publish_latency_ns: Latency::of(&published),
            delivery_latency_ns: Latency::of(&delivered),
            send_delay_ns: Latency::of(&run.delay.total()),
        })
    }
}

/// The connection of a client. When it is cut the client comes back by itself, and what that costs shows; only when all is
/// sent it is not waited for.
struct Line {
    events: ConnectionEvents,
    cut: bool,
}

impl Line {
    fn new(client: &Client) -> Self {
        Self { events: client.events(), cut: false }
    }

    fn is_cut(&self) -> bool {
        self.cut
    }

    /// Waits until something happens to it. Cancel-safe.
    async fn changed(&mut self, errors: &Errors) {
        match self.events.next().await {
            Some(ConnectionEvent::Disconnected { ending, .. }) => {
                // What fails after that are attempts to come back.
                if !std::mem::replace(&mut self.cut, true) {
                    errors.add(Kind::Ended, ending);
                }
            }
            Some(ConnectionEvent::Connected { .. }) => self.cut = false,
            Some(_) => {}
            // The client has ended, and whoever uses it learns that from it.
            None => std::future::pending().await,
        }
    }
}

fn ticket_for(user: &str, number: u32) -> Result<TicketRequest, Failure> {
    TicketRequest::plain(format!("{user}-{number}"))
}

/// Where the API is if nobody says so: where the hub's door is.
fn api_of(url: &WsUrl) -> String {
    format!("{}://{}", if url.is_secure() { "https" } else { "http" }, url.authority())
}

fn fits(subscribers: u32, publishers: u32) -> Result<(), Failure> {
    let pairs = u64::from(subscribers) * u64::from(publishers);
    if pairs <= PAIRS {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "--subscribers times --publishers may be at most {PAIRS}, since every delivery is accounted for; got {pairs}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pairs_fit_as_the_limit_and_one_more_does_not() {
        let half = u32::try_from(PAIRS / 2).expect("a small number");
        assert!(fits(half, 2).is_ok() && fits(0, u32::MAX).is_ok());
        let why = fits(half + 1, 2).expect_err("too many").to_string();
        assert!(why.contains("at most 4194304") && why.ends_with("got 4194306"), "{why}");
    }

    #[test]
    fn the_api_is_where_the_door_is() {
        for (url, api) in [
            ("ws://127.0.0.1:8101/connect", "http://127.0.0.1:8101"),
            ("wss://hub.example/connect?a=b", "https://hub.example"),
            ("ws://[::1]:80/", "http://[::1]"),
        ] {
            assert_eq!(api_of(&WsUrl::parse(url).expect("a URL")), api);
        }
    }
}
