//! `trunkline subscribe`: publications out, one JSON object a line.

use std::io;

use serde::Serialize;
use tokio::sync::mpsc;
use trunkline_client::dialect::{ChannelName, Join, Json, Leave, Member, Position, Publication, UserId};
use trunkline_client::{Event, Lost, SubscribeOptions, Subscription};

use crate::args::Subscribe;
use crate::exit::{Exit, Failure, Outcome};
use crate::hub::{self, Hub};
use crate::output;
use crate::signals::Signals;

/// Events between the subscriptions and stdout. Each subscription has a queue of its own behind this, and the hub's
/// history behind that.
const QUEUE: usize = 16;

pub(crate) async fn run(args: Subscribe) -> Outcome {
    for channel in &args.channels {
        ChannelName::new(channel).map_err(Failure::usage)?;
    }
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let hub = tokio::select! {
        hub = Hub::connect(args.hub) => hub?,
        () = signals.next() => return Ok(Exit::Unclean),
    };
    let outcome = tokio::select! {
        outcome = print_all(&hub, &args.channels, args.presence) => outcome,
        () = signals.next() => Ok(Exit::Clean),
    };
    hub.close(&mut signals).await;
    outcome
}

/// Prints until stdout has no reader any more, or no subscription is left.
async fn print_all(hub: &Hub, channels: &[String], presence: bool) -> Outcome {
    let (sender, mut events) = mpsc::channel(QUEUE);
    for channel in channels {
        let options = SubscribeOptions { presence, ..SubscribeOptions::default() };
        let subscription = hub.client.subscribe(channel, options).await.map_err(hub::failure)?;
        tracing::info!(channel, "subscribed");
        tokio::spawn(pass_on(subscription, sender.clone()));
    }
    drop(sender);
    while let Some((channel, event)) = events.recv().await {
        match tell(&channel, &event) {
            Ok(()) => {}
            // Whoever read, `head` for one, has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Clean),
            Err(error) => return Err(Failure::unclean(format_args!("stdout: {error}"))),
        }
    }
    Err(hub.nothing_left("no subscription is left").await)
}

async fn pass_on(mut subscription: Subscription, events: mpsc::Sender<(ChannelName, Event)>) {
    let channel = subscription.channel().clone();
    while let Some(event) = subscription.next().await {
        if events.send((channel.clone(), event)).await.is_err() {
            return;
        }
    }
}

/// What happens in the channel goes to stdout, what happens to the subscription to stderr.
fn tell(channel: &ChannelName, event: &Event) -> io::Result<()> {
    match event {
        Event::Publication(publication) => print(&PublicationLine::new(channel, publication)),
        Event::Members(members) => print(&PresenceLine { channel, who: Presence::Members(members) }),
        Event::Join(join) => print(&PresenceLine { channel, who: Presence::Join(join) }),
        Event::Leave(leave) => print(&PresenceLine { channel, who: Presence::Leave(leave) }),
        event => {
            if let Some(notice) = notice(event) {
                eprintln!("{channel}: {}", output::for_terminal(&notice));
            }
            Ok(())
        }
    }
}

fn print(line: &impl Serialize) -> io::Result<()> {
    output::line(serde_json::to_string(line)?)
}

fn notice(event: &Event) -> Option<String> {
    Some(match event {
        Event::Recovered { since } => {
            format!("recovered: nothing was lost, it goes on behind {}", place(since))
        }
        Event::Lost(Lost { before, now }) => {
            format!("may be lost: what came after {}; it goes on behind {}", place(before), place(now))
        }
        Event::Gap(gap) => {
            format!("lost: offsets {} to {}, which history no longer has", gap.from, gap.to)
        }
        Event::Unsubscribed(removed) => {
            format!("the hub ended the subscription: {} {}", removed.code, removed.message)
        }
        _ => return None,
    })
}

fn place(position: &Position) -> String {
    format!("offset {} of epoch {}", position.offset, position.epoch)
}

#[derive(Serialize)]
struct PublicationLine<'a> {
    channel: &'a ChannelName,
    offset: u64,
    data: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a UserId>,
    at: u64,
}

impl<'a> PublicationLine<'a> {
    fn new(channel: &'a ChannelName, publication: &'a Publication) -> Self {
        let Publication { offset, data, user, at } = publication;
        Self { channel, offset: *offset, data, user: user.as_ref(), at: *at }
    }
}

#[derive(Serialize)]
struct PresenceLine<'a> {
    channel: &'a ChannelName,
    #[serde(flatten)]
    who: Presence<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Presence<'a> {
    Members(&'a [Member]),
    Join(&'a Join),
    Leave(&'a Leave),
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_client::dialect::{Epoch, Gap};

    fn channel() -> ChannelName {
        ChannelName::new("room:1").expect("a name")
    }

    fn user() -> UserId {
        UserId::new("ann").expect("a user")
    }

    fn info() -> Json {
        Json::parse(r#"{"n":1.50}"#).expect("JSON")
    }

    #[test]
    fn a_publication_is_one_line_with_its_data_as_published() {
        let publication = Publication { offset: 7, data: info(), user: Some(user()), at: 1234 };
        let line =
            serde_json::to_string(&PublicationLine::new(&channel(), &publication)).expect("it is JSON");
        assert_eq!(line, r#"{"channel":"room:1","offset":7,"data":{"n":1.50},"user":"ann","at":1234}"#);
    }

    #[test]
    fn presence_is_told_in_the_words_of_the_dialect() {
        let channel = &channel();
        let member = Member { user: user(), info: Some(info()), sessions: 2 };
        let join = Join { user: user(), info: Some(info()) };
        let leave = Leave { user: user() };
        let table = [
            (
                Presence::Members(std::slice::from_ref(&member)),
                r#"{"channel":"room:1","members":[{"user":"ann","info":{"n":1.50},"sessions":2}]}"#,
            ),
            (Presence::Join(&join), r#"{"channel":"room:1","join":{"user":"ann","info":{"n":1.50}}}"#),
            (Presence::Leave(&leave), r#"{"channel":"room:1","leave":{"user":"ann"}}"#),
        ];
        for (who, expected) in table {
            assert_eq!(serde_json::to_string(&PresenceLine { channel, who }).expect("it is JSON"), expected);
        }
    }

    #[test]
    fn whatever_is_lost_is_named_by_its_place() {
        let position = |epoch, offset| Position::new(Epoch::new(epoch).expect("an epoch"), offset);
        let (before, now) = (position("a", 5), position("b", 0));
        let lost = notice(&Event::Lost(Lost { before: before.clone(), now })).unwrap_or_default();
        assert_eq!(
            lost,
            "may be lost: what came after offset 5 of epoch a; it goes on behind offset 0 of epoch b"
        );
        let gap = notice(&Event::Gap(Gap { from: 6, to: 9 })).unwrap_or_default();
        assert_eq!(gap, "lost: offsets 6 to 9, which history no longer has");
        let recovered = notice(&Event::Recovered { since: before }).unwrap_or_default();
        assert_eq!(recovered, "recovered: nothing was lost, it goes on behind offset 5 of epoch a");
    }
}
