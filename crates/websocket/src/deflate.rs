//! permessage-deflate (RFC 7692): compression of messages, agreed on in the opening handshake.
//!
//! [`DeflateConfig`] negotiates it, as a [`handshake::Extension`](crate::handshake::Extension); [`Agreed`] is what came
//! of it; [`Codec`] compresses and decompresses the messages of one connection by it.
//!
//! What it costs is memory. A compressor has some hundred kilobytes, and to remember earlier messages (*context
//! takeover*) it must be held for as long as the connection lives. Without context takeover a message is compressed on
//! its own, by a compressor that is borrowed from a [`Shelf`] and given back at the message's end: an idle connection
//! then holds nothing, and one compressed message can be sent to many ([`Variant`]). Decompressors are borrowed in any
//! case: what a connection holds between messages is the window that was agreed on, as far as it was used.

mod codec;
mod config;
mod deflater;
mod inflater;
mod shelf;
mod window;

pub use codec::{Codec, Variant};
pub use config::{Agreed, BadConfig, DeflateConfig, NAME, Params};
pub use deflater::Deflater;
pub use inflater::{Inflated, Inflater, InvalidDeflate, Progress};
pub use shelf::{NoShelf, Pool, Shelf};

/// What ends every flushed message, is not sent, and is taken as read (sections 7.2.1 and 7.2.2): the length of an empty
/// stored block.
const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
