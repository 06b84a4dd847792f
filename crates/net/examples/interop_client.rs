//! Our client in the game that `compliance/interop/README.md` describes: `interop_client [--http2] URL SCENARIO`.
//!
//! Exits with 0 if everything was as it has to be, and says otherwise what was not.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_net::{
    CloseCode, Connector, DeflateConfig, Dialled, Error as NetError, Http2, Limits, Message, WebSocket,
};

type Outcome = Result<(), Box<dyn Error>>;
type Socket = WebSocket<Dialled>;

const SIZES: [usize; 8] = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20];
const CLOSES: [(u16, &str); 3] = [(1000, "done"), (3000, ""), (4999, "ünïcödé \u{1f9f6}")];
const CLOSED: [(u16, &str); 3] = [(1001, "going"), (3001, ""), (4998, "z\u{301} 中文")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().position(|argument| argument == "--http2");
    let http2 = if let Some(at) = asked {
        arguments.remove(at);
        Http2::PriorKnowledge
    } else {
        Http2::Never
    };
    HTTP2.set(http2).map_err(|_| "set twice")?;
    let [url, scenario] = arguments.as_slice() else {
        return Err("usage: interop_client [--http2] URL SCENARIO".into());
    };
    match scenario.as_str() {
        "sizes" => sizes(&format!("{url}/")).await,
        "fragments" => sizes(&format!("{url}/fragments")).await,
        "ping" => ping(&format!("{url}/")).await,
        "pinged" => pinged(&format!("{url}/pinged")).await,
        "close" => close(&format!("{url}/")).await,
        "closed" => closed(&format!("{url}/closed")).await,
        "deflate" => deflate(&format!("{url}/")).await,
        "subprotocol" => subprotocol(&format!("{url}/")).await,
        other => Err(format!("no scenario {other}").into()),
    }
}

async fn sizes(url: &str) -> Outcome {
    let mut socket = connect(url).await?;
    for size in SIZES {
        let binary: Vec<u8> = (0..=250).cycle().take(size).collect();
        for message in [Message::from("x".repeat(size)), Message::from(binary)] {
            socket.send(message.clone()).await?;
            let reply = receive(&mut socket).await?;
            ensure(reply == message, || format!("{} bytes came back for {size}", reply.len()))?;
        }
    }
    goodbye(socket).await
}

/// Pings are the keepalive's business; that one was answered shows as a round-trip time.
async fn ping(url: &str) -> Outcome {
    let limits = Limits { ping_interval: Some(Duration::from_millis(20)), ..Limits::default() };
    let mut socket = connector().limits(limits).connect(url).await?;
    for _ in 0..500 {
        // Nothing is due to arrive: waiting for it is what drives the keepalive.
        if let Ok(early) = timeout(Duration::from_millis(20), socket.recv()).await {
            return Err(format!("{early:?} where nothing was due").into());
        }
        if socket.rtt().is_some() {
            return goodbye(socket).await;
        }
    }
    Err("no ping was answered".into())
}

async fn pinged(url: &str) -> Outcome {
    let mut socket = connect(url).await?;
    socket.send("are you there?").await?;
    let reply = receive(&mut socket).await?;
    ensure(reply.as_text() == Some("pong: are you there?"), || format!("{reply:?}"))?;
    goodbye(socket).await
}

async fn close(url: &str) -> Outcome {
    for (code, reason) in CLOSES {
        let mut socket = connect(url).await?;
        let closed = socket.close(CloseCode::new(code).ok_or("a code for the wire")?, reason).await?;
        ensure(closed.is_clean() && closed.code == code, || format!("{closed} for {code}"))?;
    }
    Ok(())
}

async fn closed(url: &str) -> Outcome {
    for (code, reason) in CLOSED {
        let mut socket = connect(url).await?;
        socket.send(format!("{code} {reason}")).await?;
        let end = socket.recv().await;
        ensure(end.is_none(), || format!("{end:?} where a Close frame was due"))?;
        let closed = socket.closed().ok_or("ended, and does not say how")?;
        let same = closed.is_clean() && closed.code == code && closed.reason == reason;
        ensure(same, || format!("{closed} for {code} {reason}"))?;
    }
    Ok(())
}

async fn deflate(url: &str) -> Outcome {
    let offers = [
        DeflateConfig { threshold: 0, ..DeflateConfig::default() },
        DeflateConfig {
            threshold: 0,
            server_max_window_bits: 9,
            client_max_window_bits: 9,
            ..DeflateConfig::lean()
        },
    ];
    for offer in offers {
        let mut socket = connector().deflate(offer).connect(url).await?;
        for message in compressible() {
            socket.send(message.clone()).await?;
            let reply = receive(&mut socket).await?;
            ensure(reply == message, || format!("{} bytes came back for {}", reply.len(), message.len()))?;
        }
        let counted = socket.counters();
        let both_ways = counted.received.deflated_bytes > 0 && counted.sent.deflated_bytes > 0;
        ensure(both_ways, || format!("not compressed: {counted:?}"))?;
        goodbye(socket).await?;
    }
    Ok(())
}

/// Equal messages in a row, so that a window that is carried over is used; what does not compress; nothing; longer than
/// any window.
fn compressible() -> Vec<Message> {
    let text = r#"{"user": "ünïcödé", "text": "hello hello hello"}"#;
    let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
    let mut messages = vec![Message::from(""), Message::from("x")];
    messages.extend([text; 3].map(Message::from));
    messages.extend([bytes.into(), "to and fro ".repeat(20_000).into(), vec![0; 1 << 20].into()]);
    messages
}

async fn subprotocol(url: &str) -> Outcome {
    let socket = connector().subprotocol("other").subprotocol("interop").connect(url).await?;
    ensure(socket.subprotocol() == Some("interop"), || format!("{:?}", socket.subprotocol()))?;
    goodbye(socket).await
}

static HTTP2: OnceLock<Http2> = OnceLock::new();

fn connector() -> Connector {
    Connector::default().http2(HTTP2.get().copied().unwrap_or(Http2::Never))
}

async fn connect(url: &str) -> Result<Socket, NetError> {
    connector().connect(url).await
}

async fn receive(socket: &mut Socket) -> Result<Message, Box<dyn Error>> {
    match socket.recv().await {
        Some(message) => Ok(message?),
        None => Err(format!("closed where a message was due: {:?}", socket.closed()).into()),
    }
}

async fn goodbye(mut socket: Socket) -> Outcome {
    let closed = socket.close(CloseCode::NORMAL, "").await?;
    ensure(closed.is_clean() && closed.code == 1000, || closed.to_string())
}

fn ensure(holds: bool, words: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(words().into()) }
}
