//! The bound of all outboxes together: readers who have stopped, and one who reads.

mod support;

use serde_json::json;
use support::peer::{Peer, Socket};
use support::{Running, start_with, within};
use tokio::net::TcpSocket;
use trunkline_net::Connector;

const EACH: usize = 256 << 10;
const TOTAL: usize = 512 << 10;
const STOPPED: usize = 8;
/// Of 60 KiB each: more than the kernel takes for one who does not read, and `limits.outgoing` and an outbox besides.
const PUBLICATIONS: usize = 150;
const BYTES: usize = 60 << 10;

/// A subscriber whose kernel takes little, and who from here on reads nothing.
async fn stopped(server: &Running, user: &str) -> Socket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    let stream = within(socket.connect(server.address)).await.expect("it listens");
    let url = format!("ws://{}/connect?ticket={}", server.address, server.ticket(user).await);
    let socket = within(Connector::default().handshake(stream, &url)).await.expect("the door opens");
    let mut peer = Peer::over(socket).await;
    peer.ok("subscribe", json!({"channel": "room:1"})).await;
    peer.socket
}

#[tokio::test]
async fn who_reads_gets_everything_in_order_while_the_outboxes_of_those_who_stopped_stay_within_their_bound()
{
    let toml = format!(
        "[limits]\noutbox_bytes = {EACH}\noutbox_total = {TOTAL}\n[namespaces.room]\nhistory_bytes = \"64 MiB\""
    );
    let server = start_with(&toml).await;
    let mut held = Vec::new();
    for number in 0..STOPPED {
        held.push(stopped(&server, &format!("stopped-{number}")).await);
    }
    let mut reader = Peer::connect(&server, "reader").await;
    reader.ok("subscribe", json!({"channel": "room:1"})).await;

    let data = "x".repeat(BYTES);
    let mut most = 0.0_f64;
    for offset in 1..=PUBLICATIONS {
        let (status, answer) = server.post("publish", &json!({"channel": "room:1", "data": data})).await;
        assert_eq!(status, 200, "{answer}");
        let push = reader.push().await;
        assert_eq!(push["pub"]["offset"], offset, "nothing is missing, nothing is late");
        most = most.max(server.metric("trunkline_outbox_bytes").await);
    }
    // Each may have one more than its share, and what it had when the others came.
    let allowed = TOTAL + (STOPPED + 1) * (EACH / 64 + 2 * BYTES);
    assert!(most <= allowed as f64, "{most} bytes waited, {allowed} are allowed");
    assert!(most > EACH as f64, "they have stopped: {most}");
    assert!(server.metric("trunkline_publications_crowded_out_total").await > 0.0);

    // Whoever reads again gets what is missing from history.
    let mut back = Peer::resume(held.pop().expect("one of them"));
    for offset in 1..=PUBLICATIONS {
        assert_eq!(back.push().await["pub"]["offset"], offset);
    }
}
