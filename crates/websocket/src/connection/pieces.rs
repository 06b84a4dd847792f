//! Messages piece by piece: sent without knowing their length, received without keeping them (RFC 6455 section 5.4).
//!
//! "The primary purpose of fragmentation is to allow sending a message that is of unknown size when the message is
//! started without having to buffer that message."

use std::time::Instant;

use super::end::close_body;
use super::send::Head;
use super::{Connection, Reading};
use crate::assembler::Manner;
use crate::close::CloseCode;
use crate::error::Misuse;
use crate::event::Kind;
use crate::frame::{OpCode, RSV1};
use crate::utf8;

/// A message that is being sent piece by piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    kind: Kind,
    deflated: bool,
    /// The compressor has been given something of it.
    fed: bool,
    /// Its first frame is queued.
    framed: bool,
    utf8: utf8::Validator,
}

/// Sending.
impl Connection {
    /// From above: begins a message of unknown length. Until its last piece no other message may be sent; control frames
    /// go between. Nothing is queued yet.
    ///
    /// Compressed, if permessage-deflate was agreed on.
    pub fn begin_message(&mut self, kind: Kind) -> Result<(), Misuse> {
        self.may_begin()?;
        let deflated = self.compression.is_some();
        let utf8 = utf8::Validator::default();
        self.outgoing = Some(Outgoing { kind, deflated, fed: false, framed: false, utf8 });
        Ok(())
    }

    /// From above: queues the next piece of the message that was begun, as a frame of its own. An empty one queues
    /// nothing unless it is the last; of a compressed message the compressor may keep a piece until there is more.
    ///
    /// Pieces of text may be cut anywhere, but their sum must be UTF-8. [`Misuse::InvalidUtf8`] and
    /// [`Misuse::Full`]: nothing of this piece was taken.
    pub fn send_piece(&mut self, piece: &[u8], last: bool) -> Result<(), Misuse> {
        self.may_send()?;
        let Some(mut outgoing) = self.outgoing.take() else { return Err(Misuse::NoMessageOpen) };
        let judged = outgoing.judge(piece, last);
        if judged.is_ok() {
            self.queue_piece(&mut outgoing, piece, last);
        }
        if judged.is_err() || !last {
            self.outgoing = Some(outgoing);
        }
        judged
    }

    /// From above: the message that was begun will not be finished.
    ///
    /// It must never look whole, and nothing else may follow it: the connection is closed with 1011 if anything of it is
    /// on its way. Does nothing where no message is open.
    pub fn abandon_message(&mut self, now: Instant) {
        let Some(outgoing) = self.outgoing.take() else { return };
        if self.is_open() && (outgoing.framed || outgoing.fed) {
            self.begin_close(now, &close_body(CloseCode::INTERNAL, "a message was left unfinished"));
        }
    }

    /// Whether a message was begun that waits for its next piece.
    pub fn is_message_open(&self) -> bool {
        self.outgoing.is_some()
    }

    pub(super) fn stop_sending(&mut self) {
        self.outgoing = None;
    }

    fn queue_piece(&mut self, outgoing: &mut Outgoing, piece: &[u8], last: bool) {
        self.tally.sent.payload(piece.len());
        if last {
            self.tally.sent.message();
        }
        match self.compression.as_mut().filter(|_| outgoing.deflated) {
            Some(compression) => {
                let squeezed = compression.deflate_piece(piece, last);
                outgoing.fed |= !piece.is_empty();
                if last || !squeezed.is_empty() {
                    self.queue_owned(outgoing.next_head(last), squeezed);
                }
            }
            None if last || !piece.is_empty() => self.queue_copy(outgoing.next_head(last), piece),
            None => {}
        }
    }
}

impl Outgoing {
    /// Whether the piece may be sent; takes note of it if so.
    fn judge(&mut self, piece: &[u8], last: bool) -> Result<(), Misuse> {
        if self.kind == Kind::Text {
            let mut utf8 = self.utf8;
            utf8.push(piece).map_err(|utf8::Invalid| Misuse::InvalidUtf8)?;
            if last && !utf8.is_complete() {
                return Err(Misuse::InvalidUtf8);
            }
            self.utf8 = utf8;
        }
        Ok(())
    }

    /// "opcode of first only": what follows continues it.
    fn next_head(&mut self, fin: bool) -> Head {
        let first = !std::mem::replace(&mut self.framed, true);
        let opcode = if first { self.kind.into() } else { OpCode::Continuation };
        let rsv = if first && self.deflated { RSV1 } else { 0 };
        Head { opcode, fin, rsv }
    }
}

/// Receiving.
impl Connection {
    /// From above: nobody wants the messages that still arrive after our Close frame. From here on their payload is counted
    /// and dropped, neither inflated nor judged, so that a remote that goes on sending costs no more than the bytes.
    /// Control frames are read as before. Does nothing while the connection is open.
    pub fn discard(&mut self) {
        if self.is_open() || self.discarding {
            return;
        }
        self.discarding = true;
        if let Some(compression) = &mut self.compression {
            compression.abandon();
        }
    }

    /// From above: whether messages that begin from now on are given piece by piece, as [`Event::Begin`] and then
    /// [`Event::Piece`]s until the last, or whole, as is the default. Nothing of the former is kept, whatever its length;
    /// [`Limits::streamed`](crate::Limits::streamed) bounds them.
    ///
    /// [`Event::Begin`]: crate::Event::Begin
    /// [`Event::Piece`]: crate::Event::Piece
    pub fn receive_pieces(&mut self, on: bool) {
        self.by_piece = on;
    }

    /// From above: the message that has just begun is to come whole after all; it now has the limits of such a one. For
    /// an application that decides when it has seen an [`Event::Begin`](crate::Event::Begin). Does nothing once a piece
    /// was given.
    pub fn put_together(&mut self, now: Instant) {
        let Some(incoming) = &mut self.incoming else { return };
        if incoming.assembler.manner() != Manner::Begun {
            return;
        }
        let header = match incoming.reading {
            Reading::Data { header, .. } => Some(header),
            _ => None,
        };
        if let Err(violation) = incoming.assembler.put_together(header.as_ref(), &self.limits) {
            self.fail(now, violation);
        }
    }

    /// Whether messages that begin are given piece by piece.
    pub fn gives_pieces(&self) -> bool {
        self.by_piece
    }

    /// Whether a message is being given piece by piece and has not ended.
    pub fn in_pieces(&self) -> bool {
        self.incoming.as_ref().is_some_and(|incoming| incoming.assembler.manner() != Manner::Whole)
    }

    /// Whether there may be another event without another byte of input: the rest of a piece that inflates to more than is
    /// given at once. Call [`Connection::receive`] with no bytes.
    pub fn has_more(&self) -> bool {
        let Some(incoming) = &self.incoming else { return false };
        matches!(incoming.reading, Reading::Data { header, done } if done == header.len)
    }
}
