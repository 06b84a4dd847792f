//! Frames, from either side.

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use trunkline_websocket::{Closed, Connection, Event, Limits, Message, Misuse, Role};

use crate::{memory, splits};

/// Small, so that a fuzzer reaches them.
const MESSAGE: usize = 2048;
const FRAGMENTS: u32 = 16;
const OUTGOING: usize = 1024;

/// What one connection may hold: a message being assembled (a growing `Vec` has up to twice its length, and its
/// predecessor while it moves), the same message going out again, answers to pings; and the connection's own structs.
const HEAP: usize = 3 * MESSAGE + 3 * (MESSAGE + OUTGOING) + 4096;

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
    let mut first: Option<Run> = None;
    for pieces in splits::every_way(data) {
        bounded(role, now, &pieces);
        let run = Run::of(role, now, &pieces);
        run.check(other, now);
        match &first {
            None => first = Some(run),
            Some(first) => assert_eq!(first.events, run.events, "cut into {} pieces", pieces.len()),
        }
    }
}

/// Runs the connection without keeping anything that it gives out, and looks at the heap.
fn bounded(role: Role, now: Instant, pieces: &[&[u8]]) {
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or_default();
    memory::within(HEAP + 2 * longest, || {
        let mut connection = Connection::new(role, limits(), now);
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
    events: Vec<Event<'static>>,
    echoed: Vec<Event<'static>>,
    written: Vec<u8>,
}

impl Run {
    fn of(role: Role, now: Instant, pieces: &[&[u8]]) -> Self {
        let mut run = Self { events: Vec::new(), echoed: Vec::new(), written: Vec::new() };
        let mut connection = Connection::new(role, limits(), now);
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
                run.take(&mut connection, event);
            }
        }
        connection.receive_end(now);
        while let Some(event) = connection.poll_event() {
            run.take(&mut connection, event);
        }
        let mut late = *b"\x81\x00";
        let after = connection.receive(now, &mut late).next();
        assert_eq!(after, None, "an event after the end of the stream");
        run
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
        let mut reader = Connection::new(other, Arc::new(Limits::unlimited()), now);
        let mut written = self.written.clone();
        let mut heard: Vec<Event<'static>> =
            reader.receive(now, &mut written).map(Event::into_owned).collect();
        reader.receive_end(now);
        heard.extend(std::iter::from_fn(|| reader.poll_event()));
        let echoes: Vec<&Event<'static>> = heard.iter().filter(|event| is_message(event)).collect();
        assert_eq!(echoes, self.echoed.iter().collect::<Vec<_>>(), "what was sent is what arrives");
        let code = heard.last().and_then(closed).map(|closed| closed.code);
        if let trunkline_websocket::Cause::Violation(violation) = &ends[0].cause {
            assert_eq!(code, Some(violation.close_code().get()), "the remote is told its violation's code");
        }
        for event in &heard {
            if let Event::Closed(closed) = event {
                let fault = matches!(closed.cause, trunkline_websocket::Cause::Violation(_));
                assert!(!fault, "we wrote what is forbidden: {closed}");
            }
        }
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
    Arc::new(Limits { message: MESSAGE, fragments: FRAGMENTS, outgoing: OUTGOING, ..Limits::default() })
}
