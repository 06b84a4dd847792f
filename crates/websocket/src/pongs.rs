//! The Pongs we owe: bounded state and never a queue (RFC 6455 section 5.5.3).

/// Bytes of Pongs that may wait in the output at once. Ten Pings in one packet get ten Pongs; a flood from a remote
/// that does not read gets these, and then the latest alone.
const ROOM: u16 = 4096;

/// Which Pongs wait in the output, and the latest of those that found no room. Positions are counted from the output's
/// beginning, in bytes written. It lives with what waits: once all is written there is nothing to remember.
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
    pub(crate) fn reserve(&mut self, payload: &[u8], written: u64) -> bool {
        self.forget_sent(written);
        // A client's header, the longer one; a control payload is at most 125 bytes.
        let cost = u16::try_from(payload.len()).unwrap_or(ROOM) + 6;
        if self.held.is_some() || self.waiting + cost > ROOM {
            self.held = Some(payload.into());
            return false;
        }
        self.waiting += cost;
        true
    }

    /// A Pong has just been put into the output, up to `end`.
    pub(crate) fn queued(&mut self, end: u64) {
        self.mark = end;
    }

    /// The Pong that was held, once those before it have left.
    pub(crate) fn release(&mut self, written: u64) -> Option<Box<[u8]>> {
        self.held.as_ref()?;
        self.forget_sent(written);
        if self.waiting == 0 { self.held.take() } else { None }
    }

    /// Whether one is not written yet.
    pub(crate) fn is_owed(&self, written: u64) -> bool {
        self.held.is_some() || (self.waiting > 0 && written < self.mark)
    }

    /// Whether there is one that found no room.
    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    fn forget_sent(&mut self, written: u64) {
        if written >= self.mark {
            self.waiting = 0;
        }
    }
}
