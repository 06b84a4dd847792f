//! What an idle connection inside TLS costs its server. Alone in its binary: it counts every allocation.
#![cfg(feature = "tls")]

mod tls_common;

use peak_alloc::PeakAlloc;
use tls_common::*;
use trunkline_net::{Acceptor, Connector, Message};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const CONNECTIONS: usize = 50;

/// Keys, the state of rustls, and ours: no buffer of even a page would have room in it.
const AT_MOST: usize = 5 << 10;

/// One thread, one test: whatever is freed when the server's ends are dropped was theirs.
#[test]
fn an_idle_connection_inside_tls_holds_a_few_kilobytes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (folder, ca) = (Folder::new(), Ca::new("ours"));
        let (server, client) = (server(&folder, &ca.for_names(&["chat.example"])), trusting(&ca));
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let (near, far) = connected(&client, "chat.example", &server).await;
            let (connector, acceptor) = (Connector::default(), Acceptor::default());
            let (near, far) =
                tokio::join!(connector.handshake(near, "wss://chat.example/"), acceptor.accept(far));
            let (mut near, mut far) = (near.expect("connected"), far.expect("accepted"));
            // Each has sent and received something longer than it will keep.
            let message = Message::from(vec![7; 20_000]);
            near.send(message.clone()).await.expect("sent");
            assert_eq!(far.recv().await.expect("a message").expect("a message"), message);
            far.send(message.clone()).await.expect("sent");
            assert_eq!(near.recv().await.expect("a message").expect("a message"), message);
            // A receiver that found nothing more to read, as they all wait.
            let nothing = tokio::time::timeout(std::time::Duration::from_millis(1), far.recv()).await;
            assert!(nothing.is_err());
            clients.push(near);
            servers.push(far);
        }
        let before = ALLOCATOR.current_usage();
        drop(servers);
        let each = (before - ALLOCATOR.current_usage()) / CONNECTIONS;
        println!("{each} bytes of heap for each of the server's ends");
        assert!(each <= AT_MOST, "{each} bytes");
        drop(clients);
    });
}
