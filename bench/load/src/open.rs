//! Connections, and their opening handshakes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use socket2::{Domain, Socket, Type};

use crate::Fallible;
use crate::args::Deflate;
use crate::talk::Talk;

/// Connections that wait for their 101 at once.
const AT_ONCE: usize = 64;
/// For any answer at all.
const PATIENCE: Duration = Duration::from_secs(30);
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const HEAD_LIMIT: usize = 16 << 10;
/// Source addresses, 127.0.0.1 and up: one has 28,000 ports, and those just closed are not free for a minute.
const ADDRESSES: usize = 200;

/// An open connection. Still blocking, with a timeout.
pub(crate) struct Opened {
    pub(crate) talk: Talk,
    pub(crate) agreed: Agreed,
}

/// What became of the offer to compress.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Agreed {
    pub(crate) deflate: bool,
    pub(crate) server_keeps_context: bool,
    pub(crate) client_keeps_context: bool,
}

/// Opens connection `first` and those after it, in the order of the numbers.
pub(crate) fn open(
    address: SocketAddrV4,
    first: usize,
    count: usize,
    deflate: Deflate,
) -> Fallible<Vec<Opened>> {
    let mut opened = Vec::with_capacity(count);
    while opened.len() < count {
        let begin = first + opened.len();
        let numbers = begin..begin + AT_ONCE.min(count - opened.len());
        let waiting =
            numbers.map(|number| ask(address, number, "/", deflate)).collect::<Fallible<Vec<_>>>()?;
        for (number, (stream, key)) in (begin..).zip(waiting) {
            opened.push(answer(stream, &key).map_err(|error| format!("connection {number}: {error}"))?);
        }
    }
    Ok(opened)
}

/// Connects and sends the request; gives the key back, which the answer must match.
pub(crate) fn ask(
    address: SocketAddrV4,
    number: usize,
    path: &str,
    deflate: Deflate,
) -> Fallible<(TcpStream, String)> {
    let mut stream = connect(address, number)?;
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let key = BASE64_STANDARD.encode(nonce);
    let offer = match deflate {
        Deflate::Off => "",
        Deflate::NoContext => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
        Deflate::Context => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok((stream, key))
}

/// Reads and judges the answer.
pub(crate) fn answer(mut stream: TcpStream, key: &str) -> Fallible<Opened> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).map_err(|error| format!("no answer: {error}"))?;
        if count == 0 || bytes.len() > HEAD_LIMIT {
            return Err(format!("no answer: {:?}", String::from_utf8_lossy(&bytes)).into());
        }
        bytes.extend(&chunk[..count]);
    };
    let early = bytes.split_off(end + 4);
    let agreed = judge(std::str::from_utf8(&bytes[..end])?, key)?;
    Ok(Opened { talk: Talk::new(stream, early), agreed })
}

/// A TCP connection from the address that the number has.
pub(crate) fn connect(address: SocketAddrV4, number: usize) -> Fallible<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let own = Ipv4Addr::new(127, 0, 0, (1 + number % ADDRESSES) as u8);
    socket.bind(&SocketAddrV4::new(own, 0).into())?;
    socket.connect(&address.into()).map_err(|error| format!("{address}: {error}"))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

fn judge(head: &str, key: &str) -> Fallible<Agreed> {
    if !head.starts_with("HTTP/1.1 101 ") {
        return Err(format!("no 101: {head:?}").into());
    }
    let field = |wanted: &str| {
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let wanted = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    if field("Sec-WebSocket-Accept") != Some(&wanted) {
        return Err(format!("Sec-WebSocket-Accept is not {wanted}: {head:?}").into());
    }
    let Some(extension) = field("Sec-WebSocket-Extensions") else { return Ok(Agreed::default()) };
    let mut parameters = extension.split(';').map(str::trim);
    if parameters.next() != Some("permessage-deflate") {
        return Err(format!("an extension that was not offered: {extension}").into());
    }
    let parameters: Vec<_> = parameters.collect();
    // A window of the server's that is smaller than ours inflates all the same; one for us was not offered.
    let known = |parameter: &&&str| {
        matches!(**parameter, "server_no_context_takeover" | "client_no_context_takeover")
            || parameter.starts_with("server_max_window_bits")
    };
    if let Some(unknown) = parameters.iter().find(|parameter| !known(parameter)) {
        return Err(format!("a parameter that was not offered: {unknown}").into());
    }
    Ok(Agreed {
        deflate: true,
        server_keeps_context: !parameters.contains(&"server_no_context_takeover"),
        client_keeps_context: !parameters.contains(&"client_no_context_takeover"),
    })
}
