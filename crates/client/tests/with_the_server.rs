//! Client and server together, over a network that breaks.

mod support;

use std::time::Duration;

use serde_json::json;
use support::server::{Running, Wire, ticket};
use support::{event, happens, soon};
use trunkline_client::{Client, Error, Event, Limits, SubscribeOptions, Subscription};

async fn client(server: &Running, user: &str) -> Client {
    let connecting = Client::builder(server.url()).ticket(server.ticket(user).await).connect();
    soon("connecting", connecting).await.expect("connected")
}

async fn subscribe(client: &Client, presence: bool) -> Subscription {
    let options = SubscribeOptions { presence, ..SubscribeOptions::default() };
    soon("subscribing", client.subscribe("room:1", options)).await.expect("subscribed")
}

/// The data of the next publication; anything else fails the test.
async fn data(subscription: &mut Subscription) -> u64 {
    match soon("a publication", subscription.next()).await {
        Some(Event::Publication(publication)) => publication.data.read().expect("a number"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_clients_talk_and_see_each_other() {
    let server = Running::start().await;
    let (ann, bob) = (client(&server, "ann").await, client(&server, "bob").await);
    let mut of_ann = subscribe(&ann, true).await;
    assert_eq!(event(&mut of_ann).await, "members 1");
    let mut of_bob = subscribe(&bob, true).await;
    assert_eq!(event(&mut of_bob).await, "members 2");
    assert_eq!(event(&mut of_ann).await, "join bob");

    let first = ann.publish("room:1", &1).await.expect("published");
    let second = bob.publish_to_others("room:1", &2).await.expect("published");
    assert_eq!((first.offset, second.offset), (1, 2));
    assert_eq!((data(&mut of_ann).await, data(&mut of_ann).await), (1, 2));
    assert_eq!(data(&mut of_bob).await, 1);

    let history = bob.history("room:1", None, 10).await.expect("answered");
    assert_eq!(history.publications.len(), 2);
    assert_eq!(history.publications[0].user.as_ref().map(|user| user.as_str()), Some("ann"));
    let backwards = bob.history_backwards("room:1", None, 1).await.expect("answered");
    assert_eq!(backwards.publications[0].offset, 2);
    assert_eq!(ann.presence("room:1").await.expect("answered").count, 2);
    assert!(ann.ping().await.expect("answered").time > 0);

    bob.unsubscribe("room:1").await.expect("unsubscribed");
    assert_eq!(event(&mut of_ann).await, "leave bob");
    assert_eq!(event(&mut of_bob).await, "end");
}

#[tokio::test]
async fn through_many_cuts_every_publication_comes_once_and_in_order() {
    let server = Running::start().await;
    let wire = Wire::to(server.address).await;
    // However short a connection held, the next wait is as after the first loss: the test is about what comes after.
    let limits = Limits { stable: Duration::ZERO, ..Limits::default() };
    let builder = Client::builder(wire.url()).ticket(server.ticket("ann").await).limits(limits);
    let ann = soon("connecting", builder.connect()).await.expect("connected");
    let mut subscription = subscribe(&ann, false).await;
    let bob = client(&server, "bob").await;
    for round in 0..5_u64 {
        for number in 0..20 {
            bob.publish("room:1", &(round * 40 + number)).await.expect("published");
        }
        wire.cut();
        for number in 20..40 {
            bob.publish("room:1", &(round * 40 + number)).await.expect("published");
        }
        let mut seen = round * 40;
        while seen < round * 40 + 40 {
            match soon("an event", subscription.next()).await {
                Some(Event::Publication(publication)) => {
                    assert_eq!(publication.data.read::<u64>().expect("a number"), seen);
                    seen += 1;
                }
                Some(Event::Recovered { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_was_answered_is_published_and_nothing_is_published_twice() {
    let server = Running::start().await;
    let wire = Wire::to(server.address).await;
    let limits = Limits { stable: Duration::ZERO, ..Limits::default() };
    let builder = Client::builder(wire.url()).ticket(server.ticket("ann").await).limits(limits);
    let ann = soon("connecting", builder.connect()).await.expect("connected");
    let bob = client(&server, "bob").await;
    let mut of_bob = subscribe(&bob, false).await;
    let mut publishing = tokio::task::JoinSet::new();
    for publisher in 0..8_u64 {
        let ann = ann.clone();
        publishing.spawn(async move {
            let mut outcomes = Vec::new();
            for number in 0..25 {
                let number = publisher * 25 + number;
                outcomes.push((number, ann.publish("room:1", &number).await));
            }
            outcomes
        });
    }
    for _ in 0..3 {
        // After something has come through, in the middle of the rest.
        data(&mut of_bob).await;
        wire.cut();
    }
    let mut answered = std::collections::BTreeMap::new();
    while let Some(outcomes) = soon("the publishers", publishing.join_next()).await {
        for (number, outcome) in outcomes.expect("no publisher panics") {
            match outcome {
                Ok(position) => drop(answered.insert(position.offset, number)),
                Err(Error::UnknownOutcome) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let history = bob.history("room:1", None, 1000).await.expect("answered").publications;
    let read =
        |publication: &trunkline_client::dialect::Publication| publication.data.read().expect("a number");
    let published: Vec<u64> = history.iter().map(read).collect();
    let unique: std::collections::BTreeSet<_> = published.iter().collect();
    assert_eq!(unique.len(), published.len(), "nothing twice");
    for (offset, number) in answered {
        let there = history.iter().find(|publication| publication.offset == offset).map(read);
        assert_eq!(there, Some(number), "offset {offset}");
    }
}

#[tokio::test]
async fn many_subscriptions_are_restored_no_faster_than_the_hub_takes_them() {
    let limits = "[limits]\ncommands_per_s = 20\ncommands_burst = 20\n";
    let server = Running::start_with("127.0.0.1:0", limits).await;
    let wire = Wire::to(server.address).await;
    let builder = Client::builder(wire.url()).ticket(server.ticket("ann").await);
    let ann = soon("connecting", builder.connect()).await.expect("connected");
    let mut subscriptions = Vec::new();
    for number in 0..50 {
        let options = SubscribeOptions::default();
        let subscribed = soon("subscribing", ann.subscribe(&format!("room:{number}"), options)).await;
        subscriptions.push(subscribed.expect("the pace is kept without the application's help"));
    }
    let mut events = ann.events();
    wire.cut();
    for subscription in &mut subscriptions {
        assert_eq!(event(subscription).await, "recovered 0");
    }
    assert_eq!(happens(&mut events).await, "disconnected 1006");
    assert_eq!(happens(&mut events).await, "connecting 1");
    assert!(happens(&mut events).await.starts_with("connected"), "and nothing after it");
    let quiet = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn a_short_cut_is_neither_leave_nor_join_to_the_others() {
    let server = Running::start().await;
    let wire = Wire::to(server.address).await;
    let builder = Client::builder(wire.url()).ticket(server.ticket("ann").await);
    let ann = soon("connecting", builder.connect()).await.expect("connected");
    let mut of_ann = subscribe(&ann, true).await;
    assert_eq!(event(&mut of_ann).await, "members 1");
    let bob = client(&server, "bob").await;
    let mut of_bob = subscribe(&bob, true).await;
    assert_eq!(event(&mut of_bob).await, "members 2");
    assert_eq!(event(&mut of_ann).await, "join bob");
    wire.cut();
    assert_eq!(event(&mut of_ann).await, "recovered 0");
    assert_eq!(event(&mut of_ann).await, "members 2");
    ann.publish("room:1", &7).await.expect("published");
    assert_eq!(data(&mut of_bob).await, 7, "nothing came before it");
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again_and_what_it_forgot_is_told() {
    let server = Running::start().await;
    let address = server.address;
    let source = move || async move { Ok::<_, String>(ticket(address, "ann").await) };
    let connecting = Client::builder(server.url()).ticket_source(source).connect();
    let ann = soon("connecting", connecting).await.expect("connected");
    let mut events = ann.events();
    let mut subscription = subscribe(&ann, false).await;
    ann.publish("room:1", &1).await.expect("published");
    assert_eq!(data(&mut subscription).await, 1);

    let summary = server.stop().await;
    assert_eq!(summary.cut, 0, "{summary}");
    let server = Running::start_on(&address.to_string()).await;
    assert!(happens(&mut events).await.starts_with("disconnected"));
    loop {
        let event = happens(&mut events).await;
        assert!(!event.starts_with("closed"), "{event}");
        if event.starts_with("connected") {
            break;
        }
    }
    assert_eq!(event(&mut subscription).await, "lost 1-0", "the memory of the broker went with it");
    ann.publish("room:1", &2).await.expect("published");
    assert_eq!(data(&mut subscription).await, 2);
    drop(server);
}

#[tokio::test]
async fn who_is_disconnected_by_the_application_stays_away_if_it_says_so() {
    let server = Running::start().await;
    let ann = client(&server, "ann").await;
    let mut events = ann.events();
    let answer =
        server.post("disconnect", json!({"user": "ann", "message": "enough", "reconnect": false})).await;
    assert_eq!(answer["disconnected"], 1);
    assert_eq!(happens(&mut events).await, "closed 4403");
    assert!(matches!(ann.ping().await, Err(Error::Closed(ending)) if ending.reason == "enough"));
}

#[tokio::test]
async fn who_is_disconnected_to_come_back_does() {
    let server = Running::start().await;
    let ann = client(&server, "ann").await;
    let mut subscription = subscribe(&ann, false).await;
    server.post("disconnect", json!({"user": "ann", "code": "unavailable", "reconnect": true})).await;
    assert_eq!(event(&mut subscription).await, "recovered 0");
}

#[tokio::test]
async fn a_ticket_serves_once() {
    let server = Running::start().await;
    let ticket = server.ticket("ann").await;
    let first = soon("connecting", Client::builder(server.url()).ticket(&*ticket).connect()).await;
    assert!(first.is_ok());
    for builder in [
        Client::builder(server.url()).ticket(&*ticket),
        Client::builder(server.url()).header("X-Auth-Token", &*ticket),
        Client::builder(format!("{}?ticket={ticket}", server.url())),
    ] {
        let second = soon("connecting", builder.connect()).await;
        assert!(matches!(&second, Err(Error::Connect(ending)) if ending.code == 4401), "{second:?}");
    }
}

#[tokio::test]
async fn a_ticket_in_the_handshake_serves_as_well_and_the_session_brings_us_back() {
    let server = Running::start().await;
    for in_header in [true, false] {
        let wire = Wire::to(server.address).await;
        let ticket = server.ticket("ann").await;
        let builder = match in_header {
            true => Client::builder(wire.url()).header("X-Auth-Token", ticket),
            false => Client::builder(format!("{}?ticket={ticket}", wire.url())),
        };
        let ann = soon("connecting", builder.connect()).await.expect("connected");
        let mut subscription = subscribe(&ann, false).await;
        wire.cut();
        assert!(event(&mut subscription).await.starts_with("recovered"));
    }
}

#[tokio::test]
async fn an_application_that_reads_slowly_gets_everything_and_holds_up_nobody() {
    let server = Running::start().await;
    let limits = Limits { events: 8, ..Limits::default() };
    let builder = Client::builder(server.url()).ticket(server.ticket("ann").await).limits(limits);
    let ann = soon("connecting", builder.connect()).await.expect("connected");
    let mut subscription = subscribe(&ann, false).await;
    for number in 0..400_u64 {
        ann.publish("room:1", &number).await.expect("answered, though nobody reads the events");
    }
    for number in 0..400 {
        assert_eq!(data(&mut subscription).await, number);
    }
    ann.publish("room:1", &400).await.expect("published");
    assert_eq!(data(&mut subscription).await, 400);
}

#[tokio::test]
async fn a_refused_channel_is_an_error_of_its_caller_alone() {
    let server = Running::start().await;
    let ann = client(&server, "ann").await;
    let refused = ann.subscribe("no such:namespace", SubscribeOptions::default()).await;
    assert!(matches!(&refused, Err(Error::Refused(error)) if !error.retry), "{refused:?}");
    assert!(ann.ping().await.is_ok());
}

#[tokio::test]
async fn a_later_life_goes_on_from_a_position_of_an_earlier_one() {
    let server = Running::start().await;
    let ann = client(&server, "ann").await;
    let since = ann.publish("room:1", &1).await.expect("published");
    ann.publish("room:1", &2).await.expect("published");
    ann.close().await;
    let ann = client(&server, "ann").await;
    let options = SubscribeOptions { since: Some(since), presence: false };
    let mut subscription = ann.subscribe("room:1", options).await.expect("subscribed");
    assert_eq!(event(&mut subscription).await, "recovered 1");
    assert_eq!(data(&mut subscription).await, 2);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), subscription.next()).await.is_err(),
        "and no more"
    );
}
