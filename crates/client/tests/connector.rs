//! The way to the hub as the application wants it.

mod support;

use std::net::SocketAddr;

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
