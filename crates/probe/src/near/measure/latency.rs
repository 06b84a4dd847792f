//! Round trips while nothing else is under way, and of messages by their size.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::facts::{Facts, Size};
use crate::near::talk::{Asking, Talk};
use crate::near::target::{Target, since};
use crate::pipe::Unit;

/// Round trips, and the pause between them.
const COUNT: u64 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Around the borders of the length field, and up to the largest that is measured.
const SIZES: &[usize] = &[1, 125, 126, 1024, 16 << 10, 65_535, 65_536, 256 << 10, 1 << 20];

/// How often each size is tried; the best counts.
const TRIES: usize = 3;

pub(crate) async fn measure(target: &Target<'_>, facts: &mut Facts) {
    if let Ok(mut talk) = Talk::websocket(target, Asking::default()).await {
        let mut idle_ms = Vec::new();
        for number in 0..COUNT {
            match talk.ping(number).await {
                Ok(ms) => idle_ms.push(ms),
                Err(_) => break,
            }
            sleep(PAUSE).await;
        }
        facts.latency.get_or_insert_default().idle_ms = idle_ms;
    }
    facts.sizes = sizes(target).await;
}

async fn sizes(target: &Target<'_>) -> Vec<Size> {
    let mut measured = Vec::new();
    let Ok(mut talk) = Talk::websocket(target, Asking::default()).await else { return measured };
    for bytes in SIZES.iter().copied() {
        let mut best: Option<f64> = None;
        for _ in 0..TRIES {
            let Some(ms) = echo(&mut talk, bytes, target.patience).await else { break };
            best = Some(best.map_or(ms, |best| best.min(ms)));
        }
        measured.push(Size { bytes, ms: best });
        if best.is_none() {
            // What the path did to this one says nothing of larger ones; they are not tried.
            break;
        }
    }
    measured
}

/// A round trip of bytes that cannot be compressed away, compared when they are back.
async fn echo(talk: &mut Talk, bytes: usize, patience: Duration) -> Option<f64> {
    let mut payload = vec![0; bytes];
    crate::pattern::Pattern::new(rand::random()).fill(0, &mut payload);
    let payload = bytes::Bytes::from(payload);
    let begun = Instant::now();
    let trip = async {
        talk.pipe.send(Unit::Binary(payload.clone())).await.ok()?;
        loop {
            match talk.pipe.receive().await.ok()? {
                Unit::Binary(back) => return (back == payload).then(|| since(begun)),
                Unit::Text(_) => {}
            }
        }
    };
    timeout(patience, trip).await.ok().flatten()
}
