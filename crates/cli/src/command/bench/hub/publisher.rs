//! One publisher: publishes what is due, and waits for the hub's word for each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;
use trunkline_client::dialect::Position;
use trunkline_client::{Client, Error};

use super::super::load::{Plan, Turns};
use super::super::run::{Opening, PATIENCE};
use super::super::tally::Kind;
use super::item::Item;
use super::{Line, Shared};

/// The whole life of a publisher. `number` is the one of its connection.
pub(super) async fn publisher(shared: Arc<Shared>, number: u32, first: Option<Client>, opening: Opening) {
    let run = &shared.run;
    let open = Box::pin(async {
        match first {
            Some(client) => Ok(client),
            None => shared.connect(number).await,
        }
    });
    let Some(client) = run.open(number, open).await else { return };
    let line = Line::new(&client);
    let sender = run.enlist();
    drop(opening);
    if let Some(plan) = run.plan().await {
        let turns = Turns::new(plan, sender);
        let mut publisher = Publisher { shared: &shared, client: &client, sender, plan, turns, line };
        publisher.publish().await;
        let unsent = publisher.turns.missed(Instant::now());
        shared.counts.unsent.fetch_add(unsent, Ordering::Relaxed);
    }
    client.close().await;
}

struct Publisher<'s> {
    shared: &'s Shared,
    client: &'s Client,
    sender: u64,
    plan: Plan,
    turns: Turns,
    line: Line,
}

/// The hub's word for a publication that was due at a moment.
type Answer = (Instant, Result<Position, Error>);

/// Whether there is something to go on for.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

impl Publisher<'_> {
    /// Publishes until nothing more is to be published and all is answered.
    async fn publish(&mut self) {
        let run = &self.shared.run;
        let (over, give_up) = (run.over(), sleep(Duration::MAX));
        tokio::pin!(over, give_up);
        // In the order in which they are put in, they begin; each begins by taking its place in the client's queue.
        let mut answers = FuturesUnordered::new();
        let mut sending = true;
        loop {
            let now = Instant::now();
            while sending && answers.len() < self.plan.load.in_flight {
                let Some(item) = self.next(now) else { break };
                answers.push(ask(self.shared, self.client, self.plan, item));
            }
            if answers.is_empty() && (!sending || self.turns.are_over(now)) {
                return;
            }
            if !sending && self.line.is_cut() {
                return run.errors.add_many(Kind::Unanswered, "the connection was cut", answers.len() as u64);
            }
            let room = sending && answers.len() < self.plan.load.in_flight;
            tokio::select! {
                biased;
                Some(answer) = answers.next() => {
                    if self.answered(answer) == Then::End {
                        return;
                    }
                }
                () = self.line.changed(&run.errors) => {}
                () = run.due(self.sender), if room => {}
                () = &mut over, if sending => {
                    sending = false;
                    give_up.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
                () = &mut give_up, if !sending => {
                    let why = format_args!("no answer within {} s of the end", PATIENCE.as_secs());
                    return run.errors.add_many(Kind::Unanswered, why, answers.len() as u64);
                }
            }
        }
    }

    /// The next publication, if it is due.
    fn next(&mut self, now: Instant) -> Option<Item> {
        let moment = self.turns.due(now)?;
        let number = self.turns.take(moment);
        if self.plan.load.rate.is_some() && moment >= self.plan.measured_from() {
            self.shared.run.delay.record(self.sender, now - moment, now);
        }
        let since_begin = moment.saturating_duration_since(self.plan.begin).as_nanos();
        let at = u64::try_from(since_begin).unwrap_or(u64::MAX);
        // There are no more senders than publishers, whose number is one of 32 bits.
        Some(Item { publisher: self.sender as u32, number, at })
    }

    fn answered(&self, (moment, answer): Answer) -> Then {
        let run = &self.shared.run;
        let error = match answer {
            Ok(_) => {
                self.shared.counts.taken.fetch_add(1, Ordering::Relaxed);
                if moment >= self.plan.measured_from() {
                    let now = Instant::now();
                    run.published.record(self.sender, now.saturating_duration_since(moment), now);
                }
                return Then::GoOn;
            }
            Err(error) => error,
        };
        match &error {
            Error::UnknownOutcome => {
                run.errors.add(Kind::Unanswered, &error);
                Then::GoOn
            }
            Error::Refused(refusal) => {
                run.errors.add(Kind::Refused, &error);
                // What is refused for good is refused the next time too.
                if refusal.retry { Then::GoOn } else { Then::End }
            }
            _ => {
                run.errors.add(Kind::Ended, &error);
                Then::End
            }
        }
    }
}

async fn ask(shared: &Shared, client: &Client, plan: Plan, item: Item) -> Answer {
    let moment = plan.begin + Duration::from_nanos(item.at);
    let answer = match shared.items.write(item) {
        Ok(data) => client.publish(&shared.channel, &data).await,
        Err(error) => Err(Error::Data(error)),
    };
    (moment, answer)
}
