use std::time::Instant;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use trunkline_net::WebSocket;

use super::*;
use crate::address::{ClientAddress, Known};
use crate::config::{Doors, Tls};
use crate::connection::Way;
use crate::{Config, Server};

/// A carrier that a test drives, and the client's end of its stream.
fn carrier() -> (Carrier<DuplexStream>, DuplexStream) {
    let app = Server::new(Config::default()).expect("no problems").app;
    let admitted = app.admission.admit(Known::by_socket(ClientAddress::Local), Instant::now()).expect("room");
    let remote = Remote::new(&app, Way { tls: Tls::Off, doors: Doors::ALL }, admitted);
    let (ours, theirs) = duplex(1 << 20);
    let plain = Plain::new(ours, b"", app.socket_limits.clone());
    (Carrier::open(&app, &remote, plain, None), theirs)
}

#[test]
fn a_task_that_waits_holds_no_more_than_one_of_the_websocket_door() {
    assert!(size_of::<Carrier<Stream>>() <= size_of::<WebSocket<Stream>>() + 144);
}

#[tokio::test]
async fn a_fault_of_ours_ends_in_a_disconnect_and_not_in_silence() {
    let (mut carrier, mut client) = carrier();
    let metrics = carrier.app.metrics.clone();
    let ends = async {
        assert!(carrier.ends(End::Fault(Box::new("a panic"))).await, "it ends by itself");
        drop(carrier);
    };
    let read = async {
        let mut said = String::new();
        client.read_to_string(&mut said).await.expect("text");
        drop(client);
        said
    };
    let ((), said) = tokio::join!(ends, read);
    assert!(said.starts_with(r#"{"disconnect":{"code":"internal""#), "{said}");
    assert_eq!((said.lines().count(), metrics.panics.get()), (1, 1));
}

#[tokio::test]
async fn all_objects_that_came_at_once_are_answered_in_one_turn() {
    let (mut carrier, mut client) = carrier();
    // Refused, for nobody has connected: which needs no task to wait for.
    client.write_all(br#"{"id":1,"ping":{}}{"id":2,"ping":{}}{"id":3,"ping":{}}"#).await.expect("room");
    let waits = poll_fn(|cx| Poll::Ready(carrier.poll(cx).is_pending())).await;
    assert!(waits, "nothing has ended");
    let mut said = [0; 1000];
    let count = client.read(&mut said).await.expect("open");
    assert_eq!(said[..count].iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[tokio::test(start_paused = true)]
async fn last_words_that_nobody_reads_have_their_time_and_no_more() {
    let app = Server::new(Config::default()).expect("no problems").app;
    let admitted = app.admission.admit(Known::by_socket(ClientAddress::Local), Instant::now()).expect("room");
    let remote = Remote::new(&app, Way { tls: Tls::Off, doors: Doors::ALL }, admitted);
    let (ours, _client) = duplex(4);
    let plain = Plain::new(ours, b"", app.socket_limits.clone());
    let mut carrier = Carrier::open(&app, &remote, plain, None);
    carrier.client.end(Ending::stopping());
    let began = tokio::time::Instant::now();
    carrier.ends(End::LastWords).await;
    assert_eq!(began.elapsed(), LAST_WORDS);
}
