//! The quiet form: the client says what it wants once it knows who we are.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_dialect::Code;
use trunkline_net::http1::Rewind;
use trunkline_net::stream::quiet::{self, Answer, Asked, LINE, Refused};

use super::judge::{origin_fits, redeem};
use crate::service::{Io, LAST_WORDS, Ready, Unavailable, Visit};

/// After a refusal, how much of what the client still sends is thrown away.
const DRAIN: u64 = 64 << 10;

/// Waits for the client's line, answers it, and hands the stream to the service.
pub(super) async fn listen(visit: Visit, mut io: Io) {
    let listening = async {
        let reading = read_line(&mut io);
        let read = tokio::time::timeout(visit.app.config.limits.connect_timeout, reading).await;
        let (line, rest) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(Err(refused(Code::Unauthenticated, "no line came in time"))),
        };
        Ok(answer_to(&visit, &line).await.map(|ready| (ready, rest)))
    };
    let heard = tokio::select! {
        heard = listening => heard,
        // Nobody is owed an answer who has not asked.
        () = visit.app.stop.stopping() => return,
    };
    match heard {
        Ok(Ok((ready, rest))) => accept(&visit, io, ready, rest).await,
        Ok(Err(why)) => refuse(&visit, io, why).await,
        Err(error) => tracing::debug!(%error, "a client left before it said what it wants"),
    }
}

async fn answer_to(visit: &Visit, line: &[u8]) -> Result<Ready, Refused> {
    let bad = |_| refused(Code::BadRequest, "expected one line {\"service\": name, \"ticket\": text?}");
    let Asked { service, ticket } = serde_json::from_slice(line).map_err(bad)?;
    let Some(service) = visit.app.services.named(&service) else {
        return Err(refused(Code::BadRequest, "there is no service of this name"));
    };
    if !origin_fits(visit, service) {
        return Err(refused(Code::Forbidden, "this Origin is not one that may open this service"));
    }
    redeem(visit, service, ticket.as_deref()).await.map_err(|code| match code {
        Code::Forbidden => refused(code, "this ticket is for channels, not for services"),
        Code::Unavailable => refused(code, "tickets cannot be redeemed just now"),
        code => refused(code, "this service asks for a ticket; this one is no good, or there is none"),
    })?;
    service.ready(visit).await.map_err(|why| match why {
        Unavailable::Failed => refused(Code::Unavailable, "the service cannot be reached"),
        Unavailable::TooSlow => refused(Code::Unavailable, "the service could not be reached in time"),
        Unavailable::Refused(_) => refused(Code::Forbidden, "the service does not let this client in"),
    })
}

async fn accept(visit: &Visit, mut io: Io, ready: Ready, rest: Bytes) {
    let answering = say(&mut io, &Answer::Ok(quiet::Ready {}));
    match tokio::time::timeout(visit.app.config.limits.head_timeout, answering).await {
        Ok(Ok(())) => {
            let (unread, carrier) = io.into_parts();
            ready.serve(visit, Rewind::new([rest, unread].concat().into(), carrier));
        }
        _ => tracing::debug!("a client did not take the answer to what it asked"),
    }
}

/// Says why not, and ends.
async fn refuse(visit: &Visit, mut io: Io, why: Refused) {
    let saying = async {
        say(&mut io, &Answer::Error(why)).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut (&mut io).take(DRAIN), &mut tokio::io::sink()).await
    };
    tokio::select! {
        // Not reading it in time is the client's loss.
        _ = tokio::time::timeout(LAST_WORDS, saying) => {}
        () = visit.app.stop.cut() => {}
    }
}

async fn say(io: &mut Io, answer: &Answer) -> io::Result<()> {
    io.write_all(&quiet::write(answer)).await?;
    io.flush().await
}

/// The first line, and what was read behind it. A line that is too long is one that says nothing.
async fn read_line(io: &mut Io) -> io::Result<(Vec<u8>, Bytes)> {
    let mut read = Vec::new();
    let mut looked = 0;
    loop {
        match quiet::end_of_line(&read, looked) {
            Ok(Some(end)) => {
                let rest = read.split_off(end);
                return Ok((read, rest.into()));
            }
            Ok(None) => looked = read.len(),
            Err(_) => return Ok((Vec::new(), Bytes::new())),
        }
        read.reserve(LINE / 8);
        if io.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn refused(code: Code, message: &str) -> Refused {
    Refused { code: code.name().to_owned(), message: message.to_owned() }
}
