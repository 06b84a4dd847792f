//! What the tests of this crate share: two ends of one connection, with or without faults between them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use trunkline_net::{Limits, Role, WebSocket, random_mask};
use trunkline_sim::{Faulty, Plan};

/// Nothing here takes this long unless it hangs; with a paused clock it costs nothing.
pub(crate) const HANG: Duration = Duration::from_secs(60);

pub(crate) fn client_role() -> Role {
    Role::Client(random_mask)
}

/// A server and a client over a pipe that holds `room` bytes each way.
pub(crate) fn pair(room: usize, limits: &Limits) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (server, client) = duplex(room);
    (
        WebSocket::from_upgraded(server, Bytes::new(), Role::Server, limits.clone()),
        WebSocket::from_upgraded(client, Bytes::new(), client_role(), limits.clone()),
    )
}

/// A server over a pipe, and the raw end of it.
pub(crate) fn server_and_raw(room: usize, limits: &Limits) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (server, raw) = duplex(room);
    (WebSocket::from_upgraded(server, Bytes::new(), Role::Server, limits.clone()), raw)
}

/// The same with faults on the server's side.
pub(crate) fn faulty_server(plan: Plan, seed: u64) -> (WebSocket<Faulty<DuplexStream>>, DuplexStream) {
    let (server, raw) = duplex(1 << 20);
    let stream = Faulty::new(server, plan, seed);
    (WebSocket::from_upgraded(stream, Bytes::new(), Role::Server, Limits::default()), raw)
}

/// A frame as a client sends it, with a mask of zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=65535 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

pub(crate) async fn read_exactly(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(HANG, stream.read_exact(&mut bytes)).await.expect("in time").expect("not ended");
    bytes
}

/// Everything until the other end closes.
pub(crate) async fn read_to_end(stream: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tokio::time::timeout(HANG, stream.read_to_end(&mut bytes)).await.expect("in time").expect("readable");
    bytes
}

pub(crate) async fn write(stream: &mut DuplexStream, bytes: &[u8]) {
    tokio::time::timeout(HANG, stream.write_all(bytes)).await.expect("in time").expect("not ended");
}
