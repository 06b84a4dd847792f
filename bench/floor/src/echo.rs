//! WebSocket echo for the price of its system calls: one receive, one send, and an XOR in between.
//!
//! One buffer for all connections. Payload is unmasked where it lies and goes out from there, also of frames that are not
//! whole yet; a head is written in front of it, over the mask. Small frames are moved together, large ones go out as parts of
//! one vectored write.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Fallible;
use crate::handshake::answer;
use crate::unmask::unmask;

/// Room for the incomplete head of a frame, in front of what is received.
const FRONT: usize = 16;
const BUFFER: usize = 512 << 10;
const EVENTS: usize = 1024;
/// Moving a shorter frame is cheaper than one part more in a vectored write.
const MOVED: usize = 2048;
const LISTENER: u64 = u64::MAX;
const CLOSE: u8 = 8;

pub(crate) fn run(listener: &TcpListener) -> Fallible<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut server = Server { epoll, links: Vec::new(), free: Vec::new(), buffer: vec![0; FRONT + BUFFER] };
    let mut events = [EpollEvent::empty(); EVENTS];
    loop {
        let ready = match server.epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            if event.data() == LISTENER {
                server.accept(listener)?;
            } else {
                server.turn(event.data() as usize);
            }
        }
    }
}

struct Server {
    epoll: Epoll,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

/// A connection.
struct Link {
    stream: TcpStream,
    /// Of the frame whose payload is arriving, turned to the next byte.
    key: [u8; 4],
    left: u64,
    closing: bool,
    /// None while nothing is incomplete, which is nearly always.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    /// Of the request, as long as it was not answered.
    request: Option<Vec<u8>>,
    /// Of a frame's head.
    head: Vec<u8>,
    /// For which the socket had no room.
    unsent: Vec<u8>,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> Fallible<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = self.free.pop().unwrap_or_else(|| {
                self.links.push(None);
                self.links.len() - 1
            });
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            let rest = Rest { request: Some(Vec::new()), ..Rest::default() };
            let link = Link { stream, key: [0; 4], left: 0, closing: false, rest: Some(Box::new(rest)) };
            self.links[number] = Some(link);
        }
    }

    /// Whatever the connection is ready for.
    fn turn(&mut self, number: usize) {
        let Some(link) = &mut self.links[number] else { return };
        let had_unsent = link.has_unsent();
        let alive = if had_unsent { link.flush() } else { link.serve(&mut self.buffer) };
        if alive && link.has_unsent() != had_unsent {
            let flags = if had_unsent { EpollFlags::EPOLLIN } else { EpollFlags::EPOLLOUT };
            let _ = self.epoll.modify(&link.stream, &mut EpollEvent::new(flags, number as u64));
        }
        if !alive || link.closing && !link.has_unsent() {
            self.links[number] = None;
            self.free.push(number);
        }
    }
}

impl Link {
    fn has_unsent(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.unsent.is_empty())
    }

    /// Receives and answers. False when the connection is over.
    fn serve(&mut self, buffer: &mut [u8]) -> bool {
        let count = match self.stream.read(&mut buffer[FRONT..]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let mut begin = FRONT;
        if let Some(rest) = self.rest.take() {
            if let Some(mut request) = rest.request {
                request.extend(&buffer[FRONT..FRONT + count]);
                return self.open(request);
            }
            begin -= rest.head.len();
            buffer[begin..FRONT].copy_from_slice(&rest.head);
        }
        let parts = self.frames(buffer, begin, FRONT + count);
        self.send(buffer, &parts)
    }

    fn open(&mut self, request: Vec<u8>) -> bool {
        match answer(&request) {
            Some(answer) => self.stream.write_all(answer.as_bytes()).is_ok(),
            None => {
                self.rest = Some(Box::new(Rest { request: Some(request), ..Rest::default() }));
                true
            }
        }
    }

    /// Turns what lies in `buffer[at..end]` into echoes, and says where these lie.
    fn frames(&mut self, buffer: &mut [u8], mut at: usize, end: usize) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        while at < end {
            let mut begin = at;
            if self.left == 0 {
                let Some((payload, length)) = head(&buffer[at..end]) else {
                    self.rest = Some(Box::new(Rest { head: buffer[at..end].to_vec(), ..Rest::default() }));
                    break;
                };
                let first = buffer[at];
                self.closing |= first & 15 == CLOSE;
                (self.left, at) = (length, at + payload);
                self.key.copy_from_slice(&buffer[at - 4..at]);
                // The same head, without the mask and its bit.
                buffer[begin + 1] &= 0x7f;
                buffer.copy_within(begin..at - 4, begin + 4);
                begin += 4;
            }
            let count = (end - at).min(self.left as usize);
            unmask(&mut buffer[at..at + count], self.key);
            self.key.rotate_left(count % 4);
            self.left -= count as u64;
            at += count;
            match parts.last_mut() {
                Some((_, last)) if at - begin < MOVED => {
                    buffer.copy_within(begin..at, *last);
                    *last += at - begin;
                }
                _ => parts.push((begin, at)),
            }
        }
        parts
    }

    fn send(&mut self, buffer: &[u8], parts: &[(usize, usize)]) -> bool {
        let written = match parts {
            [] => return true,
            [(begin, end)] => self.stream.write(&buffer[*begin..*end]),
            parts => {
                let slices: Vec<_> =
                    parts.iter().map(|(begin, end)| IoSlice::new(&buffer[*begin..*end])).collect();
                self.stream.write_vectored(&slices)
            }
        };
        let mut written = match written {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return false,
        };
        for (begin, end) in parts {
            let done = written.min(end - begin);
            written -= done;
            if done < end - begin {
                self.rest.get_or_insert_default().unsent.extend(&buffer[begin + done..*end]);
            }
        }
        true
    }

    fn flush(&mut self) -> bool {
        let Some(rest) = &mut self.rest else { return true };
        match self.stream.write(&rest.unsent) {
            Ok(count) => drop(rest.unsent.drain(..count)),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        if rest.unsent.is_empty() && rest.head.is_empty() {
            self.rest = None;
        }
        true
    }
}

/// Where the payload begins, and how long it is; none if the head is not whole.
fn head(bytes: &[u8]) -> Option<(usize, u64)> {
    let short = *bytes.get(1)? & 0x7f;
    match short {
        126 => bytes.get(2..8).map(|more| (8, u64::from(u16::from_be_bytes([more[0], more[1]])))),
        127 => bytes
            .get(2..14)
            .map(|more| (14, more[..8].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))),
        short => bytes.get(2..6).map(|_| (6, u64::from(short))),
    }
}
