//! How many idle connections the path holds at once, and whether they are all there after a while.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;

use crate::facts::{Outcome, Parallel};
use crate::findings::words;
use crate::near::Options;
use crate::near::talk::{Asking, Talk};
use crate::near::target::{Target, since};

/// Handshakes under way at once: below what a server takes of one address in a second.
const AT_ONCE: usize = 16;

/// How long they are held (10 s), or as long as the longest silence that is tried, if that is shorter.
const HELD: Duration = Duration::from_secs(10);

pub(crate) async fn measure(target: &Target<'_>, options: &Options) -> Parallel {
    let mut parallel = Parallel { wanted: options.parallel, ..Parallel::default() };
    let opening = stream::iter(0..options.parallel)
        .map(|_| Talk::websocket(target, Asking::default()))
        .buffer_unordered(AT_ONCE);
    let mut opening = std::pin::pin!(opening);
    let mut talks = Vec::new();
    while let Some(opened) = opening.next().await {
        match opened {
            Ok(talk) => talks.push(talk),
            Err(outcome) => {
                parallel.refused_by_us = matches!(outcome, Outcome::Refused { ours: true, .. });
                parallel.refused = Some(words(&outcome));
                break;
            }
        }
    }
    parallel.opened = talks.len();
    let begun = Instant::now();
    sleep(if options.idle_max.is_zero() { HELD } else { HELD.min(options.idle_max) }).await;
    parallel.held_ms = since(begun);
    let answers = stream::iter(talks).map(|mut talk| async move { talk.ping(1).await.is_ok() });
    let alive = answers.buffer_unordered(AT_ONCE).filter(|alive| std::future::ready(*alive)).count();
    parallel.alive = alive.await;
    parallel
}
