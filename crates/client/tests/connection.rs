//! How the client connects, comes back, and ends.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Hub, happens, soon};
use trunkline_client::{Client, ConnectionEvent, Error, Limits, SubscribeOptions};

#[tokio::test]
async fn a_client_connects_with_its_ticket_and_says_which_software_it_is() {
    let hub = Hub::new().await;
    let connecting = hub.builder().ticket("t1").software("demo", "1.0").connect();
    let (client, (link, body)) = tokio::join!(connecting, hub.welcome("s1"));
    assert_eq!(body, json!({"ticket": "t1", "client": {"name": "demo", "version": "1.0"}}));
    assert_eq!(link.request.headers()["sec-websocket-protocol"], "hub.json.1");
    assert!(client.is_ok());
}

#[tokio::test]
async fn after_a_cut_it_comes_back_with_the_session() {
    let hub = Hub::new().await;
    let (client, (link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    link.cut();
    let (link, body) = hub.welcome("s2").await;
    assert_eq!(body, json!({"session": "s1"}));
    assert_eq!(happens(&mut events).await, "disconnected 1006");
    assert_eq!(happens(&mut events).await, "connecting 1");
    assert_eq!(happens(&mut events).await, "connected s2");
    link.cut();
    let (_link, body) = hub.welcome("s3").await;
    assert_eq!(body, json!({"session": "s2"}), "each connect renews it");
}

#[tokio::test]
async fn when_the_session_is_no_longer_taken_the_ticket_source_is_asked() {
    // However the hub says it: as a reply, as a push, by its close code alone.
    for how in ["reply", "push", "close"] {
        let hub = Hub::new().await;
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let source = move || {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok::<_, std::io::Error>(format!("t{number}")) }
        };
        let (client, (link, body)) =
            tokio::join!(hub.builder().ticket_source(source).connect(), hub.welcome("s1"));
        let _client = client.expect("connected");
        assert_eq!(body, json!({"ticket": "t1"}));
        link.cut();
        let mut link = hub.accept().await;
        let (id, body) = link.expect("connect").await;
        assert_eq!(body, json!({"session": "s1"}), "{how}");
        match how {
            "reply" => {
                link.error(id, "unauthenticated", false).await;
                assert_eq!(link.end().await.code, 1000, "we say goodbye");
            }
            "push" => {
                let disconnect = json!({"code": "expired", "message": "no", "reconnect": true});
                link.send(json!({"disconnect": disconnect})).await;
                link.close(4410).await;
            }
            _ => link.close(4401).await,
        }
        let (_link, body) = hub.welcome("s2").await;
        assert_eq!(body, json!({"ticket": "t2"}), "{how}");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{how}: no ticket is wasted");
    }
}

#[tokio::test]
async fn without_a_ticket_source_the_loss_of_the_session_is_the_end() {
    let hub = Hub::new().await;
    let (client, (link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    link.cut();
    let mut link = hub.accept().await;
    let (id, _) = link.expect("connect").await;
    link.error(id, "unauthenticated", false).await;
    assert_eq!(link.end().await.code, 1000);
    assert_eq!(happens(&mut events).await, "disconnected 1006");
    assert_eq!(happens(&mut events).await, "connecting 1");
    assert_eq!(happens(&mut events).await, "closed 4401");
    assert_eq!(happens(&mut events).await, "end");
    assert_eq!(happens(&mut client.events()).await, "end");
    assert!(matches!(client.ping().await, Err(Error::Closed(ending)) if ending.code == 4401));
}

#[tokio::test]
async fn a_ticket_source_that_fails_is_asked_again() {
    let hub = Hub::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let source = move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move { if number == 1 { Err("the web service is down") } else { Ok("t") } }
    };
    let (client, (mut link, _)) =
        tokio::join!(hub.builder().ticket_source(source).connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    link.send(json!({"disconnect": {"code": "expired", "message": "ran out", "reconnect": true}})).await;
    link.close(4410).await;
    // The source fails only when the connection stands.
    hub.accept().await.cut();
    let (_link, body) = hub.welcome("s2").await;
    assert_eq!(body, json!({"ticket": "t"}));
    assert_eq!(happens(&mut events).await, "disconnected 4410");
    assert_eq!(happens(&mut events).await, "connecting 1");
    let Some(ConnectionEvent::Disconnected { ending, .. }) = events.next().await else { panic!("it failed") };
    assert_eq!(ending.reason, "no ticket: the web service is down");
    assert_eq!(happens(&mut events).await, "connecting 2");
    assert_eq!(happens(&mut events).await, "connected s2");
}

#[tokio::test]
async fn when_the_hub_says_not_to_come_back_the_client_ends() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    let (subscription, _) =
        tokio::join!(client.subscribe("room:1", SubscribeOptions::default()), link.subscribe(0, false, &[]));
    let mut subscription = subscription.expect("subscribed");
    link.send(json!({"disconnect": {"code": "forbidden", "message": "kicked", "reconnect": false}})).await;
    link.close(4403).await;
    let Some(ConnectionEvent::Closed { ending }) = soon("the end", events.next()).await else {
        panic!("closed")
    };
    assert_eq!((ending.code, ending.reason.as_str()), (4403, "kicked"));
    assert_eq!(support::event(&mut subscription).await, "end");
    assert!(matches!(client.publish("room:1", &1).await, Err(Error::Closed(_))));
    assert!(hub.stays_alone(Duration::from_millis(700)).await);
}

#[tokio::test]
async fn the_first_connect_fails_at_once_and_says_why() {
    let closed = Hub::new().await.url();
    let Err(Error::Connect(ending)) = soon("refused", Client::builder(closed).connect()).await else {
        panic!("nobody listens")
    };
    assert_eq!(ending.code, 1006);

    let hub = Hub::new().await;
    let refuse = async {
        let mut link = hub.accept().await;
        let (id, _) = link.expect("connect").await;
        link.error(id, "unauthenticated", false).await;
        assert_eq!(link.end().await.code, 1000, "we say goodbye");
    };
    let (client, ()) = tokio::join!(hub.builder().ticket("spent").connect(), refuse);
    assert!(matches!(client, Err(Error::Connect(ending)) if ending.code == 4401 && ending.reason == "no"));
    for url in ["http://127.0.0.1/", "ws://127.0.0.1/#a", "nonsense"] {
        assert!(matches!(Client::builder(url).connect().await, Err(Error::Misuse(_))), "{url}");
    }
    let header = hub.builder().header("bad name", "x").connect().await;
    assert!(matches!(header, Err(Error::Misuse(_))));
}

#[tokio::test]
async fn a_hub_that_never_answers_ends_the_attempt() {
    let hub = Hub::new().await;
    let limits = Limits { attempt: Duration::from_millis(200), ..Limits::default() };
    let silent = async {
        let mut link = hub.accept().await;
        link.expect("connect").await;
        link
    };
    let (client, _link) = tokio::join!(soon("giving up", hub.builder().limits(limits).connect()), silent);
    assert!(matches!(client, Err(Error::Connect(ending)) if ending.code == 1006));
}

#[tokio::test]
async fn a_credential_in_the_handshake_waits_for_connected_and_goes_only_once() {
    let header = |hub: &Hub| hub.builder().header("X-Auth-Token", "t1").header("X-Trace", "7");
    let query = |hub: &Hub| Client::builder(hub.url() + "?ticket=t1&x=1").header("X-Trace", "7");
    for (what, in_query) in [("header", false), ("query", true)] {
        let hub = Hub::new().await;
        let builder = if in_query { query(&hub) } else { header(&hub) };
        let first = async {
            let mut link = hub.accept().await;
            link.send(json!({"connected": support::connected("s1")})).await;
            link
        };
        let (client, link) = tokio::join!(builder.connect(), first);
        let _client = client.expect("connected");
        let carries = |link: &support::Link| {
            let in_url = link.request.uri().query().unwrap_or_default().contains("ticket=t1");
            link.request.headers().contains_key("x-auth-token") || in_url
        };
        assert!(carries(&link), "{what}");
        link.cut();
        let (link, body) = hub.welcome("s2").await;
        assert_eq!(body, json!({"session": "s1"}));
        assert!(!carries(&link), "{what}");
        assert_eq!(link.request.headers()["x-trace"], "7", "other headers go with every handshake");
    }
}

#[tokio::test]
async fn when_the_hub_goes_away_the_client_leaves_and_returns_where_and_when_it_is_told() {
    let (hub, other) = (Hub::new().await, Hub::new().await);
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let asked = Instant::now();
    let go_away = json!({"leave_ms": 300, "return_ms": 400, "where": other.url(), "code": "unavailable"});
    link.send(json!({"go_away": go_away})).await;
    let closed = link.end().await;
    assert_eq!(closed.code, 1001);
    let left = Instant::now();
    let (link, body) = other.welcome("s2").await;
    // Not before: a lower bound does not depend on how busy the machine is. (Left is when the hub saw it.)
    assert!(asked.elapsed() >= Duration::from_millis(400), "{:?} after leaving", left.elapsed());
    assert_eq!(body, json!({"session": "s1"}));
    link.cut();
    let (_link, body) = hub.welcome("s3").await;
    assert_eq!(body, json!({"session": "s2"}), "later attempts go where they always went");
    drop(client);
}

#[tokio::test]
async fn leaving_waits_for_what_is_in_flight() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let answer = async {
        let (id, _) = link.expect("publish").await;
        link.send(json!({"go_away": {"leave_ms": 60000, "return_ms": 0, "code": "unavailable"}})).await;
        link.ok(id, json!({"epoch": "e", "offset": 1})).await;
        link
    };
    let (published, _link) = tokio::join!(client.publish("room:1", &1), answer);
    assert_eq!(published.expect("answered").offset, 1);
}

#[tokio::test]
async fn a_credential_that_runs_out_is_refreshed_or_told() {
    let hub = Hub::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let source = move || {
        let before = count.fetch_add(1, Ordering::SeqCst);
        async move {
            // Slow enough that the hub repeats itself before it has an answer.
            tokio::time::sleep(Duration::from_millis(if before == 0 { 0 } else { 100 })).await;
            Ok::<_, String>("fresh")
        }
    };
    let (client, (mut link, _)) =
        tokio::join!(hub.builder().ticket_source(source).connect(), hub.welcome("s1"));
    let _client = client.expect("connected");
    for in_ms in [30000, 29999, 29998] {
        link.send(json!({"expiring": {"in_ms": in_ms}})).await;
    }
    let (id, body) = link.expect("refresh").await;
    assert_eq!(body, json!({"ticket": "fresh"}));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one ticket to connect, one to refresh");
    link.ok(id, json!({"expires": 1_700_000_000_000_u64})).await;

    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    link.send(json!({"expiring": {"in_ms": 30000}})).await;
    assert_eq!(happens(&mut events).await, "expiring 30000");
}

#[tokio::test]
async fn a_hub_that_does_not_speak_the_dialect_is_left_and_tried_again() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let _client = client.expect("connected");
    link.send_text("hello").await;
    assert_eq!(link.end().await.code, 1007);
    let (_link, body) = hub.welcome("s2").await;
    assert_eq!(body, json!({"session": "s1"}));
}

#[tokio::test]
async fn closing_says_goodbye_and_ends_everything() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let mut events = client.events();
    let (ending, closed) = tokio::join!(soon("closing", client.close()), link.end());
    assert_eq!((ending.code, closed.code), (1000, 1000));
    assert_eq!(happens(&mut events).await, "closed 1000");
    assert!(matches!(client.ping().await, Err(Error::Closed(ending)) if ending.code == 1000));
    assert_eq!(soon("closing again", client.close()).await.code, 1000);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_client_and_its_subscriptions() {
    let hub = Hub::new().await;
    let (client, (mut link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let (subscription, _) =
        tokio::join!(client.subscribe("room:1", SubscribeOptions::default()), link.subscribe(0, false, &[]));
    let mut subscription = subscription.expect("subscribed");
    let clone = client.clone();
    drop(client);
    let (pong, ()) = tokio::join!(clone.ping(), async {
        let (id, _) = link.expect("ping").await;
        link.ok(id, json!({"time": 5})).await;
    });
    assert_eq!(pong.expect("a clone is the same client").time, 5);
    drop(clone);
    assert_eq!(link.end().await.code, 1000);
    assert_eq!(support::event(&mut subscription).await, "end");
    assert!(hub.stays_alone(Duration::from_millis(700)).await);
}

#[tokio::test]
async fn closing_does_not_wait_for_a_hub_that_is_away() {
    let hub = Hub::new().await;
    let (client, (link, _)) = tokio::join!(hub.builder().ticket("t1").connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    link.cut();
    // The next attempt gets a connection and no answer.
    let _silent = hub.accept().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.ping().await }
    });
    assert_eq!(soon("closing", client.close()).await.code, 1000);
    assert!(matches!(waiting.await, Ok(Err(Error::Closed(_)))));
}

#[tokio::test]
async fn a_connect_that_is_dropped_leaves_nothing_behind() {
    let hub = Hub::new().await;
    let connecting = tokio::spawn(hub.builder().ticket("t1").connect());
    let mut link = hub.accept().await;
    link.expect("connect").await;
    connecting.abort();
    assert_eq!(link.end().await.code, 1006, "who is not in says no goodbye");
    assert!(hub.stays_alone(Duration::from_millis(700)).await);
}
