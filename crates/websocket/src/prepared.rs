//! A message framed once for many connections, and compressed once for those that agreed on the same.

use bytes::Bytes;

use crate::deflate::{Shelf, Variant};
use crate::event::Kind;
use crate::frame::{self, Header, MAX_HEADER, OpCode, RSV1};

/// A message framed once, to be sent on many connections.
///
/// A server's frames carry no mask, so the same bytes serve every client: cloning and queueing one shares its memory.
/// On a connection in the client role the payload is framed and masked anew.
///
/// A connection with permessage-deflate gets it compressed only where that was done [beforehand](Self::deflated), or
/// where compressing is the connection's own affair because its window reaches back over earlier messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    kind: Kind,
    plain: Framed,
    deflated: Option<(Variant, Framed)>,
    secret: bool,
}

/// A server's frame, and how many of its bytes are the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    bytes: Bytes,
    header: u8,
}

impl Prepared {
    /// Frames a text message.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text.as_bytes())
    }

    /// Frames a binary message.
    pub fn binary(data: &[u8]) -> Self {
        Self::new(Kind::Binary, data)
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        Self { kind, plain: Framed::new(kind, 0, payload), deflated: None, secret: false }
    }

    /// The same message, never to be compressed, whatever a connection has agreed on: for secrets beside which somebody
    /// else can place text (CRIME).
    #[must_use]
    pub fn uncompressed(self) -> Self {
        Self { deflated: None, secret: true, ..self }
    }

    /// The same message with a compressed frame beside the plain one, which is shared. `None` where compressing it gains
    /// nothing, or where that is [forbidden](Self::uncompressed).
    ///
    /// [`Connection::deflate_variant`](crate::Connection::deflate_variant) says which variant a connection takes: make
    /// one of each for as many connections as there are. Short messages are not worth it, see
    /// [`DeflateConfig::threshold`](crate::deflate::DeflateConfig::threshold); here nothing looks at that.
    pub fn deflated(&self, variant: Variant, shelf: &dyn Shelf) -> Option<Self> {
        if self.secret {
            return None;
        }
        let mut squeezed = Vec::new();
        variant.deflate(self.payload(), shelf, &mut squeezed);
        if squeezed.len() >= self.payload().len() {
            return None;
        }
        let framed = Framed::new(self.kind, RSV1, &squeezed);
        Some(Self { deflated: Some((variant, framed)), ..self.clone() })
    }

    /// The payload, as the application has it.
    pub fn payload(&self) -> &[u8] {
        self.plain.payload()
    }

    /// Bytes of the whole plain frame, which is what a queue should count.
    pub fn frame_len(&self) -> usize {
        self.plain.bytes.len()
    }

    /// Bytes of the whole compressed frame, if there is one.
    pub fn deflated_len(&self) -> Option<usize> {
        self.deflated.as_ref().map(|(_, framed)| framed.bytes.len())
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn plain(&self) -> &Framed {
        &self.plain
    }

    /// The compressed frame, if a receiver of `variant` can read it: one of a smaller window reaches no further back.
    pub(crate) fn fitting(&self, variant: Variant) -> Option<&Framed> {
        let (made_for, framed) = self.deflated.as_ref()?;
        (made_for.window_bits <= variant.window_bits).then_some(framed)
    }
}

impl Framed {
    fn new(kind: Kind, rsv: u8, payload: &[u8]) -> Self {
        let opcode = OpCode::from(kind);
        let mut header = [0; MAX_HEADER];
        let size = frame::encode(
            &Header { fin: true, rsv, opcode, mask: None, len: payload.len() as u64 },
            &mut header,
        );
        #[expect(clippy::cast_possible_truncation, reason = "a header has at most 14 bytes")]
        let header_len = size as u8;
        Self { bytes: Bytes::from([&header[..size], payload].concat()), header: header_len }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.header)..]
    }
}
