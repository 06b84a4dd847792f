//! The ways to the end: the closing handshake, violations, deadlines (RFC 6455 section 7).

use std::time::{Duration, Instant};

use super::{AfterWrite, Connection, State};
use crate::close::{self, Cause, CloseCode, Closed, Why};
use crate::config::Role;
use crate::error::Violation;
use crate::frame::OpCode;

impl Connection {
    /// The one way to the end: tells the application once, drops partial messages of either direction, stops reading.
    pub(super) fn finish(&mut self, now: Instant, closed: Closed) {
        if matches!(self.state, State::Ending { .. } | State::Gone) {
            return;
        }
        let how = match (&closed.cause, self.role) {
            (Cause::Violation(_), _) => AfterWrite::ShutdownThenAwaitEnd,
            // A remote that does not answer will not end the stream either.
            (Cause::TimedOut(..), _) => AfterWrite::Drop,
            (_, Role::Client(_)) => AfterWrite::AwaitEnd,
            (_, Role::Server) => AfterWrite::Drop,
        };
        self.state = State::Ending { since: now, how };
        self.untold = Some(Box::new(closed));
        self.incoming = None;
        self.stop_sending();
        if let Some(compression) = &mut self.compression {
            compression.abandon();
        }
    }

    /// Our Close frame is the last that we send: a message that is being sent piece by piece stays unfinished.
    pub(super) fn begin_close(&mut self, now: Instant, body: &[u8]) {
        self.queue_control(OpCode::Close, body);
        self.state = State::Closing { since: now };
        self.stop_sending();
    }

    pub(super) fn time_out(&mut self, now: Instant, why: Why, limit: Option<Duration>) {
        let cause = Cause::TimedOut(why, limit.unwrap_or_default());
        self.finish(now, Closed { code: 1006, reason: String::new(), cause });
    }

    /// _Fail the WebSocket Connection_ (section 7.1.7): say why, then end.
    pub(super) fn fail(&mut self, now: Instant, violation: Violation) {
        if matches!(self.state, State::Open) {
            self.queue_close(violation.close_code(), &violation.to_string());
        }
        self.finish(now, Closed { code: 1006, reason: String::new(), cause: Cause::Violation(violation) });
    }

    pub(super) fn receive_close(&mut self, now: Instant, body: &[u8]) -> Result<(), Violation> {
        let (code, reason) = close::decode_body(body, self.leniency)?;
        let cause = if matches!(self.state, State::Closing { .. }) {
            Cause::ClosedByUs
        } else {
            // "When sending a Close frame in response, the endpoint typically echos the status code it received."
            let code = CloseCode::new(code).map(|code| code.get().to_be_bytes());
            self.queue_control(OpCode::Close, code.as_ref().map_or(&[], |code| &code[..]));
            Cause::ClosedByRemote
        };
        self.finish(now, Closed { code, reason: reason.to_owned(), cause });
        Ok(())
    }

    /// A Close frame of our own making; a reason that is too long is cut at the last character that fits.
    pub(super) fn queue_close(&mut self, code: CloseCode, reason: &str) {
        self.queue_control(OpCode::Close, &close_body(code, reason));
    }
}

pub(super) fn close_body(code: CloseCode, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(close::MAX_REASON)];
    [&code.get().to_be_bytes(), reason.as_bytes()].concat()
}
