//! permessage-deflate at the websocket door: what is agreed on, what is compressed, and what never is.

mod support;

use serde_json::{Value, json};
use support::peer::{Peer, knock_with};
use support::raw::{self, dial, read_answer, read_frame, upgrade};
use support::{Running, start, start_with, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use trunkline_net::deflate::DeflateConfig;
use trunkline_net::{Connector, Message};

/// What Chromium and Firefox offer.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// First bytes of a frame: a whole text message, as it is and compressed.
const PLAIN: u8 = 0x81;
const COMPRESSED: u8 = 0xC1;

async fn shake_hands(server: &Running, path: &str, more: &str) -> (TcpStream, raw::Answer) {
    let mut stream = dial(server.address).await;
    stream.write_all(upgrade(server.address, path, more).as_bytes()).await.expect("the server reads");
    let answer = read_answer(&mut stream).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    (stream, answer)
}

fn agreed(answer: &raw::Answer) -> Option<&str> {
    answer.header("sec-websocket-extensions")
}

async fn compressing_peer(server: &Running, user: &str) -> Peer {
    let connector = Connector::default().deflate(DeflateConfig::default());
    let query = format!("?ticket={}", server.ticket(user).await);
    Peer::over(knock_with(server, &connector, &query).await).await
}

#[tokio::test]
async fn an_offer_is_taken_and_neither_side_keeps_anything_between_messages() {
    let server = start().await;
    let (_stream, answer) = shake_hands(&server, "/connect", OFFER).await;
    let agreed = agreed(&answer).expect("an extension");
    assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
    for parameter in ["server_no_context_takeover", "client_no_context_takeover"] {
        assert!(agreed.contains(parameter), "{parameter}: {agreed}");
    }
    assert_eq!(server.metric_of("trunkline_websockets", "deflate=\"on\"").await, 1.0);
}

#[tokio::test]
async fn nothing_is_answered_where_nothing_was_offered_or_it_is_turned_off() {
    let server = start().await;
    let (_stream, answer) = shake_hands(&server, "/connect", "").await;
    assert_eq!(agreed(&answer), None);
    let off = start_with("websocket.deflate = false").await;
    let (_stream, answer) = shake_hands(&off, "/connect", OFFER).await;
    assert_eq!(agreed(&answer), None);
    assert_eq!(off.metric_of("trunkline_websockets", "deflate=\"on\"").await, 0.0);
}

#[tokio::test]
async fn a_publication_goes_out_compressed_and_a_session_token_never_does() {
    let server = start().await;
    let ticket = server.ticket("ann").await;
    let (mut stream, _) = shake_hands(&server, &format!("/connect?ticket={ticket}"), OFFER).await;
    let (first, connected) = read_frame(&mut stream).await;
    assert_eq!(first, PLAIN);
    let connected: Value = serde_json::from_slice(&connected).expect("JSON");
    let session = connected["connected"]["session"].as_str().expect("a token").to_owned();
    let long_enough = connected.to_string().len() > DeflateConfig::lean().threshold;
    assert!(long_enough, "anything else of this length would be compressed: {connected}");

    stream.write_all(&raw::frame(r#"{"id":1,"subscribe":{"channel":"room:1"}}"#)).await.expect("open");
    read_frame(&mut stream).await;
    server.post("publish", &json!({ "channel": "room:1", "data": "la ".repeat(1_000) })).await;
    let (first, publication) = read_frame(&mut stream).await;
    assert_eq!(first, COMPRESSED);
    assert!(publication.len() < 300, "{} bytes", publication.len());
    drop(stream);

    // The reply to `connect` has the token too.
    let (mut stream, _) = shake_hands(&server, "/connect", OFFER).await;
    let connect = format!(r#"{{"id":1,"connect":{{"session":"{session}"}}}}"#);
    stream.write_all(&long_frame(connect.as_bytes())).await.expect("open");
    let (first, reply) = read_frame(&mut stream).await;
    assert_eq!(first, PLAIN);
    assert!(String::from_utf8_lossy(&reply).contains("\"session\""), "{reply:?}");
}

/// As [`raw::frame`], for up to 65,535 bytes.
fn long_frame(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("that short");
    let mut frame = vec![PLAIN, 0x80 | 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}

#[tokio::test]
async fn what_is_short_is_not_worth_it() {
    let server = start().await;
    let (mut stream, _) = shake_hands(&server, "/connect", OFFER).await;
    stream.write_all(&raw::frame(r#"{"id":1,"ping":{}}"#)).await.expect("open");
    assert_eq!(read_frame(&mut stream).await.0, PLAIN);
}

#[tokio::test]
async fn commands_and_publications_flow_compressed_both_ways_beside_those_that_are_not() {
    let server = start().await;
    let mut ann = compressing_peer(&server, "ann").await;
    let mut bob = compressing_peer(&server, "bob").await;
    let mut cat = Peer::connect(&server, "cat").await;
    for peer in [&mut ann, &mut bob, &mut cat] {
        peer.ok("subscribe", json!({ "channel": "room:1" })).await;
    }
    for n in 0..20 {
        let data = format!("{n} {}", "na ".repeat(5_000));
        ann.ok("publish", json!({ "channel": "room:1", "data": data })).await;
        for peer in [&mut ann, &mut bob, &mut cat] {
            assert_eq!(peer.push().await["pub"]["data"], data);
        }
    }
    let counters = ann.socket.counters();
    assert!(counters.sent.deflated_bytes > 0 && counters.sent.wire_bytes < 20 * 1_000, "{counters:?}");
    assert!(counters.received.wire_bytes < 20 * 1_000, "{counters:?}");
    assert_eq!(cat.socket.counters().received.deflated_bytes, 0);
}

#[tokio::test]
async fn what_inflates_beyond_the_limit_of_messages_is_answered_1009() {
    let server = start_with("[limits]\nmessage_bytes = \"100 KiB\"").await;
    let command = |bytes: usize| {
        let text = json!({ "id": 1, "ping": { "x": "" } }).to_string();
        text.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - text.len())))
    };
    let mut at_the_limit = compressing_peer(&server, "ann").await;
    at_the_limit.say(&command(100 << 10)).await;
    let reply = within(at_the_limit.socket.recv()).await.expect("a reply").expect("no error");
    assert!(matches!(&reply, Message::Text(text) if text.contains("\"ok\"")), "{reply:?}");

    let mut past_it = compressing_peer(&server, "bob").await;
    past_it.say(&command((100 << 10) + 1)).await;
    let (words, closed) = past_it.end().await;
    assert_eq!((words.len(), closed.code), (0, 1009), "{words:?} {closed}");
}
