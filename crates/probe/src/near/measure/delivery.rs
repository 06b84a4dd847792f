//! Small things at a steady pace: does each come when it was sent, or are they held? And bytes that come with a head.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::time::{sleep_until, timeout};
use trunkline_net::{Dialled, random_mask};

use crate::facts::{Delivery, Early, Facts, Outcome, Way};
use crate::near::http1::{Head, ask};
use crate::near::talk::{Asking, Talk};
use crate::near::target::{Target, since};
use crate::wire::{self, Command, Reply};

/// How many, and milliseconds between them: a second in all, of which a buffer that holds them shows every part.
const COUNT: u32 = 20;
const EVERY_MS: u32 = 50;

pub(crate) async fn measure(target: &Target<'_>, websocket: bool, facts: &mut Facts) {
    if websocket {
        facts.deliveries.extend(down(target).await);
        facts.deliveries.extend(up(target).await);
        facts.early = early(target).await;
    }
    let (way, delivery) = events(target).await;
    facts.ways.push(way);
    facts.deliveries.extend(delivery);
}

/// Messages of the far end.
async fn down(target: &Target<'_>) -> Option<Delivery> {
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    talk.say(&Command::Ticks { count: COUNT, every_ms: EVERY_MS }).await.ok()?;
    let mut arrivals = Arrivals::default();
    while arrivals.count() < COUNT {
        match talk.reply().await {
            Ok(Reply::Tick { at_us, .. }) => arrivals.take(at_us),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Some(arrivals.into_delivery("down"))
}

/// Ours, of which the far end says when they came.
async fn up(target: &Target<'_>) -> Option<Delivery> {
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    let begun = Instant::now();
    let mut sent_ms = Vec::new();
    for number in 0..COUNT {
        sleep_until((begun + Duration::from_millis(EVERY_MS.into()) * number).into()).await;
        sent_ms.push(since(begun));
        talk.say(&Command::Mark {}).await.ok()?;
    }
    let first = sent_ms.first().copied().unwrap_or(0.0);
    let Ok(Reply::Marks { at_us }) = talk.ask(&Command::Marks {}).await else { return None };
    let came_ms = at_us.iter().map(|us| *us as f64 / 1000.0).collect();
    Some(Delivery {
        name: "up".to_owned(),
        sent: COUNT,
        sent_ms: sent_ms.iter().map(|sent| sent - first).collect(),
        came_ms,
    })
}

/// Events of a plain response.
async fn events(target: &Target<'_>) -> (Way, Option<Delivery>) {
    let mut way =
        Way { name: "sse".to_owned(), outcome: Outcome::Works, head_ms: None, echo_ms: None, hello: None };
    let path = target.below("/events", &format!("count={COUNT}&every_ms={EVERY_MS}"));
    let fields = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache"), ("Connection", "close")];
    let answer = match ask(target, &Head::new("GET", &path, &fields), b"").await {
        Ok(answer) => answer,
        Err(outcome) => return (Way { outcome, ..way }, None),
    };
    way.head_ms = Some(answer.ms);
    let is_stream = answer.field("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    if answer.status != http::StatusCode::OK || !is_stream {
        way.outcome = answer.refused().await;
        return (way, None);
    }
    // Held heads hold the first event too: the time of the request is what it is compared with.
    let mut arrivals = Arrivals {
        begun: Some(Instant::now() - Duration::from_secs_f64(answer.ms / 1000.0)),
        ..Arrivals::default()
    };
    read_events(answer.stream, answer.rest.to_vec(), target.patience, &mut arrivals).await;
    let delivery = arrivals.into_delivery("sse");
    if delivery.came_ms.is_empty() {
        way.outcome = Outcome::Silent { heard: false, received: None };
    }
    (way, Some(delivery))
}

async fn read_events(mut stream: Dialled, mut read: Vec<u8>, patience: Duration, arrivals: &mut Arrivals) {
    let mut chunk = vec![0; 4096];
    loop {
        // A chunk's framing may stand between two events, never inside one: the far end writes each whole.
        while let Some(end) = read.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = read.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&event);
            let data = text.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(Ok(Reply::Tick { at_us, .. })) = data.map(wire::decode) {
                arrivals.take(at_us);
            }
        }
        if arrivals.count() == COUNT {
            return;
        }
        match timeout(patience, stream.read(&mut chunk)).await {
            Ok(Ok(count)) if count > 0 && read.len() < EVENTS_LIMIT => {
                read.extend_from_slice(&chunk[..count])
            }
            _ => return,
        }
    }
}

/// More than all events together have; what goes on without an event's end is no stream of them.
const EVENTS_LIMIT: usize = 64 << 10;

/// When things came that say when they were sent.
#[derive(Debug, Default)]
struct Arrivals {
    /// Of the request, where the first thing might be held already.
    begun: Option<Instant>,
    first: Option<Instant>,
    sent_ms: Vec<f64>,
    came_ms: Vec<f64>,
}

impl Arrivals {
    fn take(&mut self, at_us: u64) {
        let now = Instant::now();
        let first = *self.first.get_or_insert(self.begun.unwrap_or(now));
        self.sent_ms.push(at_us as f64 / 1000.0);
        self.came_ms.push(now.duration_since(first).as_secs_f64() * 1000.0);
    }

    fn count(&self) -> u32 {
        u32::try_from(self.came_ms.len()).unwrap_or(u32::MAX)
    }

    fn into_delivery(self, name: &str) -> Delivery {
        Delivery { name: name.to_owned(), sent: COUNT, sent_ms: self.sent_ms, came_ms: self.came_ms }
    }
}

/// Bytes in one packet with the request, and with the answer.
async fn early(target: &Target<'_>) -> Option<Early> {
    let behind = masked(&wire::encode(&Command::Ping { n: EARLY, pad: String::new() }));
    let asking = Asking { behind: &behind, foreign: true, ..Asking::default() };
    let mut talk = Talk::websocket(target, asking).await.ok()?;
    let mut early = Early::default();
    talk.say(&Command::Ping { n: LATER, pad: String::new() }).await.ok()?;
    loop {
        match talk.reply().await {
            Ok(Reply::Hello(_)) => early.with_answer = Some(true),
            Ok(Reply::Pong { n: EARLY, .. }) => early.with_request = Some(true),
            // Nothing overtakes in one connection: what is not here now is lost.
            Ok(Reply::Pong { n: LATER, .. }) => {
                early.behind_it = Some(true);
                early.with_request.get_or_insert(false);
                early.with_answer.get_or_insert(false);
                return Some(early);
            }
            Ok(_) => {}
            Err(_) => {
                early.behind_it = Some(false);
                return Some(early);
            }
        }
    }
}

const EARLY: u64 = 1;
const LATER: u64 = 2;

/// A text message of a client, of at most 125 bytes, as a frame.
fn masked(text: &str) -> Vec<u8> {
    let mask = random_mask();
    let length = u8::try_from(text.len()).unwrap_or(0).min(125);
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend_from_slice(&mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
