//! What the client does in channels, over connections that break.

mod support;

use serde_json::json;
use support::{Hub, Link, event, publication, soon};
use trunkline_client::{Client, Error, Limits, SubscribeOptions, Subscription};

/// A client with a subscription of `room:1`, which stands at offset 5.
async fn subscribed(hub: &Hub, limits: Limits) -> (Client, Subscription, Link) {
    let (client, (mut link, _)) =
        tokio::join!(hub.builder().ticket("t1").limits(limits).connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let (subscription, body) =
        tokio::join!(client.subscribe("room:1", SubscribeOptions::default()), link.subscribe(5, false, &[]));
    assert_eq!(body, json!({"channel": "room:1"}));
    (client, subscription.expect("subscribed"), link)
}

#[tokio::test]
async fn after_a_cut_a_subscription_gets_what_it_missed_once_and_in_order() {
    let hub = Hub::new().await;
    let (_client, mut subscription, mut link) = subscribed(&hub, Limits::default()).await;
    link.publication(6).await;
    assert_eq!(event(&mut subscription).await, "6");
    link.cut();
    let (mut link, _) = hub.welcome("s2").await;
    let body = link.subscribe(8, true, &[7, 8]).await;
    assert_eq!(body, json!({"channel": "room:1", "since": {"epoch": "e", "offset": 6}}));
    link.publication(9).await;
    for expected in ["recovered 6", "7", "8", "9"] {
        assert_eq!(event(&mut subscription).await, expected);
    }
}

#[tokio::test]
async fn what_is_lost_is_told() {
    let hub = Hub::new().await;
    let (_client, mut subscription, link) = subscribed(&hub, Limits::default()).await;
    link.cut();
    let (mut link, _) = hub.welcome("s2").await;
    link.subscribe(900, false, &[]).await;
    link.send(json!({"channel": "room:1", "gap": {"from": 901, "to": 903}})).await;
    link.publication(904).await;
    for expected in ["lost 5-900", "gap 901-903", "904"] {
        assert_eq!(event(&mut subscription).await, expected);
    }
}

#[tokio::test]
async fn a_publish_without_an_answer_is_not_repeated_and_one_that_was_not_sent_is_sent() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let (published, ()) = tokio::join!(client.publish("room:1", "first"), async {
        link.expect("publish").await;
        link.cut();
    });
    assert!(matches!(published, Err(Error::UnknownOutcome)));
    // Nobody is connected now: this one waits.
    let (published, ()) = tokio::join!(client.publish("room:1", "second"), async {
        let (mut link, _) = hub.welcome("s2").await;
        let (id, body) = link.expect("publish").await;
        assert_eq!(body, json!({"channel": "room:1", "data": "second"}));
        link.ok(id, json!({"epoch": "e", "offset": 1})).await;
    });
    assert_eq!(published.expect("published").offset, 1);
}

#[tokio::test]
async fn an_application_that_reads_nothing_still_gets_answers_and_then_everything() {
    let hub = Hub::new().await;
    let limits = Limits { events: 8, ..Limits::default() };
    let (client, mut subscription, mut link) = subscribed(&hub, limits).await;
    for offset in 6..=105 {
        link.publication(offset).await;
    }
    let (pong, ()) = tokio::join!(soon("an answer", client.ping()), async {
        let (id, _) = link.expect("ping").await;
        link.ok(id, json!({"time": 1})).await;
    });
    assert!(pong.is_ok());
    let serve = async {
        let mut since = 13;
        while since < 105 {
            let (id, body) = link.expect("history").await;
            assert_eq!(body["since"], json!({"epoch": "e", "offset": since}));
            let limit = body["limit"].as_u64().expect("a limit");
            assert!(limit <= 8, "no more than fits");
            let page = since + 1..=(since + limit).min(105);
            since = *page.end();
            let page: serde_json::Value = page.map(publication).collect();
            link.ok(id, json!({"publications": page, "epoch": "e", "offset": 105})).await;
        }
        link
    };
    let read = async {
        for offset in 6..=105 {
            assert_eq!(event(&mut subscription).await, offset.to_string());
        }
    };
    let (mut link, ()) = tokio::join!(serve, read);
    link.publication(106).await;
    assert_eq!(event(&mut subscription).await, "106");
}

#[tokio::test]
async fn a_dropped_subscription_unsubscribes() {
    let hub = Hub::new().await;
    let (client, subscription, mut link) = subscribed(&hub, Limits::default()).await;
    drop(subscription);
    let (id, body) = link.expect("unsubscribe").await;
    assert_eq!(body, json!({"channel": "room:1"}));
    link.ok(id, json!({})).await;
    assert!(matches!(client.unsubscribe("room:1").await, Err(Error::NotSubscribed(_))));
}

#[tokio::test]
async fn a_subscription_ends_when_the_application_or_the_hub_ends_it() {
    let hub = Hub::new().await;
    let (client, mut subscription, mut link) = subscribed(&hub, Limits::default()).await;
    link.publication(6).await;
    assert_eq!(event(&mut subscription).await, "6");
    let (unsubscribed, ()) = tokio::join!(client.unsubscribe("room:1"), async {
        let (id, _) = link.expect("unsubscribe").await;
        link.ok(id, json!({})).await;
    });
    assert!(unsubscribed.is_ok());
    assert_eq!(event(&mut subscription).await, "end");

    let (again, _) =
        tokio::join!(client.subscribe("room:1", SubscribeOptions::default()), link.subscribe(6, false, &[]));
    let mut subscription = again.expect("subscribed");
    let removed = json!({"code": "forbidden", "message": "no more"});
    link.send(json!({"channel": "room:1", "unsubscribed": removed})).await;
    assert_eq!(event(&mut subscription).await, "unsubscribed forbidden");
    assert_eq!(event(&mut subscription).await, "end");
}

#[tokio::test]
async fn questions_are_asked_again_after_a_cut() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let (presence, mut link) = tokio::join!(client.presence("room:1"), async {
        link.expect("presence").await;
        link.cut();
        let (mut link, _) = hub.welcome("s2").await;
        let (id, body) = link.expect("presence").await;
        assert_eq!(body, json!({"channel": "room:1"}));
        let members = json!([{"user": "ann", "info": {"nick": "A"}, "sessions": 2}]);
        link.ok(id, json!({"members": members, "count": 1})).await;
        link
    });
    let presence = presence.expect("answered");
    assert_eq!((presence.count, presence.members[0].sessions), (1, 2));
    let (history, ()) = tokio::join!(client.history_backwards("room:1", None, 2), async {
        let (id, body) = link.expect("history").await;
        assert_eq!(body, json!({"channel": "room:1", "limit": 2, "reverse": true}));
        link.ok(id, json!({"publications": [publication(4), publication(3)], "epoch": "e", "offset": 4}))
            .await;
    });
    assert_eq!(history.expect("answered").publications[0].offset, 4);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_before_it_is_sent() {
    let hub = Hub::new().await;
    let (client, (_link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    assert!(matches!(client.publish("", &1).await, Err(Error::Channel(_))));
    assert!(matches!(client.presence("a\nb").await, Err(Error::Channel(_))));
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(client.publish("room:1", &no_json).await, Err(Error::Data(_))));
}
