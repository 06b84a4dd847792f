//! More than one listener: each by its own terms, all for the same hub.

mod support;

use serde_json::json;
use support::peer::Peer;
use support::raw::{KEY, dial, read_answer};
use support::{start_all, within};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use trunkline_net::Connector;

#[tokio::test]
async fn listeners_with_a_name_lead_to_the_same_hub_as_the_first_one() {
    let path = std::env::temp_dir().join(format!("trunkline-named-{}.sock", std::process::id()));
    let toml = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[listener.second]\naddress = \"127.0.0.1:0\"\nunix = {:?}\n",
        path.display().to_string()
    );
    let (server, addresses) = start_all(&toml).await;
    assert_eq!(addresses.len(), 2, "the unix socket has no address");

    let mut ann = Peer::connect(&server, "ann").await;
    ann.ok("subscribe", json!({"channel": "room:1"})).await;
    let mut by_unix = {
        let ticket = server.ticket("bob").await;
        let stream = within(UnixStream::connect(&path)).await.expect("it listens");
        let url = format!("ws://localhost/connect?ticket={ticket}");
        Peer::over(within(Connector::default().handshake(stream, &url)).await.expect("the door opens")).await
    };
    by_unix.ok("publish", json!({"channel": "room:1", "data": "by unix"})).await;
    assert_eq!(ann.push().await["pub"]["data"], "by unix");

    let mut stream = dial(addresses[1]).await;
    let head = format!(
        "GET /connect HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
        addresses[1]
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    assert_eq!(read_answer(&mut stream).await.status, 101);
}
