//! `trunkline publish`: lines in, publications out.

use std::time::Duration;

use tokio::time::Instant;
use trunkline_client::dialect::{ChannelName, Json, Position};
use trunkline_client::{Client, Error};

use crate::args::Publish;
use crate::exit::{Exit, Failure, Outcome};
use crate::hub::{self, Hub};
use crate::output;
use crate::signals::Signals;
use crate::stdin;

/// Between two attempts at a line that the hub says to retry, doubled from the first to the last: a rate of 50 a second
/// is kept up with, and a broker that is down is not asked all the time.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LAST: Duration = Duration::from_secs(2);

/// How long one line is tried for. A rate limit lets it pass long before that; a broker that is down for longer is
/// something to be told of.
const TRY_FOR: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: Publish) -> Outcome {
    // Whatever can be wrong without a server is found before it is asked.
    ChannelName::new(&args.channel).map_err(Failure::usage)?;
    let data = args.data.as_deref().map(|data| read(data, args.text));
    let data = data.transpose().map_err(|error| Failure::usage(format_args!("--data: {error}")))?;
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let hub = tokio::select! {
        hub = Hub::connect(args.hub) => hub?,
        () = signals.next() => return Ok(Exit::Unclean),
    };
    let mut publisher =
        Publisher { client: &hub.client, channel: &args.channel, verbose: args.verbose, certain: true };
    let outcome = tokio::select! {
        result = publisher.all(data, args.text) => result.map(|()| publisher.exit()),
        // What was not published yet is not going to be.
        () = signals.next() => Ok(Exit::Unclean),
    };
    hub.close(&mut signals).await;
    outcome
}

struct Publisher<'a> {
    client: &'a Client,
    channel: &'a str,
    verbose: bool,
    /// Whether of every line it is known that it was published.
    certain: bool,
}

impl Publisher<'_> {
    async fn all(&mut self, data: Option<Json>, text: bool) -> Result<(), Failure> {
        if let Some(data) = data {
            return self.one("--data", &data).await;
        }
        let mut lines = stdin::lines();
        let mut number = 0_u64;
        while let Some(line) = lines.recv().await {
            number += 1;
            let place = format!("stdin:{number}");
            let line = line.map_err(|error| failed(&place, error))?;
            if line.trim().is_empty() && !text {
                continue;
            }
            let data = read(&line, text).map_err(|error| failed(&place, error))?;
            self.one(&place, &data).await?;
        }
        Ok(())
    }

    /// Publishes, and says so. That nobody knows whether it did is told and remembered, and is no failure: the lines
    /// behind it have a right to be published too.
    async fn one(&mut self, place: &str, data: &Json) -> Result<(), Failure> {
        match self.persist(data).await {
            Ok(position) if self.verbose => {
                let line = serde_json::to_string(&position).map_err(|error| failed(place, error))?;
                output::line(line).map_err(|error| Failure::unclean(format_args!("stdout: {error}")))
            }
            Ok(_) => Ok(()),
            Err(Error::UnknownOutcome) => {
                self.certain = false;
                eprintln!("{place}: {}", Error::UnknownOutcome);
                Ok(())
            }
            Err(error) => Err(failed(place, hub::failure(error))),
        }
    }

    /// Publishes, trying again where the hub says that this helps.
    async fn persist(&self, data: &Json) -> Result<Position, Error> {
        let give_up = Instant::now() + TRY_FOR;
        let mut pause = PAUSE_FIRST;
        loop {
            match self.client.publish(self.channel, data).await {
                Err(Error::Refused(error)) if error.retry && Instant::now() < give_up => {
                    tracing::debug!(%error, ?pause, "refused for now");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_LAST);
                }
                result => return result,
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.certain { Exit::Clean } else { Exit::Unclean }
    }
}

fn read(line: &str, text: bool) -> Result<Json, Failure> {
    let data = if text { Json::of(line) } else { Json::parse(line) };
    data.map_err(Failure::unclean)
}

fn failed(place: &str, why: impl std::fmt::Display) -> Failure {
    Failure::unclean(format_args!("{place}: {why}"))
}
