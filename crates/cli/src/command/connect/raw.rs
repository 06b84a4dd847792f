//! `trunkline connect --raw`: a netcat through anything that passes HTTP.

use std::io::{self, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use trunkline_net::Limits;
use trunkline_net::stream::{Carrier, Connector, Stream};
use trunkline_net::url::WsUrl;

use crate::args::{Dial, Raw};
use crate::exit::{Exit, Failure, Outcome};
use crate::signals::Signals;
use crate::stdin::{self, Pieces};
use crate::{dial, refusal};

/// One read of what comes.
const PIECE: usize = 64 << 10;

pub(super) async fn run(url: WsUrl, carrier: Raw, mut args: Dial) -> Outcome {
    let mut signals = Signals::new().map_err(Failure::unclean)?;
    let ticket = args.ticket.take();
    let mut connector = Connector::new(dial::connector(&args, Limits::default())?);
    connector = match carrier {
        Raw::Any => connector,
        Raw::Upgrade => connector.carrier(Carrier::Upgrade),
        Raw::Websocket => connector.carrier(Carrier::WebSocket),
    };
    if let Some(ticket) = ticket {
        connector = connector.ticket(ticket);
    }
    if !args.headers.is_empty() {
        // Whoever says what to send, means it to be sent.
        connector = connector.by_name();
    }
    let talking = async {
        let stream =
            connector.connect_to(url.clone()).await.map_err(|error| refusal::failure(&url, error))?;
        talk(stream).await
    };
    tokio::select! {
        outcome = talking => outcome,
        () = signals.next() => Ok(Exit::Unclean),
    }
}

/// Carries bytes until nothing more comes. Each direction has a task of its own: a stdout that is full does not stop stdin.
async fn talk(stream: Stream) -> Outcome {
    let (reader, writer) = tokio::io::split(stream);
    let mut sending = tokio::spawn(send(writer, stdin::pieces()));
    let receiving = receive(reader);
    tokio::pin!(receiving);
    let received = tokio::select! {
        received = &mut receiving => received,
        sent = &mut sending => {
            sent.map_err(Failure::unclean)??;
            receiving.await
        }
    };
    sending.abort();
    received.map(|()| Exit::Clean)
}

/// Sends stdin, and its end. That nobody takes it is for the other direction to tell: the stream is over.
async fn send(mut writer: WriteHalf<Stream>, mut pieces: Pieces) -> Result<(), Failure> {
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|error| Failure::unclean(format_args!("stdin: {error}")))?;
        if writer.write_all(&piece).await.is_err() || writer.flush().await.is_err() {
            return Ok(());
        }
    }
    let _ = writer.shutdown().await;
    Ok(())
}

/// Writes to stdout what comes, until its end. A slow stdout slows the remote down: nothing is kept for it here.
async fn receive(mut reader: ReadHalf<Stream>) -> Result<(), Failure> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = reader.read(&mut buffer).await;
        let count = read.map_err(|error| Failure::unclean(format_args!("the stream was cut: {error}")))?;
        if count == 0 {
            return Ok(());
        }
        match tokio::task::block_in_place(|| write(&buffer[..count])) {
            Ok(()) => {}
            // Whoever read our output, `head` for one, has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::unclean(format_args!("stdout: {error}"))),
        }
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
