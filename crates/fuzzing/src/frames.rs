//! Frames, from either side; with compression and without, messages whole and in pieces.

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use trunkline_websocket::deflate::{Agreed, Params};
use trunkline_websocket::{
    Cause, Closed, Connection, Event, Kind, Limits, Message, Misuse, Role, Setup, Violation,
};

use crate::{memory, splits};

/// Small, so that a fuzzer reaches them.
const MESSAGE: usize = 2048;
const FRAGMENTS: u32 = 16;
const OUTGOING: usize = 1024;

/// What one connection may hold: a message being assembled (a growing `Vec` has up to twice its length, and its
/// predecessor while it moves), the same message going out again, answers to pings; and the connection's own structs.
const HEAP: usize = 3 * MESSAGE + 3 * (MESSAGE + OUTGOING) + 4096;

/// A decompressor, and the window that it has to remember.
const INFLATER: usize = 64 << 10;

/// Both ends remember, and little, so that a fuzzer finds the end of what is known. What is short goes uncompressed.
const AGREED: Agreed = Agreed {
    params: Params {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 9,
        client_max_window_bits: 9,
    },
    level: 1,
    threshold: 64,
};

/// What the connection was told beside its role.
#[derive(Clone, Copy, Debug)]
struct Mode {
    deflate: bool,
    /// Messages are received piece by piece.
    pieces: bool,
}

/// Bytes that a server receives.
pub fn frames_server(data: &[u8]) {
    frames(Role::Server, Role::Client(mask), data);
}

/// Bytes that a client receives.
pub fn frames_client(data: &[u8]) {
    frames(Role::Client(mask), Role::Server, data);
}

/// No secret in a test, and the same in every run.
fn mask() -> [u8; 4] {
    [0x37, 0xfa, 0x21, 0x3d]
}

fn frames(role: Role, other: Role, data: &[u8]) {
    let now = Instant::now();
    for deflate in [false, true] {
        let mut first: Option<Run> = None;
        for pieces in [false, true] {
            let mode = Mode { deflate, pieces };
            // Of the cuts that mean less, half will do where messages come in pieces.
            let ways = if pieces { 2 } else { 4 };
            for cut in splits::every_way(data).iter().take(ways) {
                bounded(role, mode, now, cut);
                let run = Run::of(role, mode, now, cut);
                run.check(other, now);
                match &first {
                    None => first = Some(run),
                    // Fragments that are not kept do not count.
                    Some(first) if pieces && (first.counts_fragments() || run.counts_fragments()) => {}
                    Some(first) => assert_eq!(first.events, run.events, "{mode:?}, cut into {}", cut.len()),
                }
            }
        }
    }
}

fn connection(role: Role, mode: Mode, now: Instant) -> Connection {
    let setup = Setup { deflate: mode.deflate.then_some(AGREED), ..Setup::from(limits()) };
    let mut connection = Connection::new(role, setup, now);
    connection.receive_pieces(mode.pieces);
    connection
}

/// Runs the connection without keeping anything that it gives out, and looks at the heap.
fn bounded(role: Role, mode: Mode, now: Instant, pieces: &[&[u8]]) {
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or_default();
    let codec = if mode.deflate { INFLATER } else { 0 };
    memory::within(HEAP + codec + 2 * longest, || {
        let mut connection = connection(role, mode, now);
        let mut input = Vec::with_capacity(longest);
        for piece in pieces {
            input.clear();
            input.extend_from_slice(piece);
            for event in connection.receive(now, &mut input) {
                drop(event);
            }
            discard_output(&mut connection);
        }
        connection.receive_end(now);
        while connection.poll_event().is_some() {}
    });
}

/// One life of a connection that echoes, with all that came out of it.
struct Run {
    mode: Mode,
    /// Pieces are put together here.
    events: Vec<Event<'static>>,
    open: Option<(Kind, Vec<u8>)>,
    echoed: Vec<Event<'static>>,
    written: Vec<u8>,
}

impl Run {
    fn of(role: Role, mode: Mode, now: Instant, pieces: &[&[u8]]) -> Self {
        let mut run = Self { mode, events: Vec::new(), open: None, echoed: Vec::new(), written: Vec::new() };
        let mut connection = connection(role, mode, now);
        for piece in pieces {
            let mut rest = piece.to_vec();
            let mut rest = &mut rest[..];
            // One event at a time, so that each is answered before the next byte is looked at.
            loop {
                let mut events = connection.receive(now, rest);
                let event = events.next().map(Event::into_owned);
                let consumed = events.consumed();
                rest = &mut rest[consumed..];
                let Some(event) = event else {
                    assert!(rest.is_empty(), "no event, and {} bytes left over", rest.len());
                    break;
                };
                run.look_at(&mut connection, event);
            }
            assert!(!connection.has_more(), "no event, and there should be more");
        }
        connection.receive_end(now);
        while let Some(event) = connection.poll_event() {
            run.look_at(&mut connection, event);
        }
        let mut late = *b"\x81\x00";
        let after = connection.receive(now, &mut late).next();
        assert_eq!(after, None, "an event after the end of the stream");
        run
    }

    /// Puts pieces together; everything else is taken as it is.
    fn look_at(&mut self, connection: &mut Connection, event: Event<'static>) {
        match event {
            Event::Begin(kind) => assert!(self.open.replace((kind, Vec::new())).is_none(), "two at once"),
            Event::Piece(piece) => {
                assert!(piece.last || !piece.data.is_empty(), "an empty piece in the middle");
                let (kind, mut data) = self.open.take().expect("a message has begun");
                data.extend_from_slice(&piece.data);
                if !piece.last {
                    self.open = Some((kind, data));
                    return;
                }
                self.take(
                    connection,
                    match kind {
                        Kind::Text => {
                            Event::Text(String::from_utf8(data).expect("pieces of text are UTF-8").into())
                        }
                        Kind::Binary => Event::Binary(data.into()),
                    },
                );
            }
            event => self.take(connection, event),
        }
    }

    fn take(&mut self, connection: &mut Connection, event: Event<'static>) {
        let message = match &event {
            Event::Text(text) => Some(Message::from(text.as_ref())),
            Event::Binary(data) => Some(Message::from(data.to_vec())),
            _ => None,
        };
        if let Some(message) = message {
            match connection.send(message) {
                Ok(()) => self.echoed.push(event.clone()),
                Err(misuse) => assert!(matches!(misuse, Misuse::AfterClose), "{misuse}"),
            }
        }
        self.events.push(event);
        while let Some(output) = connection.poll_transmit() {
            self.written.extend_from_slice(output.chunk());
            let len = output.chunk().len();
            output.advance(len);
        }
    }

    /// What has to be true of any run.
    fn check(&self, other: Role, now: Instant) {
        let ends: Vec<&Closed> = self.events.iter().filter_map(closed).collect();
        assert_eq!(ends.len(), 1, "exactly one Closed: {:?}", self.events);
        assert!(
            self.events.last().is_some_and(|event| closed(event).is_some()),
            "nothing follows it: {:?}",
            self.events
        );

        // What we write is itself beyond reproach: our own other role reads it and finds no fault.
        let deflate = self.mode.deflate.then_some(AGREED);
        let mut reader = Connection::new(other, Setup { deflate, ..Setup::from(Limits::unlimited()) }, now);
        let mut written = self.written.clone();
        let mut heard: Vec<Event<'static>> =
            reader.receive(now, &mut written).map(Event::into_owned).collect();
        reader.receive_end(now);
        heard.extend(std::iter::from_fn(|| reader.poll_event()));
        let echoes: Vec<&Event<'static>> = heard.iter().filter(|event| is_message(event)).collect();
        assert_eq!(echoes, self.echoed.iter().collect::<Vec<_>>(), "what was sent is what arrives");
        let code = heard.last().and_then(closed).map(|closed| closed.code);
        if let Cause::Violation(violation) = &ends[0].cause {
            assert_eq!(code, Some(violation.close_code().get()), "the remote is told its violation's code");
        }
        for event in &heard {
            if let Event::Closed(closed) = event {
                let fault = matches!(closed.cause, Cause::Violation(_));
                assert!(!fault, "we wrote what is forbidden: {closed}");
            }
        }
    }
}

impl Run {
    /// Whether it ended because of how many fragments there were.
    fn counts_fragments(&self) -> bool {
        let fragments =
            |closed: &Closed| matches!(closed.cause, Cause::Violation(Violation::TooManyFragments { .. }));
        self.events.iter().filter_map(closed).any(fragments)
    }
}

fn closed<'e>(event: &'e Event<'static>) -> Option<&'e Closed> {
    match event {
        Event::Closed(closed) => Some(closed),
        _ => None,
    }
}

fn is_message(event: &Event<'_>) -> bool {
    matches!(event, Event::Text(_) | Event::Binary(_))
}

fn discard_output(connection: &mut Connection) {
    while let Some(output) = connection.poll_transmit() {
        let len = output.remaining();
        output.advance(len);
    }
}

fn limits() -> Arc<Limits> {
    let streamed = MESSAGE as u64;
    Arc::new(Limits {
        message: MESSAGE,
        streamed,
        fragments: FRAGMENTS,
        outgoing: OUTGOING,
        ..Limits::default()
    })
}
