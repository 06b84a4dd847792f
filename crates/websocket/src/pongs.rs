//! The Pongs we owe: bounded state and never a queue (RFC 6455 section 5.5.3).

use crate::output::Output;

/// Bytes of Pongs that may wait in the output at once. Ten Pings in one packet get ten Pongs; a flood from a remote
/// that does not read gets these, and then the latest alone.
const ROOM: u16 = 4096;

/// Which Pongs wait in the output, and the latest of those that found no room.
///
/// "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s),
/// the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
#[derive(Debug, Default)]
pub(crate) struct Pongs {
    /// The output's position behind the last Pong in it.
    mark: u64,
    /// Bytes of Pongs before the mark.
    waiting: u16,
    held: Option<Box<[u8]>>,
}

impl Pongs {
    /// Whether a Pong with this payload may go straight into the output; if not it is kept for later, in place of
    /// an older one.
    pub(crate) fn reserve(&mut self, payload: &[u8], output: &Output) -> bool {
        self.forget_sent(output);
        // A client's header, the longer one; a control payload is at most 125 bytes.
        let cost = u16::try_from(payload.len()).unwrap_or(ROOM) + 6;
        if self.held.is_some() || self.waiting + cost > ROOM {
            self.held = Some(payload.into());
            return false;
        }
        self.waiting += cost;
        true
    }

    /// A Pong has just been put at the end of the output.
    pub(crate) fn queued(&mut self, output: &Output) {
        self.mark = output.end();
    }

    /// The Pong that was held, once those before it have left.
    pub(crate) fn release(&mut self, output: &Output) -> Option<Box<[u8]>> {
        self.held.as_ref()?;
        self.forget_sent(output);
        if self.waiting == 0 { self.held.take() } else { None }
    }

    fn forget_sent(&mut self, output: &Output) {
        if output.written() >= self.mark {
            self.waiting = 0;
        }
    }
}
