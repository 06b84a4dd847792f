//! What the log shows of a connection, and what it never shows.

mod common;

use std::io;
use std::sync::{Arc, Mutex};

use common::*;
use tracing_subscriber::EnvFilter;
use trunkline_net::{CloseCode, Kind, Limits};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged under `filter` while two ends talk, sorted by the end that it is of; and the ids of both.
fn logged(filter: &str) -> (Vec<String>, Vec<String>) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_writer(move || writer.clone())
        .finish();
    let ids = tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(talk())
    });
    let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("UTF-8");
    assert!(!text.contains("secret"), "{text}");
    let of = |id: u64| {
        let prefix = format!("connection{{id={id}}}: trunkline_net::frames: ");
        text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect::<Vec<_>>()
    };
    let both = (of(ids.0), of(ids.1));
    assert_eq!(both.0.len() + both.1.len(), text.lines().count(), "every line has an id: {text}");
    both
}

async fn talk() -> (u64, u64) {
    let (mut server, mut client) = pair(10_000, &Limits::default());
    client.send("secret").await.expect("open");
    server.recv().await.expect("open").expect("clean");
    server.ping(b"secret").expect("room");
    let mut writer = server.send_stream(Kind::Binary).expect("open");
    writer.write(b"secret of 17 byte").await.expect("open");
    writer.finish().await.expect("open");
    drop(writer);
    client.recv().await.expect("open").expect("clean");
    client.start_close(CloseCode::GOING_AWAY, "secret").expect("valid");
    let _ = tokio::join!(client.recv(), server.recv());
    (server.id(), client.id())
}

#[test]
fn each_frame_is_a_line_at_debug_level_with_the_id_of_its_connection_and_never_its_payload() {
    let (server, client) = logged("trunkline_net::frames=debug");
    let expected = [
        "= open role=\"server\"",
        "< Text 6 fin",
        "> Ping 6",
        "> Binary 17",
        "> Continuation 0 fin",
        "< Pong 6",
        "< Close 1001",
        "> Close 1001",
        "= closed_by_remote code=1001 by=\"remote\" clean=true",
    ];
    assert_eq!(server, expected);
    let expected = [
        "= open role=\"client\"",
        "> Text 6 fin",
        "< Ping 6",
        "> Pong 6",
        "< Binary 17",
        "< Continuation 0 fin",
        "> Close 1001",
        "< Close 1001",
        "= closed_by_us code=1001 by=\"us\" clean=true",
    ];
    assert_eq!(client, expected);
}

#[test]
fn at_info_level_there_is_nothing_of_it() {
    assert_eq!(logged("info"), (vec![], vec![]));
}

#[tokio::test]
async fn every_connection_of_the_process_has_an_id_of_its_own() {
    let mut ids = Vec::new();
    for _ in 0..10 {
        let (server, client) = pair(100, &Limits::default());
        ids.extend([server.id(), client.id()]);
    }
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 20, "{ids:?}");
}
