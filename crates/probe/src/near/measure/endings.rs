//! How ends arrive: of one direction, by a Close frame, by a reset.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::ways::stream;
use crate::facts::Ended;
use crate::near::talk::{Asking, Talk, ending};
use crate::near::target::{Target, since};
use crate::pipe::{End, Measured};
use crate::wire::{Command, Reply};

/// What is still to come when one direction has ended comes this much later: behind what ends both.
const LATER_MS: u32 = 500;

/// How often the far end is asked what it has seen.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn measure(target: &Target<'_>) -> Vec<Ended> {
    let mut all = Vec::new();
    let head = stream(target).1;
    // Only a bare stream has directions that end by themselves.
    if let Ok(talk) = Talk::raw(target, &head).await {
        all.extend(half_close_near(talk).await);
        if let Ok(talk) = Talk::raw(target, &head).await {
            all.extend(half_close_far(talk, target).await);
        }
    }
    all.extend(close_near(target).await);
    all.extend(close_far(target).await);
    all.extend(reset_near(target).await);
    all.extend(reset_far(target).await);
    all
}

fn ended(name: &str, seen: impl Into<String>, begun: Instant) -> Option<Ended> {
    Some(Ended { name: name.to_owned(), seen: seen.into(), ms: Some(since(begun)) })
}

/// We end our direction; the far end still has something to say.
async fn half_close_near(mut talk: Talk) -> Option<Ended> {
    let name = "half_close_near";
    talk.say(&Command::Ticks { count: 2, every_ms: LATER_MS }).await.ok()?;
    talk.reply().await.ok()?;
    let begun = Instant::now();
    talk.pipe.start_close(1000, "");
    talk.pipe.flush().await.ok()?;
    match talk.reply().await {
        Ok(Reply::Tick { .. }) => ended(name, "answered", begun),
        Ok(_) => None,
        Err(End::Failed(_)) => ended(name, "nothing", begun),
        Err(_) => ended(name, "cut", begun),
    }
}

/// The far end ends its direction; what we still say has to arrive.
async fn half_close_far(mut talk: Talk, target: &Target<'_>) -> Option<Ended> {
    let (name, id) = ("half_close_far", talk.id()?);
    talk.say(&Command::HalfClose {}).await.ok()?;
    let begun = Instant::now();
    let end = timeout(target.patience, talk.pipe.receive()).await;
    if end.is_err() {
        return ended(name, "nothing", begun);
    }
    let before = ending(target, &id).await?.units;
    for _ in 0..3 {
        sleep(ASK_EVERY).await;
        let _ = talk.say(&Command::Mark {}).await;
    }
    sleep(ASK_EVERY).await;
    let after = ending(target, &id).await?.units;
    ended(name, if after > before { "answered" } else { "cut" }, begun)
}

async fn close_near(target: &Target<'_>) -> Option<Ended> {
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    let id = talk.id()?;
    let begun = Instant::now();
    talk.pipe.start_close(4001, "probe");
    let _ = timeout(target.patience, talk.pipe.receive()).await;
    let (seen, ms) = seen_there(target, &id, begun).await?;
    Some(Ended { name: "close_near".to_owned(), seen, ms })
}

async fn close_far(target: &Target<'_>) -> Option<Ended> {
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    // The end may be here before all is said.
    let _ = talk.say(&Command::Close { code: 4002, reason: "probe".to_owned() }).await;
    seen_here("close_far", &mut talk, target).await
}

async fn reset_far(target: &Target<'_>) -> Option<Ended> {
    let mut talk = Talk::websocket(target, Asking::default()).await.ok()?;
    let _ = talk.say(&Command::Reset {}).await;
    seen_here("reset_far", &mut talk, target).await
}

async fn seen_here(name: &str, talk: &mut Talk, target: &Target<'_>) -> Option<Ended> {
    let begun = Instant::now();
    let seen = match timeout(target.patience, talk.receive()).await {
        Err(_) => "nothing".to_owned(),
        Ok(Ok(_)) => return None,
        Ok(Err(End::Closed(code))) => format!("close {code}"),
        Ok(Err(End::Reset)) => "reset".to_owned(),
        Ok(Err(End::Http(_))) => "an error page".to_owned(),
        Ok(Err(_)) => "end".to_owned(),
    };
    ended(name, seen, begun)
}

async fn reset_near(target: &Target<'_>) -> Option<Ended> {
    let talk = Talk::websocket(target, Asking::default()).await.ok()?;
    let id = talk.id()?;
    if !talk.pipe.stream()?.reset_on_close() {
        return None;
    }
    let begun = Instant::now();
    drop(talk);
    let (seen, ms) = seen_there(target, &id, begun).await?;
    Some(Ended { name: "reset_near".to_owned(), seen, ms })
}

/// What the far end has seen of the end of a connection, and after how long; asked until it has.
async fn seen_there(target: &Target<'_>, id: &str, begun: Instant) -> Option<(String, Option<f64>)> {
    loop {
        let ending = ending(target, id).await?;
        match ending.how.as_str() {
            "open" if begun.elapsed() < target.patience => sleep(ASK_EVERY).await,
            "open" => return Some(("nothing".to_owned(), None)),
            "close" => return Some((format!("close {}", ending.detail), Some(since(begun)))),
            "half" => return Some(("end".to_owned(), Some(since(begun)))),
            how => return Some((how.to_owned(), Some(since(begun)))),
        }
    }
}
