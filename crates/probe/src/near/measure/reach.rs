//! The way to the host, phase by phase, and a plain request at its end.

use std::time::Instant;

use trunkline_net::Error;

use crate::facts::{Facts, Far, Outcome, Reach, Way};
use crate::near::http1::{Head, ask_on};
use crate::near::target::{Target, millis, since};
use crate::pipe::Measured;
use crate::wire::{self, Hello, MARKER};

pub(crate) async fn measure(target: &Target<'_>, facts: &mut Facts) {
    let (dialled, spent) = target.connector.dial_timed(target.url).await;
    let mut reach = Reach {
        phases: spent.iter().map(|(phase, time)| (phase.to_string(), millis(*time))).collect(),
        ..Reach::default()
    };
    match dialled {
        Ok(stream) => {
            reach.remote = Some(stream.peer_addr().to_string());
            facts.via = stream.proxy().map(str::to_owned);
            stream.without_keepalive();
            let begun = Instant::now();
            facts.plain = Some(plain(stream, target, facts).await);
            reach.phases.push(("http".to_owned(), since(begun)));
        }
        Err(error) => reach.failed = Some((phase(&error), error.to_string())),
    }
    facts.reach = Some(reach);
}

fn phase(error: &Error) -> String {
    match error {
        Error::Dial(error) => error.phase.to_string(),
        _ => "connect".to_owned(),
    }
}

/// A plain request: says who is there, and what came of a request that asks for nothing special.
async fn plain(stream: trunkline_net::Dialled, target: &Target<'_>, facts: &mut Facts) -> Way {
    let fields = [("Accept", "*/*"), ("Connection", "close")];
    let mut way =
        Way { name: "http".to_owned(), outcome: Outcome::Works, head_ms: None, echo_ms: None, hello: None };
    let answer = match ask_on(stream, target, &Head::new("GET", target.path(), &fields), b"").await {
        Ok(answer) => answer,
        Err(outcome) => return Way { outcome, ..way },
    };
    way.head_ms = Some(answer.ms);
    let marked = answer.field(MARKER).is_some();
    if answer.status != http::StatusCode::OK {
        facts.far = if marked { Far::ProbeOff } else { Far::Unknown };
        way.outcome = answer.refused().await;
        return way;
    }
    let hello = wire::decode::<Hello>(&answer.whole(target.patience).await);
    way.hello = hello.ok().filter(|hello| hello.probe > 0).map(Box::new);
    facts.far = if way.hello.is_some() { Far::Probe } else { Far::Unknown };
    way
}
