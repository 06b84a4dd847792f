//! The way to the hub as the application wants it.

mod support;

use std::net::SocketAddr;

use serde_json::json;
use support::Hub;
use trunkline_client::{Client, Connector};
use trunkline_net::{Addresses, Resolve};

/// One name, one address.
#[derive(Debug)]
struct Hosts(SocketAddr);

impl Resolve for Hosts {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Addresses<'a> {
        assert_eq!(host, "hub.example");
        Box::pin(async move { Ok(vec![self.0]) })
    }
}

#[tokio::test]
async fn a_connector_of_the_applications_own_leads_to_the_hub_and_keeps_what_the_client_needs() {
    let hub = Hub::new().await;
    let connector =
        Connector::default().resolver(Hosts(hub.address())).subprotocol("theirs").header("X-Theirs", "1");
    let connecting = Client::builder("ws://hub.example/connect").connector(connector).ticket("t1").connect();
    let (client, (link, _)) = tokio::join!(connecting, hub.welcome("s1"));
    let headers = link.request.headers();
    assert_eq!(headers["host"], "hub.example");
    assert_eq!(headers["x-theirs"], "1");
    assert_eq!(headers["sec-websocket-protocol"], "theirs, hub.json.1");
    assert!(client.is_ok());
}

#[tokio::test]
async fn secrets_for_the_hub_do_not_follow_it_to_another_host() {
    let (hub, other) = (Hub::new().await, Hub::new().await);
    let connector = Connector::default().secret_header("X-Api-Key", "hunter2").header("X-Theirs", "1");
    let builder = hub.builder().connector(connector).header("Cookie", "id=hunter2").ticket("t1");
    let (client, (mut link, _)) = tokio::join!(builder.connect(), hub.welcome("s1"));
    let client = client.expect("connected");
    let told = |link: &support::Link| {
        let headers = &link.request.headers();
        ["x-api-key", "cookie", "x-theirs"].map(|name| headers.contains_key(name))
    };
    assert_eq!(told(&link), [true, true, true]);
    for (there, expected) in [(&other, [false, false, true]), (&hub, [true, true, true])] {
        // The second time it is the hub itself that is named, from elsewhere.
        let go_away = json!({"leave_ms": 0, "return_ms": 0, "where": there.url(), "code": "unavailable"});
        link.send(json!({"go_away": go_away})).await;
        link.end().await;
        link = there.welcome("s2").await.0;
        assert_eq!(told(&link), expected, "at {}", there.url());
    }
    drop(client);
}
