//! A conversation with the far end, or with another WebSocket server.

use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use trunkline_net::handshake::{self, ConnectOptions};
use trunkline_net::{DeflateConfig, Dialled, Role, Setup, WebSocket, random_mask};

use super::http1::{Answer, Head, ask};
use super::target::{Target, millis, since};
use super::watched::{Page, Watched};
use crate::facts::Outcome;
use crate::pipe::{self, End, Pipe, Unit};
use crate::wire::{self, Command, Ending, Field, Hello, Reply};

/// The number of the ping that goes before the hello is there.
const GREETING: u64 = u64::MAX >> 11;

/// An upgraded connection.
#[derive(Debug)]
pub(crate) struct Talk<S = Watched> {
    pub(crate) pipe: Pipe<S>,
    /// An answer of HTTP that came inside it.
    page: Page,
    /// What the far end said first; nothing if it is not ours.
    pub(crate) hello: Option<Box<Hello>>,
    /// The fields that were sent.
    pub(crate) sent: Vec<Field>,
    /// The fields of the answer.
    pub(crate) answered: Vec<Field>,
    /// From the request to the head of the answer.
    pub(crate) head_ms: f64,
    patience: Duration,
}

/// How a WebSocket is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asking<'a> {
    /// Compression is offered.
    pub(crate) deflate: bool,
    /// More headers.
    pub(crate) fields: &'a [(&'a str, &'a str)],
    /// Pings after so long without a byte.
    pub(crate) pings: Option<Duration>,
    /// It may be another server: no hello is waited for.
    pub(crate) foreign: bool,
    /// Bytes in one packet with the request.
    pub(crate) behind: &'a [u8],
}

impl Talk {
    /// A WebSocket with the far end, its hello received.
    ///
    /// # Errors
    ///
    /// What came of it instead.
    pub(crate) async fn websocket(target: &Target<'_>, asking: Asking<'_>) -> Result<Self, Outcome> {
        let deflate = DeflateConfig::default();
        let mut options = ConnectOptions::default();
        if asking.deflate {
            options.extensions.push(std::sync::Arc::new(deflate.clone()));
        }
        let unfit = |why: &dyn std::fmt::Display| Outcome::Unreachable { why: why.to_string() };
        let attempt =
            handshake::request(target.url, &options, rand::rng().random()).map_err(|why| unfit(&why))?;
        let head = head_of(attempt.request(), target.path(), asking.fields);
        let answer = ask(target, &head, asking.behind).await?;
        if answer.status != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(not_switched(answer, target.patience).await);
        }
        let established = match attempt.verify(&response(&answer)) {
            Ok(established) => established,
            Err(rejected) => return Err(Outcome::Violation { rule: rejected.to_string() }),
        };
        let mut limits = pipe::limits();
        limits.ping_interval = asking.pings;
        let deflate = asking.deflate.then(|| deflate.agreed(established.extensions(), false)).flatten();
        let setup = Setup { deflate, ..Setup::from(limits) };
        let Answer { stream, fields, rest, ms, .. } = answer;
        let page = Page::default();
        page.look(&rest);
        let stream = Watched::new(stream, page.clone());
        let socket = WebSocket::from_upgraded(stream, rest, Role::Client(random_mask), setup);
        let mut talk = Self {
            pipe: Pipe::websocket(socket),
            page,
            hello: None,
            sent: head.all(target),
            answered: fields,
            head_ms: ms,
            patience: target.patience,
        };
        if !asking.foreign {
            talk.greet(target).await?;
        }
        Ok(talk)
    }

    /// A bare stream with the far end, its hello received.
    ///
    /// # Errors
    ///
    /// What came of it instead.
    pub(crate) async fn raw(target: &Target<'_>, head: &Head) -> Result<Self, Outcome> {
        let answer = ask(target, head, b"").await?;
        if answer.status != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(not_switched(answer, target.patience).await);
        }
        let mut talk = Self {
            pipe: Pipe::raw(Watched::new(answer.stream, Page::default()), &answer.rest),
            page: Page::default(),
            hello: None,
            sent: head.all(target),
            answered: answer.fields,
            head_ms: answer.ms,
            patience: target.patience,
        };
        talk.greet(target).await?;
        Ok(talk)
    }
}

impl Talk<Dialled> {
    /// A WebSocket that is open already.
    ///
    /// # Errors
    ///
    /// What came instead of a hello.
    pub(crate) async fn greeted_by(
        socket: WebSocket<Dialled>,
        target: &Target<'_>,
        head_ms: f64,
    ) -> Result<Self, Outcome> {
        let mut talk = Self {
            pipe: Pipe::websocket(socket),
            page: Page::default(),
            hello: None,
            sent: Vec::new(),
            answered: Vec::new(),
            head_ms,
            patience: target.patience,
        };
        talk.greet(target).await?;
        Ok(talk)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// By what the far end knows this connection.
    pub(crate) fn id(&self) -> Option<String> {
        self.hello.as_ref()?.id.clone()
    }

    /// Says something, and waits until it is written.
    pub(crate) async fn say(&mut self, command: &Command) -> Result<(), End> {
        let sent = self.pipe.send(Unit::Text(wire::encode(command)));
        let sent = timeout(self.patience, sent).await.unwrap_or_else(|_| Err(late(self.patience)));
        sent.map_err(|end| self.told(end))
    }

    /// The next that the far end says.
    pub(crate) async fn reply(&mut self) -> Result<Reply, End> {
        let waited = timeout(self.patience, async {
            loop {
                if let Unit::Text(text) = self.receive().await? {
                    return wire::decode(&text).map_err(End::Violation);
                }
            }
        });
        waited.await.unwrap_or_else(|_| Err(late(self.patience)))
    }

    /// The next unit.
    pub(crate) async fn receive(&mut self) -> Result<Unit, End> {
        let received = self.pipe.receive().await;
        received.map_err(|end| self.told(end))
    }

    /// A frame that breaks a rule may have been no frame.
    fn told(&self, end: End) -> End {
        match (end, self.page.get()) {
            (End::Violation(_), Some(page)) => End::Http(page),
            (end, _) => end,
        }
    }

    /// Says something and waits for the answer.
    pub(crate) async fn ask(&mut self, command: &Command) -> Result<Reply, End> {
        self.say(command).await?;
        self.reply().await
    }

    /// A round trip, in milliseconds.
    pub(crate) async fn ping(&mut self, n: u64) -> Result<f64, End> {
        let begun = Instant::now();
        self.say(&Command::Ping { n, pad: String::new() }).await?;
        loop {
            if matches!(self.reply().await?, Reply::Pong { n: got, .. } if got == n) {
                return Ok(since(begun));
            }
        }
    }

    /// As [`greeting`](Self::greeting); where nothing is answered, the far end is asked what has come there.
    async fn greet(&mut self, target: &Target<'_>) -> Result<(), Outcome> {
        match (self.greeting().await, self.id()) {
            (Err(Outcome::Silent { heard, .. }), Some(id)) => {
                let received = ending(target, &id).await.map(|ending| ending.units);
                Err(Outcome::Silent { heard, received })
            }
            (greeted, _) => greeted,
        }
    }

    /// Waits for the hello. A ping goes before: its answer without a hello says that the hello alone is lost.
    async fn greeting(&mut self) -> Result<(), Outcome> {
        self.say(&Command::Ping { n: GREETING, pad: String::new() })
            .await
            .map_err(|end| of_end(&end, false))?;
        loop {
            match self.reply().await {
                Ok(Reply::Hello(hello)) => {
                    self.hello = Some(hello);
                    return self.greeted().await;
                }
                Ok(Reply::Pong { n: GREETING, .. }) => return Ok(()),
                Ok(_) => {}
                Err(end) => return Err(of_end(&end, false)),
            }
        }
    }

    /// What is behind the hello has to arrive too, or nothing goes upwards.
    async fn greeted(&mut self) -> Result<(), Outcome> {
        loop {
            match self.reply().await {
                Ok(Reply::Pong { n: GREETING, .. }) => return Ok(()),
                Ok(_) => {}
                Err(end) => return Err(of_end(&end, true)),
            }
        }
    }
}

/// What the far end knows of a connection, asked for by a plain request.
pub(crate) async fn ending(target: &Target<'_>, id: &str) -> Option<Ending> {
    let head = Head::new("GET", &target.below("/ending", &format!("id={id}")), &[("Connection", "close")]);
    let answer = ask(target, &head, b"").await.ok()?;
    wire::decode::<Option<Ending>>(&answer.whole(target.patience).await).ok()?
}

/// What an end says of the way, where an answer was due.
pub(crate) fn of_end(end: &End, heard: bool) -> Outcome {
    match end {
        End::Closed(_) | End::Ended => Outcome::Ended { reset: false },
        End::Reset => Outcome::Ended { reset: true },
        End::Violation(rule) => Outcome::Violation { rule: rule.clone() },
        End::Http(page) => Outcome::ErrorPage { page: page.clone() },
        End::Failed(_) => Outcome::Silent { heard, received: None },
    }
}

/// The head of our own handshake, with the path of the probe.
fn head_of(request: &http::Request<()>, path: &str, more: &[(&str, &str)]) -> Head {
    let fields = request.headers().iter().filter(|(name, _)| *name != http::header::HOST);
    let mut head = Head::new("GET", path, &[]);
    for (name, value) in fields {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        head.fields.push((spelled(name.as_str()), value));
    }
    head.fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    head
}

/// As browsers spell it, so that a path which does not look at case properly is seen as browsers see it.
fn spelled(name: &str) -> String {
    let parts = name.split('-').map(|part| match part {
        "websocket" => "WebSocket".to_owned(),
        part => {
            let mut letters = part.chars();
            letters
                .next()
                .map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        }
    });
    parts.collect::<Vec<_>>().join("-")
}

fn response(answer: &Answer) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = answer.status;
    for (name, value) in &answer.fields {
        let name = http::HeaderName::try_from(name.as_str());
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// An answer that is no 101: the far end's own, which says what came of the request, or anybody's.
async fn not_switched(answer: Answer, patience: Duration) -> Outcome {
    let plain =
        answer.status == http::StatusCode::OK && answer.field("content-type") == Some("application/json");
    if !plain {
        return answer.refused().await;
    }
    let (status, by) = (answer.status.as_u16(), answer.field("server").unwrap_or_default().to_owned());
    let body = answer.whole(patience).await;
    match wire::decode::<Hello>(&body) {
        Ok(hello) if hello.probe > 0 => {
            let upgrade_arrived = hello.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
            Outcome::NotUpgraded { upgrade_arrived }
        }
        _ => Outcome::Refused { status, ours: false, by, body: body.chars().take(500).collect() },
    }
}

fn late(patience: Duration) -> End {
    End::Failed(format!("no answer within {:.1} s", millis(patience) / 1000.0))
}
