//! A sender and a receiver in two tasks.

mod common;

use common::*;
use tokio::time::timeout;
use trunkline_net::{CloseCode, Ended, Limits, Message, Prepared};

#[tokio::test(start_paused = true)]
async fn both_ends_send_much_at_once_and_nobody_waits_for_ever() {
    // Each way far more than the pipe holds: whoever stopped reading while it writes would hang here.
    let (server, client) = pair(1000, &Limits::default());
    let mut tasks = Vec::new();
    for (sender, mut receiver) in [server.split(), client.split()] {
        let sending = tokio::spawn(async move {
            for i in 0..500u32 {
                sender.send([&i.to_be_bytes()[..], &[0; 5000]].concat()).await.expect("open");
            }
            sender
        });
        tasks.push(tokio::spawn(async move {
            for i in 0..500u32 {
                let message = receiver.recv().await.expect("open").expect("clean");
                assert_eq!(message.as_bytes()[..4], i.to_be_bytes());
            }
            // What is still queued leaves while this end is polled.
            let _ = timeout(std::time::Duration::from_secs(1), receiver.recv()).await;
            drop(sending.await.expect("no panic"));
        }));
    }
    for task in tasks {
        timeout(HANG, task).await.expect("no deadlock").expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_while_the_receiver_is_not_polled() {
    let (server, _client) = pair(1000, &Limits::default());
    let (sender, _receiver) = server.split();
    let mut sent = 0;
    while timeout(std::time::Duration::from_millis(1), sender.send("x")).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 16);
}

#[tokio::test(start_paused = true)]
async fn closing_through_a_sender_ends_both_ends_cleanly() {
    let (server, mut client) = pair(1000, &Limits::default());
    let (sender, mut receiver) = server.split();
    sender.send("bye").await.expect("open");
    sender.send_prepared(Prepared::text("bye again")).await.expect("open");
    sender.close(CloseCode::GOING_AWAY, &"ä".repeat(100)).expect("open");
    let serving = tokio::spawn(async move {
        assert!(receiver.recv().await.is_none());
        receiver.closed().expect("ended").clone()
    });
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("bye"));
    assert_eq!(client.recv().await.expect("open").expect("clean"), Message::from("bye again"));
    assert!(client.recv().await.is_none());
    let reason = &client.closed().expect("ended").reason;
    assert_eq!(reason.len(), 122, "cut between characters, within 123 bytes");
    assert!(serving.await.expect("no panic").is_clean());
    assert_eq!(sender.send("late").await, Err(Ended));
}

#[tokio::test(start_paused = true)]
async fn senders_learn_that_the_receiver_is_gone() {
    let (server, _client) = pair(1000, &Limits::default());
    let (sender, receiver) = server.split();
    drop(receiver);
    assert_eq!(sender.send("x").await, Err(Ended));
}
