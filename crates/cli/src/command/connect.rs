//! `trunkline connect`: talks to any WebSocket server, from a terminal or in a pipe.

mod console;
mod raw;

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::sync::Notify;
use trunkline_net::{CloseCode, Closed, Dialled, Error, Limits, Receiver, Sender, WebSocket};

use self::console::{Console, Screen};
use crate::args::Connect;
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::Signals;
use crate::stdin::Lines;
use crate::{dial, refusal, url};

pub(crate) async fn run(args: Connect) -> Outcome {
    let url = url::websocket(&args.url).map_err(Failure::usage)?;
    if let Some(carrier) = args.raw {
        return raw::run(url, carrier, args.dial).await;
    }
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let connector = dial::connector(&args.dial, Limits::default())?;
    let socket = tokio::select! {
        result = connector.connect_to(url.clone()) => result.map_err(|error| refusal::failure(&url, error))?,
        () = signals.next() => return Ok(Exit::Unclean),
    };
    let console = Console::open(&greeting(&socket), args.wait);
    talk(socket, console, signals).await
}

fn greeting(socket: &WebSocket<Dialled>) -> String {
    let mut words = "connected".to_owned();
    if let Some(proxy) = socket.stream().and_then(Dialled::proxy) {
        words.push_str(" through ");
        words.push_str(proxy);
    }
    if socket.stream().is_some_and(|stream| stream.version() == http::Version::HTTP_2) {
        words.push_str(", HTTP/2");
    }
    if let Some(name) = socket.subprotocol() {
        words.push_str(", subprotocol ");
        words.push_str(name);
    }
    words + "; Ctrl-D closes"
}

/// What the two directions of a connection tell each other.
#[derive(Default)]
struct Between {
    /// A message came.
    heard: Notify,
    /// It is time to go, whatever is still to be sent.
    leave: Notify,
}

/// Sends and prints until the connection has ended.
async fn talk(socket: WebSocket<Dialled>, console: Console, mut signals: Signals) -> Outcome {
    let Console { mut lines, mut screen, wait, restore } = console;
    let (sender, mut receiver) = socket.split();
    let between = Between::default();
    let mut spoken = Ok(());
    let speaking = async {
        spoken = speak(&sender, &mut lines, wait, &between).await;
        // Only the end of the connection is the end of the conversation.
        pending().await
    };
    let leaving = async {
        signals.next().await;
        between.leave.notify_one();
        signals.next().await;
    };
    let heard = tokio::select! {
        heard = listen(&mut receiver, &mut screen, &between) => heard,
        heard = speaking => heard,
        // Not even the time for a goodbye.
        () = leaving => return Ok(Exit::Unclean),
    };
    drop(restore);
    tell_end(&receiver, &heard);
    spoken.and(heard.shown)?;
    let clean = receiver.closed().is_some_and(Closed::is_clean);
    Ok(if clean { Exit::Clean } else { Exit::Unclean })
}

/// Sends each line, waits until nothing more comes, closes.
async fn speak(sender: &Sender, lines: &mut Lines, wait: Duration, between: &Between) -> Result<(), Failure> {
    let result = tokio::select! {
        biased;
        () = between.leave.notified() => Ok(()),
        result = send_lines(sender, lines, wait, &between.heard) => result,
    };
    // Too late if the connection has ended, and then there is nothing to close.
    let _ = sender.close(CloseCode::NORMAL, "");
    result
}

async fn send_lines(
    sender: &Sender,
    lines: &mut Lines,
    wait: Duration,
    heard: &Notify,
) -> Result<(), Failure> {
    let mut number = 0_u64;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|error| Failure::unclean(format_args!("stdin:{number}: {error}")))?;
        if sender.send(line).await.is_err() {
            return Ok(());
        }
    }
    while tokio::time::timeout(wait, heard.notified()).await.is_ok() {}
    Ok(())
}

/// What listening came to.
struct Heard {
    /// How the connection ended, if not cleanly.
    error: Option<Error>,
    /// Whether all messages could be shown.
    shown: Result<(), Failure>,
}

/// Shows each message until the connection has ended. A slow stdout slows the remote down: nothing is kept for it here.
async fn listen(receiver: &mut Receiver<Dialled>, screen: &mut Screen, between: &Between) -> Heard {
    let mut heard = Heard { error: None, shown: Ok(()) };
    let mut showing = true;
    while let Some(message) = receiver.recv().await {
        match message {
            Ok(message) if showing => match screen.show(&message) {
                Ok(()) => between.heard.notify_one(),
                Err(error) => {
                    showing = false;
                    between.leave.notify_one();
                    // Whoever read our output, `head` for one, has seen enough.
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        heard.shown = Err(Failure::unclean(format_args!("stdout: {error}")));
                    }
                }
            },
            Ok(_) => {}
            Err(error) => heard.error = Some(error),
        }
    }
    heard
}

/// Close code and reason, on stderr.
fn tell_end(receiver: &Receiver<Dialled>, heard: &Heard) {
    let Some(closed) = receiver.closed() else { return };
    // An end of the stream says more in the system's words: reset, timed out.
    match &heard.error {
        Some(Error::Io(error)) => eprintln!("{closed}: {error}"),
        _ => eprintln!("{closed}"),
    }
}
