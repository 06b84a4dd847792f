//! Limits of the client: what has exactly as much passes, one more does not.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Hub, Link, connected, event, happens, publication, soon};
use trunkline_client::{Client, ConnectionEvents, Limits, SubscribeOptions, Subscription};

/// Longer than the hub in these tests ever needs, shorter than a person waits.
const QUIET: Duration = Duration::from_millis(150);

async fn with(hub: &Hub, limits: Limits) -> (Client, Link) {
    let (client, (link, _)) =
        tokio::join!(hub.builder().limits(limits).ticket("t1").connect(), hub.welcome("s1"));
    (client.expect("connected"), link)
}

async fn subscribed(client: &Client, link: &mut Link) -> Subscription {
    let (subscription, _) =
        tokio::join!(client.subscribe("room:1", SubscribeOptions::default()), link.subscribe(0, false, &[]));
    subscription.expect("subscribed")
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_taken_and_one_byte_more_ends_the_connection_with_1009() {
    const MESSAGE: usize = 2000;
    let hub = Hub::new().await;
    let (client, mut link) = with(&hub, Limits { message: MESSAGE, ..Limits::default() }).await;
    let mut subscription = subscribed(&client, &mut link).await;
    let of = |bytes: usize| {
        let push = |data: String| {
            json!({"channel": "room:1", "pub": {"offset": 1, "data": data, "at": 0}}).to_string()
        };
        push("x".repeat(bytes - push(String::new()).len()))
    };
    link.send_text(&of(MESSAGE)).await;
    assert_eq!(event(&mut subscription).await, "1");
    link.send_text(&of(MESSAGE + 1)).await;
    assert_eq!(link.end().await.code, 1009);
}

#[tokio::test]
async fn as_many_events_as_the_limit_wait_and_the_one_after_them_is_fetched_from_history() {
    let hub = Hub::new().await;
    for (more, asks) in [(0, false), (1, true)] {
        let (client, mut link) = with(&hub, Limits { events: 8, ..Limits::default() }).await;
        let mut subscription = subscribed(&client, &mut link).await;
        for offset in 1..=8 + more {
            link.publication(offset).await;
        }
        // An answer behind them, so that the client has seen them all before the application takes the first.
        let (pong, ()) = tokio::join!(client.ping(), async {
            let (id, _) = link.expect("ping").await;
            link.ok(id, json!({"time": 1})).await;
        });
        pong.expect("answered");
        let reading = async {
            for offset in 1..=8 + more {
                assert_eq!(event(&mut subscription).await, offset.to_string());
            }
        };
        let hub_side = async {
            if asks {
                let (id, body) = link.expect("history").await;
                assert_eq!(body["since"], json!({"epoch": "e", "offset": 8}));
                link.ok(id, json!({"publications": [publication(9)], "epoch": "e", "offset": 9})).await;
            }
        };
        tokio::join!(reading, hub_side);
        let silent = tokio::time::timeout(QUIET, link.command()).await.is_err();
        assert!(silent, "and nothing more is asked for");
    }
}

#[tokio::test]
async fn no_more_commands_than_the_limit_are_unanswered_and_all_callers_have_their_turn() {
    let hub = Hub::new().await;
    let (client, mut link) = with(&hub, Limits { in_flight: 2, requests: 1, ..Limits::default() }).await;
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.ping().await.map(drop) })
        })
        .collect();
    let mut unanswered = vec![link.expect("ping").await.0, link.expect("ping").await.0];
    for answered in 0..6 {
        let third = tokio::time::timeout(QUIET, link.command()).await;
        assert!(third.is_err(), "two are in flight, after {answered} answers");
        link.ok(unanswered.remove(0), json!({"time": 1})).await;
        if answered < 4 {
            unanswered.push(link.expect("ping").await.0);
        }
    }
    for caller in callers {
        soon("an answer", caller).await.expect("no panic").expect("answered");
    }
}

/// Everything that is told until the end.
async fn all(mut events: ConnectionEvents) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|last: &String| !last.starts_with("closed")) {
        told.push(happens(&mut events).await);
    }
    told
}

#[tokio::test]
async fn as_many_connection_events_as_the_limit_wait_for_a_slow_reader_and_then_the_oldest_go() {
    for (failures, told) in [(0, 4), (1, 4)] {
        let hub = Hub::new().await;
        let (client, link) = with(&hub, Limits { connection_events: 4, ..Limits::default() }).await;
        let events = client.events();
        link.cut();
        for _ in 0..failures {
            hub.accept().await.cut();
        }
        let (link, _) = hub.welcome("s2").await;
        // What has come back before the close is told before it.
        soon("the session", async {
            let (pong, ()) = tokio::join!(client.ping(), answer_ping(link));
            pong.expect("answered");
        })
        .await;
        soon("closing", client.close()).await;
        let all = all(events).await;
        let expected = ["disconnected 1006", "connecting 1", "connected s2", "closed 1000"];
        assert_eq!(all.len(), told, "{all:?}");
        if failures == 0 {
            assert_eq!(all, expected);
        } else {
            assert_eq!(all[1..], ["connecting 2", "connected s2", "closed 1000"], "the newest are told");
        }
    }
}

async fn answer_ping(mut link: Link) {
    let (id, _) = link.expect("ping").await;
    link.ok(id, json!({"time": 1})).await;
    // The goodbye is answered while it is still there.
    tokio::spawn(async move { link.end().await });
}

#[tokio::test]
async fn a_connection_that_held_long_enough_begins_the_backoff_anew_and_one_that_did_not_goes_on() {
    for (stable, second) in [(Duration::ZERO, "connecting 1"), (Duration::from_secs(3600), "connecting 2")] {
        let hub = Hub::new().await;
        let (client, link) = with(&hub, Limits { stable, ..Limits::default() }).await;
        let mut events = client.events();
        link.cut();
        assert_eq!(happens(&mut events).await, "disconnected 1006");
        assert_eq!(happens(&mut events).await, "connecting 1");
        let (link, _) = hub.welcome("s2").await;
        assert_eq!(happens(&mut events).await, "connected s2");
        link.cut();
        assert_eq!(happens(&mut events).await, "disconnected 1006");
        assert_eq!(happens(&mut events).await, second, "stable after {stable:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_is_answered_in_time_is_a_connection_and_one_that_is_not_is_given_up() {
    for (attempt, answers) in [(Duration::from_secs(20), true), (Duration::from_millis(100), false)] {
        let hub = Hub::new().await;
        let builder = hub.builder().limits(Limits { attempt, ..Limits::default() });
        let hub_side = async {
            let mut link = hub.accept().await;
            let (id, _) = link.expect("connect").await;
            if answers {
                link.ok(id, connected("s1")).await;
            }
            link
        };
        let (client, link) = tokio::join!(builder.connect(), hub_side);
        assert_eq!(client.is_ok(), answers);
        drop(link);
    }
}
