//! Which ways of two-way traffic pass.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use trunkline_net::http2::Http2Error;
use trunkline_net::{DialCause, Error, Http2};

use crate::facts::{Facts, Far, Outcome, Way};
use crate::near::http1::Head;
use crate::near::talk::{Asking, Talk};
use crate::near::target::{Target, millis, since};
use crate::near::{Options, OwnHandshake};
use crate::pipe::{Event, Unit, Wants};
use crate::wire::{self, Reply};

/// How soon a server that is not ours is asked for a Pong, and how often it is looked for.
const PING: Duration = Duration::from_millis(100);

pub(crate) async fn measure(target: &Target<'_>, options: &Options, facts: &mut Facts) {
    let way = match facts.far {
        Far::Probe => of_talk("websocket", Talk::websocket(target, Asking::default()).await).await,
        _ => foreign(target, facts).await,
    };
    facts.ways.push(way);
    if facts.far != Far::Probe {
        return;
    }
    facts.ways.push(http2(target).await);
    for head in [stream(target), quiet(target), lines(target)] {
        let talk = Talk::raw(target, &head.1).await;
        facts.ways.push(of_talk(head.0, talk).await);
    }
    for (number, own) in options.own.iter().enumerate() {
        let talk = Talk::raw(target, &of_own(own)).await;
        let name = if number == 0 { "own".to_owned() } else { format!("own {}", number + 1) };
        facts.ways.push(of_talk(&name, talk).await);
    }
}

/// `Upgrade: stream` with the headers that clients have.
pub(crate) fn stream(target: &Target<'_>) -> (&'static str, Head) {
    let fields = [("Connection", "Upgrade"), ("Upgrade", "stream"), ("User-Agent", "trunkline-probe")];
    ("stream", Head::new("GET", target.path(), &fields))
}

fn quiet(target: &Target<'_>) -> (&'static str, Head) {
    ("quiet", Head::new("GET", target.path(), &[("Connection", "Upgrade"), ("Upgrade", "stream")]))
}

fn lines(target: &Target<'_>) -> (&'static str, Head) {
    ("lines", Head::new("OPTIONS", target.path(), &[("Upgrade", "firepresence"), ("X-Auth-Token", "probe")]))
}

fn of_own(own: &OwnHandshake) -> Head {
    Head::new(&own.method, &own.path, &[("Connection", "Upgrade"), ("Upgrade", &own.token)])
}

/// What a conversation says of its way: a round trip is the proof.
async fn of_talk<S>(name: &str, talk: Result<Talk<S>, Outcome>) -> Way
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut way =
        Way { name: name.to_owned(), outcome: Outcome::Works, head_ms: None, echo_ms: None, hello: None };
    match talk {
        Err(outcome) => way.outcome = outcome,
        Ok(mut talk) => {
            way.head_ms = Some(talk.head_ms);
            match talk.ping(1).await {
                Ok(ms) => way.echo_ms = Some(ms),
                Err(end) => way.outcome = crate::near::talk::of_end(&end, true),
            }
            way.hello = talk.hello.take();
            talk.pipe.start_close(1000, "");
            // What the goodbye comes to is measured elsewhere.
            let _ = timeout(PING, talk.pipe.receive()).await;
        }
    }
    way
}

/// A WebSocket with whoever is there; perhaps it is the far end after all, and only plain requests do not get there.
async fn foreign(target: &Target<'_>, facts: &mut Facts) -> Way {
    let mut way = Way {
        name: "websocket".to_owned(),
        outcome: Outcome::Works,
        head_ms: None,
        echo_ms: None,
        hello: None,
    };
    let asking = Asking { foreign: true, pings: Some(PING), ..Asking::default() };
    let mut talk = match Talk::websocket(target, asking).await {
        Ok(talk) => talk,
        Err(outcome) => return Way { outcome, ..way },
    };
    way.head_ms = Some(talk.head_ms);
    facts.far = if facts.far == Far::Unknown { Far::Foreign } else { facts.far };
    let begun = Instant::now();
    let answered = timeout(target.patience, async {
        loop {
            let wants = Wants { input: true, room: false };
            let heard = tokio::select! {
                event = talk.pipe.event(wants) => Some(event),
                () = sleep(PING) => None,
            };
            match heard {
                Some(Event::Received(Unit::Text(text))) => {
                    if let Ok(Reply::Hello(hello)) = wire::decode(&text) {
                        return Ok(Some(hello));
                    }
                }
                Some(Event::End(end)) => return Err(crate::near::talk::of_end(&end, true)),
                _ if talk.pipe.rtt().is_some() => return Ok(None),
                _ => {}
            }
        }
    });
    match answered.await {
        Ok(Ok(hello)) => {
            way.echo_ms = talk.pipe.rtt().map(millis).or(Some(since(begun)));
            facts.far = if hello.is_some() { Far::Probe } else { facts.far };
            way.hello = hello;
        }
        Ok(Err(outcome)) => way.outcome = outcome,
        Err(_) => way.outcome = Outcome::Silent { heard: false, received: None },
    }
    way
}

/// A WebSocket by extended CONNECT.
async fn http2(target: &Target<'_>) -> Way {
    let mut way =
        Way { name: "http2".to_owned(), outcome: Outcome::Works, head_ms: None, echo_ms: None, hello: None };
    let wanted = if target.url.is_secure() { Http2::Alpn } else { Http2::PriorKnowledge };
    let connector = target.connector.clone().http2(wanted).limits(crate::pipe::limits());
    let Ok(url) = target.with_path() else { return Way { outcome: Outcome::NotOffered, ..way } };
    let begun = Instant::now();
    match timeout(target.patience, connector.connect_to(url)).await {
        Err(_) => way.outcome = Outcome::NoAnswer { waited_ms: millis(target.patience) },
        Ok(Err(error)) => way.outcome = of_error(&error),
        Ok(Ok(socket)) => {
            let version = socket.stream().map(trunkline_net::Dialled::version);
            if version != Some(http::Version::HTTP_2) {
                way.outcome = Outcome::NotOffered;
                return way;
            }
            let head_ms = since(begun);
            let talk = Talk::greeted_by(socket, target, head_ms).await;
            return Way { head_ms: Some(head_ms), ..of_talk("http2", talk).await };
        }
    }
    way
}

fn of_error(error: &Error) -> Outcome {
    let is_not_offered = |error: &Http2Error| matches!(error, Http2Error::NotOffered);
    match error {
        Error::Http2(error) if is_not_offered(error) => Outcome::NotOffered,
        // A server that has no HTTP/2 answers its preface with something else, or ends the connection.
        Error::Http2(_) => Outcome::NotOffered,
        Error::Dial(error) if matches!(error.cause, DialCause::Http2(_)) => Outcome::NotOffered,
        Error::Handshake(refused) => match &refused.response {
            Some(response) => Outcome::Refused {
                status: response.status().as_u16(),
                ours: response.headers().contains_key(crate::wire::MARKER),
                by: String::new(),
                body: String::from_utf8_lossy(response.body()).trim().to_owned(),
            },
            None => Outcome::Violation { rule: refused.to_string() },
        },
        error => Outcome::Unreachable { why: error.to_string() },
    }
}
