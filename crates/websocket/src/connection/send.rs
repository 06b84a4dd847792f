//! From above: whole messages and control frames, framed, compressed and masked into the output.

use bytes::Bytes;

use super::{Connection, State};
use crate::config::Role;
use crate::error::Misuse;
use crate::event::Kind;
use crate::frame::{self, Header, MAX_CONTROL, MAX_HEADER, OpCode, RSV1};
use crate::mask;
use crate::message::{Message, MessageRef};
use crate::observe::{FrameNote, Way};
use crate::prepared::Prepared;

/// What a frame that is queued says of itself, but for its length and mask.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) opcode: OpCode,
    pub(super) fin: bool,
    pub(super) rsv: u8,
}

impl Head {
    fn whole(kind: Kind, rsv: u8) -> Self {
        Self { opcode: kind.into(), fin: true, rsv }
    }
}

impl Connection {
    /// From above: queues a message.
    ///
    /// Compressed, if permessage-deflate was agreed on, the message is not shorter than its threshold, and compressing it
    /// gains something.
    ///
    /// [`Misuse::Full`] past the outgoing mark, which counts bytes as they go over the wire: nothing was queued, write
    /// and try again.
    pub fn send(&mut self, message: Message) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_promised(message)
    }

    /// From above: queues a copy of a message that lies elsewhere; where that is short, nothing is allocated for it.
    /// Compressed as by [`Connection::send`], and refused as there.
    pub fn send_ref(&mut self, message: MessageRef<'_>) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_ref_promised(message)
    }

    /// As [`Connection::send_promised`], for a message that lies elsewhere.
    #[inline]
    pub fn send_ref_promised(&mut self, message: MessageRef<'_>) -> Result<(), Misuse> {
        self.may_begin()?;
        let payload = message.as_bytes();
        self.count_message(payload.len());
        match self.squeeze(payload, true) {
            Some(squeezed) => self.queue_owned(Head::whole(message.kind(), RSV1), squeezed),
            None => self.queue_copy(Head::whole(message.kind(), 0), payload),
        }
        Ok(())
    }

    /// From above: queues a message for which there was [room](Connection::has_room) when it was asked for. Pongs may
    /// have taken it since, and a promise is a promise.
    pub fn send_promised(&mut self, message: Message) -> Result<(), Misuse> {
        self.may_begin()?;
        self.queue_message(message, true);
        Ok(())
    }

    /// From above: queues a message that is not to be compressed, whatever was agreed on. For what is compressed already,
    /// and for secrets beside what others can choose: their length would give them away.
    ///
    /// Refused as [`Connection::send`].
    pub fn send_uncompressed(&mut self, message: Message) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_uncompressed_promised(message)
    }

    /// As [`Connection::send_promised`], for a message that is not to be compressed.
    pub fn send_uncompressed_promised(&mut self, message: Message) -> Result<(), Misuse> {
        self.may_begin()?;
        self.queue_message(message, false);
        Ok(())
    }

    /// From above: queues a message that was framed before; see [`Prepared`].
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        self.may_send()?;
        self.send_prepared_promised(prepared)
    }

    /// As [`Connection::send_promised`], for a message that was framed before.
    pub fn send_prepared_promised(&mut self, prepared: &Prepared) -> Result<(), Misuse> {
        self.may_begin()?;
        self.queue_prepared(prepared);
        Ok(())
    }

    /// From above: queues a Ping of the application's own, at most 125 bytes. Keepalive needs none.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.send_control(OpCode::Ping, payload)
    }

    /// From above: queues an unasked Pong, at most 125 bytes (section 5.5.3). Pings are answered without this.
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Misuse> {
        self.send_control(OpCode::Pong, payload)
    }

    pub(super) fn may_send(&self) -> Result<(), Misuse> {
        match self.state {
            State::Open if self.has_room() => Ok(()),
            State::Open => Err(Misuse::Full { waiting: self.output.len(), limit: self.limits.outgoing }),
            _ => Err(Misuse::AfterClose),
        }
    }

    /// Whether a message may begin: "fragments of one message MUST NOT be interleaved" with another (section 5.4).
    pub(super) fn may_begin(&self) -> Result<(), Misuse> {
        match (self.is_open(), &self.outgoing) {
            (false, _) => Err(Misuse::AfterClose),
            (true, Some(_)) => Err(Misuse::MessageOpen),
            (true, None) => Ok(()),
        }
    }

    fn send_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Misuse> {
        if payload.len() > MAX_CONTROL {
            return Err(Misuse::LongControl { limit: MAX_CONTROL, got: payload.len() });
        }
        self.may_send()?;
        self.queue_control(opcode, payload);
        Ok(())
    }

    fn queue_message(&mut self, message: Message, squeeze: bool) {
        let kind = message.kind();
        let payload = message.into_bytes();
        self.count_message(payload.len());
        match self.squeeze(&payload, squeeze) {
            Some(squeezed) => self.queue_owned(Head::whole(kind, RSV1), squeezed),
            None => self.queue_shared(Head::whole(kind, 0), payload),
        }
    }

    fn squeeze(&mut self, payload: &[u8], wanted: bool) -> Option<Vec<u8>> {
        let compression = self.compression.as_mut().filter(|_| wanted)?;
        if payload.len() < compression.threshold() { None } else { compression.deflate(payload) }
    }

    fn queue_prepared(&mut self, prepared: &Prepared) {
        let kind = prepared.kind();
        self.count_message(prepared.payload().len());
        let ours = self.compression.as_ref().map(|compression| compression.variant());
        // Our window reaches back over earlier messages: nobody but us can compress this one.
        let own = matches!(ours, Some(None)) && !prepared.is_secret();
        if let Some(squeezed) = self.squeeze(prepared.payload(), own) {
            return self.queue_owned(Head::whole(kind, RSV1), squeezed);
        }
        let fitting = ours.flatten().and_then(|variant| prepared.fitting(variant));
        let (framed, rsv) = fitting.map_or((prepared.plain(), 0), |framed| (framed, RSV1));
        if let (Some(compression), Some(framed)) = (&mut self.compression, fitting) {
            compression.count_sent(framed.payload().len(), prepared.payload().len());
        }
        match self.role {
            Role::Server => {
                self.note_sent(Head::whole(kind, rsv), framed.payload());
                self.output.share(framed.bytes().clone());
            }
            Role::Client(_) => self.queue_copy(Head::whole(kind, rsv), framed.payload()),
        }
    }

    pub(super) fn queue_control(&mut self, opcode: OpCode, payload: &[u8]) {
        self.queue_copy(Head { opcode, fin: true, rsv: 0 }, payload);
    }

    /// A payload that others may hold too: a server sends it as it is, a client has to mask a copy.
    fn queue_shared(&mut self, head: Head, payload: Bytes) {
        match self.role {
            Role::Server => {
                self.queue_header(head, &payload, None);
                self.output.share(payload);
            }
            Role::Client(_) => self.queue_copy(head, &payload),
        }
    }

    /// A payload of our own, masked where it lies.
    pub(super) fn queue_owned(&mut self, head: Head, mut payload: Vec<u8>) {
        let key = self.fresh_mask();
        self.queue_header(head, &payload, key);
        if let Some(key) = key {
            mask::apply(&mut payload, key, 0);
        }
        self.output.share(payload.into());
    }

    #[inline]
    pub(super) fn queue_copy(&mut self, head: Head, payload: &[u8]) {
        if let Role::Server = self.role {
            self.note_sent(head, payload);
            let (header, size) = frame::server_header(head.fin, head.rsv, head.opcode, payload.len() as u64);
            return self.output.frame(&header, size, payload);
        }
        self.queue_masked_copy(head, payload);
    }

    fn queue_masked_copy(&mut self, head: Head, payload: &[u8]) {
        let key = self.fresh_mask();
        self.queue_header(head, payload, key);
        match key {
            None => self.output.copy(payload),
            Some(key) => self.output.copy_with(payload, |data| mask::apply(data, key, 0)),
        }
    }

    /// "a fresh masking key MUST be chosen from the set of allowed 32-bit values" for each frame (section 5.3).
    fn fresh_mask(&self) -> Option<[u8; 4]> {
        match self.role {
            Role::Server => None,
            Role::Client(source) => Some(source()),
        }
    }

    fn queue_header(&mut self, head: Head, payload: &[u8], mask: Option<[u8; 4]>) {
        self.note_sent(head, payload);
        let mut bytes = [0; MAX_HEADER];
        let Head { opcode, fin, rsv } = head;
        let header = Header { fin, rsv, opcode, mask, len: payload.len() as u64 };
        let size = frame::encode(&header, &mut bytes);
        self.output.copy(&bytes[..size]);
    }

    #[inline]
    fn note_sent(&mut self, head: Head, payload: &[u8]) {
        self.tally.sent.frame(head.opcode);
        if let Some(observer) = self.observer {
            let Head { opcode, fin, rsv } = head;
            let header = Header { fin, rsv, opcode, mask: None, len: payload.len() as u64 };
            observer(&FrameNote::new(Way::Out, &header, payload));
        }
    }

    fn count_message(&mut self, len: usize) {
        self.tally.sent.message();
        self.tally.sent.payload(len);
    }

    /// "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already received a
    /// Close frame" (section 5.5.2).
    pub(super) fn answer_ping(&mut self, payload: &[u8]) {
        if !self.is_open() {
            // Our Close frame is the last frame that we send.
            return;
        }
        if self.output.reserve_pong(payload) {
            self.queue_control(OpCode::Pong, payload);
            self.output.pong_queued();
        }
    }
}
