use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::suite::{Recorder, World, broker_suite, channel, content, link, user};
use super::*;

struct Memory;

impl World for Memory {
    fn broker(&self, sink: Arc<dyn Sink>) -> Arc<dyn Broker> {
        Arc::new(MemoryBroker::new(Clock::starting_at(1_000_000), sink, 100))
    }

    async fn pass(&self, broker: &Arc<dyn Broker>, time: Duration) {
        tokio::time::advance(time).await;
        broker.maintain();
    }
}

broker_suite!(Memory);

const POSITION: HistoryQuery = HistoryQuery { since: None, limit: 0, bytes: 0, reverse: false };

fn small() -> MemoryBroker {
    MemoryBroker::new(Clock::starting_at(0), Arc::new(Recorder::default()), 4)
}

async fn position(broker: &MemoryBroker, name: &str) -> Result<Position, BrokerError> {
    broker.history(&channel(name), POSITION).await.map(|page| page.top)
}

/// Every part of the map is visited once.
fn sweep_all(broker: &MemoryBroker) {
    (0..SHARDS).for_each(|_| broker.maintain());
}

#[tokio::test(start_paused = true)]
async fn a_full_broker_gives_up_quiet_channels_and_never_their_epochs_again() {
    let broker = small();
    let mut epochs = HashSet::new();
    for number in 0..50 {
        let position = position(&broker, &format!("room:{number}")).await.expect("room is made");
        assert!(epochs.insert(position.epoch), "an epoch is never used again");
        assert!(broker.rooms.len() <= 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_broker_gives_up_nothing_that_is_in_use() {
    let broker = small();
    let kept = HistoryPolicy::default();
    broker.publish(&channel("room:history"), content("1"), &kept).await.expect("published");
    broker.enter(&channel("room:present"), link(1, 1), &user("ann"), None).await.expect("entered");
    position(&broker, "room:wanted").await.expect("made");
    broker.interest(&channel("room:wanted"), true).await.expect("interest");
    broker.enter(&channel("room:too"), link(2, 1), &user("bob"), None).await.expect("entered");
    assert_eq!(position(&broker, "room:one-more").await, Err(BrokerError::Full("channels")));
    broker.leave(&channel("room:too"), link(2, 1), &user("bob")).await.expect("left");
    tokio::time::advance(SEARCH_PAUSE).await;
    assert!(position(&broker, "room:one-more").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_channel_is_forgotten_after_a_day_and_comes_back_with_another_epoch() {
    let broker = small();
    let before = position(&broker, "room:quiet").await.expect("made");
    tokio::time::advance(QUIET_FOR - Duration::from_secs(1)).await;
    sweep_all(&broker);
    assert_eq!(position(&broker, "room:quiet").await, Ok(before.clone()), "and asking counts as use");
    tokio::time::advance(QUIET_FOR).await;
    sweep_all(&broker);
    assert_eq!(broker.rooms.len(), 0);
    let after = position(&broker, "room:quiet").await.expect("made again");
    assert_ne!(after.epoch, before.epoch);
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_subscriber_outlives_any_quiet() {
    let broker = small();
    broker.interest(&channel("room:quiet"), true).await.expect("interest");
    let before = position(&broker, "room:quiet").await.expect("made");
    tokio::time::advance(10 * QUIET_FOR).await;
    sweep_all(&broker);
    assert_eq!(position(&broker, "room:quiet").await, Ok(before));
}

#[tokio::test(start_paused = true)]
async fn a_full_broker_without_anything_to_give_up_does_not_search_again_for_every_new_name() {
    let broker = small();
    let kept = HistoryPolicy::default();
    for number in 0..4 {
        broker.publish(&channel(&format!("room:{number}")), content("1"), &kept).await.expect("published");
    }
    assert_eq!(position(&broker, "room:new").await, Err(BrokerError::Full("channels")));
    // What would be found now shows that nobody looks.
    tokio::time::advance(SEARCH_PAUSE - Duration::from_millis(1)).await;
    broker.rooms.for_each(|_, room| room.channel = Channel::new(fresh_epoch()));
    assert_eq!(position(&broker, "room:new").await, Err(BrokerError::Full("channels")));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(position(&broker, "room:new").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_has_been_kept_long_enough_is_freed_though_nobody_touches_the_channel() {
    let broker = small();
    let kept = HistoryPolicy { ttl: Duration::from_secs(1), ..HistoryPolicy::default() };
    broker.publish(&channel("room:1"), content("1"), &kept).await.expect("published");
    tokio::time::advance(Duration::from_secs(2)).await;
    sweep_all(&broker);
    let mut bytes = None;
    broker.rooms.for_each(|_, room| bytes = Some(room.channel.kept_bytes()));
    assert_eq!(bytes, Some(0), "the channel is there, and holds nothing");
}
