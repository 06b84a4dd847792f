//! The answer to an upgrade, whatever else the request says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY: &[u8] = b"Sec-WebSocket-Key: ";

/// None as long as the head is not whole, or has no key spelled as usual.
pub(crate) fn answer(head: &[u8]) -> Option<String> {
    if !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    let begin = head.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let key = &head[begin..begin + 24];
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}
