//! What sending the same bytes to many connections costs, and nothing else.
//!
//! The first connection is the control: its bytes are blocks behind their length, four bytes in network order. Each block
//! goes to all connections that came later, by one send for each.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Fallible;

const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
const BUFFER: usize = 64 << 10;

pub(crate) fn run(listener: &TcpListener) -> Fallible<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let (mut control, _) = listener.accept()?;
    control.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    epoll.add(&control, EpollEvent::new(EpollFlags::EPOLLIN, CONTROL))?;
    let mut streams = Vec::new();
    let (mut buffer, mut waiting) = (vec![0; BUFFER], Vec::new());
    let mut events = [EpollEvent::empty(); 16];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            if event.data() == LISTENER {
                accept(listener, &mut streams)?;
                continue;
            }
            match control.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => waiting.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            while let Some(block) = take_block(&mut waiting) {
                for stream in &mut streams {
                    // The generator never has so much on its way that this waits or is cut.
                    stream.write_all(&block)?;
                }
            }
        }
    }
}

fn accept(listener: &TcpListener, streams: &mut Vec<TcpStream>) -> Fallible<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn take_block(waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(waiting.first_chunk().copied()?) as usize;
    let block = waiting.get(4..4 + length)?.to_vec();
    waiting.drain(..4 + length);
    Some(block)
}
