//! The halves of a split connection under a scheduler that chooses whose step is next: senders, a close and the remote at once.
//!
//! Tasks change at every await and at every call of the stream. What happens inside the queue between the halves is
//! tokio's, which tests it in the same way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use shuttle::future::{block_on, spawn};
use shuttle::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use trunkline_net::{CloseCode, Limits, Message, Receiver, Role, Sender, WebSocket};

/// Runs of each scenario and scheduler.
const RUNS: usize = 600;

/// One direction of a pipe.
#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Direction {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// One end of a pipe that holds a few bytes each way.
struct End {
    inward: Arc<Mutex<Direction>>,
    outward: Arc<Mutex<Direction>>,
}

const ROOM: usize = 20;

fn pipe() -> (End, End) {
    let (a, b) = (Arc::<Mutex<Direction>>::default(), Arc::<Mutex<Direction>>::default());
    (End { inward: Arc::clone(&a), outward: Arc::clone(&b) }, End { inward: b, outward: a })
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inward = self.inward.lock().expect("not poisoned");
        if inward.bytes.is_empty() && !inward.ended {
            inward.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while into.remaining() > 0
            && let Some(byte) = inward.bytes.pop_front()
        {
            into.put_slice(&[byte]);
        }
        inward.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut outward = self.outward.lock().expect("not poisoned");
        let count = data.len().min(ROOM - outward.bytes.len());
        if count == 0 {
            outward.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        outward.bytes.extend(&data[..count]);
        outward.wake();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outward = self.outward.lock().expect("not poisoned");
        outward.ended = true;
        outward.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for direction in [&self.inward, &self.outward] {
            let mut direction = direction.lock().expect("not poisoned");
            direction.ended = true;
            direction.wake();
        }
    }
}

/// No deadlines, for there is no clock here: whoever hangs, hangs for ever, and the scheduler says so.
fn ends() -> (WebSocket<End>, WebSocket<End>) {
    let limits = Limits { outgoing: 8, ..Limits::unlimited() };
    let (here, there) = pipe();
    let client = Role::Client(|| [7; 4]);
    (
        WebSocket::from_upgraded(here, Bytes::new(), Role::Server, limits.clone()),
        WebSocket::from_upgraded(there, Bytes::new(), client, limits),
    )
}

fn both_schedulers(scenario: fn()) {
    shuttle::check_random(scenario, RUNS);
    shuttle::check_pct(scenario, RUNS, 3);
}

/// Sends three messages; says which were taken.
async fn send_three(sender: Sender, name: &'static str) -> Vec<String> {
    let mut taken = Vec::new();
    for number in 0..3 {
        let text = format!("{name}{number}");
        if sender.send(text.as_str()).await.is_ok() {
            taken.push(text);
        }
    }
    taken
}

async fn receive_all(mut receiver: Receiver<End>) -> bool {
    while let Some(message) = receiver.recv().await {
        message.expect("nothing breaks here");
    }
    receiver.closed().expect("ended").is_clean()
}

async fn hear_all(mut remote: WebSocket<End>) -> Vec<String> {
    let mut heard = Vec::new();
    while let Some(message) = remote.recv().await {
        let message = message.expect("a clean end");
        heard.push(message.as_text().expect("text was sent").to_owned());
    }
    assert!(remote.closed().expect("ended").is_clean());
    heard
}

fn of<'t>(name: &'t str, texts: &'t [String]) -> Vec<&'t String> {
    texts.iter().filter(|text| text.starts_with(name)).collect()
}

#[test]
fn what_senders_were_told_was_taken_arrives_before_a_close_that_races_with_them() {
    both_schedulers(|| {
        let (server, remote) = ends();
        let (sender, receiver) = server.split();
        let sending = ["a", "b"].map(|name| spawn(send_three(sender.clone(), name)));
        let closing = spawn(async move { sender.close(CloseCode::NORMAL, "enough") });
        let receiving = spawn(receive_all(receiver));
        let hearing = spawn(hear_all(remote));
        block_on(async move {
            let [a, b] = sending;
            let taken = [a.await.expect("no panic"), b.await.expect("no panic")];
            let _ = closing.await.expect("no panic");
            assert!(receiving.await.expect("no panic"), "a clean end");
            let heard = hearing.await.expect("no panic");
            for (name, taken) in ["a", "b"].into_iter().zip(&taken) {
                assert_eq!(of(name, &heard), taken.iter().collect::<Vec<_>>(), "in order and once");
            }
        });
    });
}

#[test]
fn senders_and_receiver_end_when_the_remote_closes_in_the_middle_of_their_sending() {
    both_schedulers(|| {
        let (server, mut remote) = ends();
        let (sender, receiver) = server.split();
        let sending = ["a", "b"].map(|name| spawn(send_three(sender.clone(), name)));
        drop(sender);
        let receiving = spawn(receive_all(receiver));
        let remote = spawn(async move {
            let first = remote.recv().await;
            remote.close(CloseCode::GOING_AWAY, "").await.expect("valid");
            first.is_some()
        });
        block_on(async move {
            let [a, b] = sending;
            let taken = [a.await.expect("no panic"), b.await.expect("no panic")];
            assert!(receiving.await.expect("no panic"), "a clean end");
            assert!(remote.await.expect("no panic"), "the first message came");
            // Once one was refused, all were.
            for (name, taken) in ["a", "b"].into_iter().zip(&taken) {
                let beginning: Vec<String> =
                    (0..taken.len()).map(|number| format!("{name}{number}")).collect();
                assert_eq!(*taken, beginning);
            }
        });
    });
}

#[test]
fn both_ends_close_at_once_while_both_send() {
    both_schedulers(|| {
        let (server, client) = ends();
        let mut ends = Vec::new();
        for socket in [server, client] {
            let (sender, receiver) = socket.split();
            let sending = spawn(send_three(sender.clone(), "x"));
            let closing = spawn(async move { sender.close(CloseCode::NORMAL, "") });
            ends.push((spawn(receive_all(receiver)), sending, closing));
        }
        block_on(async move {
            for (receiving, sending, closing) in ends {
                assert!(receiving.await.expect("no panic"), "a clean end");
                sending.await.expect("no panic");
                let _ = closing.await.expect("no panic");
            }
        });
    });
}

#[test]
fn senders_end_when_their_receiver_is_dropped_at_any_moment() {
    both_schedulers(|| {
        let (server, mut remote) = ends();
        let (sender, mut receiver) = server.split();
        let sending = ["a", "b"].map(|name| spawn(send_three(sender.clone(), name)));
        drop(sender);
        let receiving = spawn(async move {
            // A few steps, and then it is gone.
            for _ in 0..3 {
                let poll = std::future::poll_fn(|cx| Poll::Ready(std::pin::pin!(receiver.recv()).poll(cx)));
                let _ = poll.await;
                shuttle::future::yield_now().await;
            }
        });
        let remote = spawn(async move {
            let mut heard = Vec::new();
            while let Some(Ok(message)) = remote.recv().await {
                heard.push(message);
            }
            heard
        });
        block_on(async move {
            for sending in sending {
                sending.await.expect("no panic");
            }
            receiving.await.expect("no panic");
            let whole = |message: &Message| message.len() == 2;
            assert!(remote.await.expect("no panic").iter().all(whole), "never half a message");
        });
    });
}
