//! One subscriber: takes what is delivered, and knows what should have been.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use trunkline_client::dialect::Publication;
use trunkline_client::{Client, Error, Event, SubscribeOptions, Subscription};

use super::super::run::{Opening, PATIENCE};
use super::super::tally::Kind;
use super::item::{Item, Stray};
use super::sequence::{Arrival, Sequence};
use super::{Line, Shared};

/// A subscriber's place in the hub.
pub(super) struct Seat {
    client: Client,
    line: Line,
    subscription: Subscription,
}

impl Seat {
    /// Connects and subscribes.
    pub(super) async fn take(shared: &Shared, number: u32) -> Result<Self, Error> {
        let client = shared.connect(number).await?;
        let line = Line::new(&client);
        let subscription = client.subscribe(&shared.channel, SubscribeOptions::default()).await?;
        Ok(Self { client, line, subscription })
    }
}

/// The whole life of a subscriber.
pub(super) async fn subscriber(shared: Arc<Shared>, number: u32, first: Option<Seat>, opening: Opening) {
    let open = Box::pin(async {
        match first {
            Some(seat) => Ok(seat),
            None => Seat::take(&shared, number).await,
        }
    });
    let Some(seat) = shared.run.open(number, open).await else { return };
    drop(opening);
    let sequences = vec![Sequence::default(); shared.publishers as usize].into();
    let mut subscriber = Subscriber { shared: &shared, number, sequences, seat, found: Found::default() };
    let expected = subscriber.listen().await;
    subscriber.found.count(&shared, expected);
    subscriber.seat.client.close().await;
}

struct Subscriber<'s> {
    shared: &'s Shared,
    number: u32,
    /// One for each publisher.
    sequences: Box<[Sequence]>,
    seat: Seat,
    found: Found,
}

/// What a subscriber has got.
#[derive(Default)]
struct Found {
    /// Each counted once.
    distinct: u64,
    duplicated: u64,
    out_of_order: u64,
    foreign: u64,
}

impl Subscriber<'_> {
    /// Takes deliveries until all are there, or no more come. Gives how many there should be.
    async fn listen(&mut self) -> u64 {
        let run = &self.shared.run;
        let (collect, give_up) = (run.collect(), sleep(Duration::MAX));
        tokio::pin!(collect, give_up);
        let mut expected = None;
        while expected.is_none_or(|expected| self.found.distinct < expected && !self.seat.line.is_cut()) {
            tokio::select! {
                biased;
                event = self.seat.subscription.next() => match event {
                    Some(event) => {
                        self.take(event);
                        // As long as they come, they are waited for.
                        give_up.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                    }
                    None => {
                        run.errors.add(Kind::Ended, "the subscription has ended");
                        break;
                    }
                },
                () = self.seat.line.changed(&run.errors) => {}
                count = &mut collect, if expected.is_none() => {
                    expected = Some(count);
                    give_up.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
                () = &mut give_up, if expected.is_some() => break,
            }
        }
        match expected {
            Some(expected) => expected,
            None => collect.await,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Publication(publication) => self.deliver(&publication),
            Event::Unsubscribed(removed) => {
                let why =
                    format_args!("the hub ended the subscription: {} {}", removed.code, removed.message);
                self.shared.run.errors.add(Kind::Ended, why);
            }
            // What is lost is missing in the end.
            _ => {}
        }
    }

    fn deliver(&mut self, publication: &Publication) {
        let now = Instant::now();
        let run = &self.shared.run;
        let Item { publisher, number, at } = match self.shared.items.read(&publication.data) {
            Ok(item) => item,
            Err(Stray::Foreign) => return self.found.foreign += 1,
            Err(Stray::Damaged) => {
                return run.errors.add(Kind::WrongDelivery, "other data than what was published");
            }
        };
        let (Some(sequence), Some(plan)) = (self.sequences.get_mut(publisher as usize), run.planned()) else {
            return run.errors.add(Kind::WrongDelivery, "a publisher that there is not");
        };
        match sequence.arrive(number) {
            Arrival::Duplicate => return self.found.duplicated += 1,
            Arrival::OutOfOrder => self.found.out_of_order += 1,
            Arrival::InOrder => {}
        }
        self.found.distinct += 1;
        let moment = plan.begin + Duration::from_nanos(at);
        if moment >= plan.measured_from() {
            run.latency.record(self.number.into(), now.saturating_duration_since(moment), now);
        }
    }
}

impl Found {
    /// Adds it to what all have got.
    fn count(&self, shared: &Shared, expected: u64) {
        let counts = &shared.counts;
        for (count, found) in [
            (&counts.lost, expected.saturating_sub(self.distinct)),
            (&counts.duplicated, self.duplicated),
            (&counts.out_of_order, self.out_of_order),
            (&counts.foreign, self.foreign),
        ] {
            count.fetch_add(found, Ordering::Relaxed);
        }
    }
}
