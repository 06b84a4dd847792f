//! How long a connection lasts on which nothing, or little, is said.
//!
//! All connections wait at the same time, each for its own time. One that is cut with a word tells when; one that is dropped
//! without shows only when it is used, so the limit lies between the longest wait that was survived and the shortest that was not,
//! and further waits between the two bring them closer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{sleep_until, timeout};

use crate::facts::Idle;
use crate::near::talk::{Asking, Talk, ending};
use crate::near::target::{Target, millis, since};
use crate::pipe::{End, Event, Wants};
use crate::wire::{Command, TICKS_LIMIT};

/// Parts of the longest wait that are waited for at the same time.
const PARTS: &[f64] = &[0.125, 0.25, 0.5, 0.75, 1.0];

/// Further waits between the longest survived and the shortest not.
const ROUNDS: usize = 2;

/// The longest time between two heartbeats (5 s), well below any limit that is in use.
const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) async fn measure(target: &Target<'_>, longest: Duration, ours: bool) -> Vec<Idle> {
    let far_talks = async {
        match ours {
            true => far_talks(target, longest).await,
            false => None,
        }
    };
    let (silent, pinged, far_talks) =
        tokio::join!(silent(target, longest, ours), pinged(target, longest), far_talks);
    [silent, pinged, far_talks].into_iter().flatten().collect()
}

/// What came of one wait.
enum Waited {
    Alive,
    /// It was told, after so many milliseconds.
    Cut(f64, Option<String>),
    /// It was not told, and there was no answer after the wait.
    Dead,
    /// There was no connection to wait on.
    NotOpened,
}

async fn silent(target: &Target<'_>, longest: Duration, ours: bool) -> Option<Idle> {
    let waits: Vec<Duration> = PARTS.iter().map(|part| longest.mul_f64(*part)).collect();
    let all = join_all(waits.iter().map(|wait| wait_silently(target, *wait, ours))).await;
    let mut idle = Idle {
        name: "silent".to_owned(),
        wanted_ms: millis(longest),
        cut_ms: None,
        between_ms: None,
        there: None,
    };
    let (mut survived, mut dead) = (Duration::ZERO, None::<Duration>);
    for (wait, waited) in waits.iter().zip(all) {
        match waited {
            Waited::Alive => survived = survived.max(*wait),
            Waited::Dead => dead = Some(dead.map_or(*wait, |dead| dead.min(*wait))),
            Waited::Cut(after, id) if idle.cut_ms.is_none_or(|cut| after < cut) => {
                idle.cut_ms = Some(after);
                idle.there = match id {
                    Some(id) => ending(target, &id).await,
                    None => None,
                };
            }
            Waited::Cut(..) | Waited::NotOpened => {}
        }
    }
    if let Some(dead) = dead.filter(|_| idle.cut_ms.is_none()) {
        let (survived, dead) = closer(target, survived, dead, ours).await;
        idle.between_ms = Some((millis(survived), millis(dead)));
    }
    (survived > Duration::ZERO || idle.cut_ms.is_some() || idle.between_ms.is_some()).then_some(idle)
}

/// Brings the two borders closer together.
async fn closer(target: &Target<'_>, survived: Duration, dead: Duration, ours: bool) -> (Duration, Duration) {
    let (mut survived, mut dead) = (survived, dead);
    for _ in 0..ROUNDS {
        let middle = (survived + dead) / 2;
        match wait_silently(target, middle, ours).await {
            Waited::Alive => survived = middle,
            Waited::Dead | Waited::Cut(..) => dead = middle,
            Waited::NotOpened => break,
        }
    }
    (survived, dead)
}

async fn wait_silently(target: &Target<'_>, wait: Duration, ours: bool) -> Waited {
    let asking = Asking { foreign: !ours, ..Asking::default() };
    let Ok(mut talk) = Talk::websocket(target, asking).await else { return Waited::NotOpened };
    watch(&mut talk, wait, ours, target.patience).await
}

/// Says nothing for `wait`, then asks whether anybody is there.
async fn watch(talk: &mut Talk, wait: Duration, ours: bool, patience: Duration) -> Waited {
    let begun = Instant::now();
    let end = (begun + wait).into();
    loop {
        let wants = Wants { input: true, room: false };
        tokio::select! {
            event = talk.pipe.event(wants) => if let Event::End(_) = event {
                return Waited::Cut(since(begun), talk.id());
            },
            () = sleep_until(end) => break,
        }
    }
    let alive = match ours {
        true => talk.ping(1).await.is_ok(),
        // The one question that every WebSocket answers.
        false => {
            talk.pipe.start_close(1000, "");
            let goodbye = async {
                loop {
                    if let Err(end) = talk.pipe.receive().await {
                        return matches!(end, End::Closed(_));
                    }
                }
            };
            timeout(patience, goodbye).await.unwrap_or(false)
        }
    };
    if alive { Waited::Alive } else { Waited::Dead }
}

/// Both directions have something to carry now and then.
async fn pinged(target: &Target<'_>, longest: Duration) -> Option<Idle> {
    let every = HEARTBEAT.min(longest / 10);
    let asking = Asking { foreign: true, pings: Some(every), ..Asking::default() };
    let mut talk = Talk::websocket(target, asking).await.ok()?;
    let begun = Instant::now();
    let end = (begun + longest).into();
    let mut idle = Idle {
        name: "pinged".to_owned(),
        wanted_ms: millis(longest),
        cut_ms: None,
        between_ms: None,
        there: None,
    };
    loop {
        tokio::select! {
            event = talk.pipe.event(Wants { input: true, room: false }) => if let Event::End(_) = event {
                idle.cut_ms = Some(since(begun));
                return Some(idle);
            },
            () = sleep_until(end) => return Some(idle),
        }
    }
}

/// Only the far end says something.
async fn far_talks(target: &Target<'_>, longest: Duration) -> Option<Idle> {
    let every = HEARTBEAT.min(longest / 10).max(Duration::from_millis(1));
    let count = u32::try_from(longest.as_millis() / every.as_millis().max(1)).unwrap_or(u32::MAX);
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    let every_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
    talk.say(&Command::Ticks { count: count.clamp(1, TICKS_LIMIT), every_ms }).await.ok()?;
    let mut idle = Idle {
        name: "far_talks".to_owned(),
        wanted_ms: millis(longest),
        cut_ms: None,
        between_ms: None,
        there: None,
    };
    match watch(&mut talk, longest, true, target.patience).await {
        Waited::Cut(after, id) => {
            idle.cut_ms = Some(after);
            if let Some(id) = id {
                idle.there = ending(target, &id).await;
            }
        }
        Waited::Dead => idle.between_ms = Some((0.0, millis(longest))),
        Waited::Alive | Waited::NotOpened => {}
    }
    Some(idle)
}
