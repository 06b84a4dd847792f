//! A proxy of our own that breaks one thing: what intermediaries were seen to do, each fault by itself.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: a proxy as it should be.
    None,
    /// `Upgrade` does not get through.
    StripUpgrade,
    /// Only upgrades to `websocket` get through.
    OnlyWebSocket,
    /// Upgrades are answered here, with 403.
    AnswersItself,
    /// Requests for upgrades are never answered.
    Swallows,
    /// What is sent behind an upgrade does not arrive.
    DropsUpward,
    /// What comes behind a 101 does not arrive.
    DropsDownward,
    /// Bytes in one packet with the request are lost.
    LosesEarly,
    /// An error page comes in place of what is behind the 101.
    ErrorPage,
    /// A plain response is given when it is whole.
    Buffers,
    /// One byte of the server's is changed, the one at this position behind the head.
    Flips(u64),
    /// After so many bytes of the server's nothing moves any more.
    Stalls(u64),
    /// Connections are cut when nothing was said for so many milliseconds.
    CutsIdle(u64),
    /// The same, and nobody is told.
    ForgetsIdle(u64),
    /// The same, and only what the client says counts.
    CutsClientIdle(u64),
    /// Connections are cut after so many milliseconds, whatever is said.
    CutsAlways(u64),
    /// The end of one direction ends both.
    NoHalfClose,
    /// `Host` loses its port.
    HostWithoutPort,
    /// `Authorization` does not get through.
    DropsAuthorization,
    /// `X-Forwarded-For` is appended to, as it should be.
    Appends,
}

/// Starts it in front of a server on loopback; it runs as long as the test.
pub(crate) fn proxy(fault: Fault, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            std::thread::spawn(move || drop(carry(fault, client, server)));
        }
    });
    port
}

fn carry(fault: Fault, mut client: TcpStream, server: u16) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (head, behind) = read_head(&mut client)?;
    let upgrade = head.to_ascii_lowercase().contains("\r\nupgrade:");
    match fault {
        Fault::AnswersItself if upgrade => {
            let answer =
                "HTTP/1.1 403 Forbidden\r\nServer: fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return client.write_all(answer.as_bytes());
        }
        Fault::Swallows if upgrade => {
            std::thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
        _ => {}
    }
    let mut to = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server)))?;
    to.set_nodelay(true)?;
    to.write_all(changed(fault, &head).as_bytes())?;
    if !(fault == Fault::LosesEarly && upgrade) {
        to.write_all(&behind)?;
    }
    Tunnel { fault, upgrade, begun: Instant::now(), over: Arc::default() }.run(client, to)
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let behind = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&read).into_owned(), behind));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => read.extend_from_slice(&chunk[..count]),
        }
    }
}

fn changed(fault: Fault, head: &str) -> String {
    let lower = head.to_ascii_lowercase();
    let without = |names: &[&str]| -> String {
        let kept = |line: &&str| !names.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
        head.split_inclusive("\r\n").filter(kept).collect()
    };
    match fault {
        Fault::StripUpgrade => without(&["upgrade:", "connection:"]),
        Fault::OnlyWebSocket if !lower.contains("upgrade: websocket") => {
            without(&["upgrade:", "connection:"])
        }
        Fault::DropsAuthorization => without(&["authorization:"]),
        Fault::HostWithoutPort => {
            let shortened = |line: &str| match line.to_ascii_lowercase().starts_with("host:") {
                true => "Host: 127.0.0.1\r\n".to_owned(),
                false => line.to_owned(),
            };
            head.split_inclusive("\r\n").map(shortened).collect()
        }
        Fault::Appends => {
            let appended = |line: &str| match line.strip_prefix("X-Forwarded-For: ") {
                Some(value) => format!("X-Forwarded-For: {}, 127.0.0.1\r\nVia: 1.1 fault\r\n", value.trim()),
                None => line.to_owned(),
            };
            head.split_inclusive("\r\n").map(appended).collect()
        }
        _ => head.to_owned(),
    }
}

/// One connection behind its head.
#[derive(Clone)]
struct Tunnel {
    fault: Fault,
    upgrade: bool,
    begun: Instant,
    over: Arc<AtomicBool>,
}

impl Tunnel {
    fn run(self, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        let (mut up_from, mut up_to) = (client.try_clone()?, server.try_clone()?);
        let clock = Clock::new(self.fault, self.upgrade);
        let (tunnel, upward) = (self.clone(), clock.clone());
        let up = std::thread::spawn(move || tunnel.up(&mut up_from, &mut up_to, &upward));
        let (watched, sockets) = (self.clone(), (client.try_clone()?, server.try_clone()?));
        let watching = clock.clone();
        let watch = std::thread::spawn(move || watched.watch(&watching, &sockets));
        let down = self.down(&mut { server }, &mut { client }, &clock);
        let _ = up.join();
        self.over.store(true, Ordering::Relaxed);
        let _ = watch.join();
        down
    }

    fn up(&self, from: &mut TcpStream, to: &mut TcpStream, clock: &Clock) -> std::io::Result<()> {
        let drops = self.upgrade && self.fault == Fault::DropsUpward;
        copy(from, to, &mut |bytes| {
            clock.said(true);
            if drops || clock.forgotten() { Vec::new() } else { bytes }
        })
        .or_else(|error| reset(from, to, error))?;
        self.end(from, to)
    }

    fn down(&self, from: &mut TcpStream, to: &mut TcpStream, clock: &Clock) -> std::io::Result<()> {
        let mut whole = Vec::new();
        let mut behind = Behind::default();
        let mut change = |bytes: Vec<u8>| match self.fault {
            Fault::Buffers if !self.upgrade => {
                whole.extend_from_slice(&bytes);
                Vec::new()
            }
            _ if self.upgrade => behind.take(self.fault, bytes),
            _ => bytes,
        };
        copy(from, to, &mut |bytes| {
            clock.said(false);
            if clock.forgotten() { Vec::new() } else { change(bytes) }
        })
        .or_else(|error| reset(from, to, error))?;
        to.write_all(&whole)?;
        self.end(from, to)
    }

    fn end(&self, from: &TcpStream, to: &TcpStream) -> std::io::Result<()> {
        if self.fault == Fault::NoHalfClose {
            let _ = from.shutdown(Shutdown::Both);
            return to.shutdown(Shutdown::Both);
        }
        to.shutdown(Shutdown::Write)
    }

    /// Cuts it when its time is over.
    fn watch(&self, clock: &Clock, (client, server): &(TcpStream, TcpStream)) {
        while !self.over.load(Ordering::Relaxed) {
            let lived = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let cut = match self.fault {
                Fault::CutsAlways(ms) => self.upgrade && lived > ms,
                Fault::CutsIdle(_) | Fault::CutsClientIdle(_) => clock.is_over(),
                _ => false,
            };
            if cut {
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// When something was said last.
#[derive(Clone)]
struct Clock {
    fault: Fault,
    upgrade: bool,
    last: Arc<std::sync::Mutex<Instant>>,
    gone: Arc<AtomicBool>,
}

impl Clock {
    fn new(fault: Fault, upgrade: bool) -> Self {
        Self { fault, upgrade, last: Arc::new(std::sync::Mutex::new(Instant::now())), gone: Arc::default() }
    }

    fn limit(&self) -> Option<u64> {
        match self.fault {
            Fault::CutsIdle(ms) | Fault::ForgetsIdle(ms) | Fault::CutsClientIdle(ms) => Some(ms),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        let silence = self.last.lock().expect("nobody panics with it").elapsed().as_millis();
        self.upgrade && self.limit().is_some_and(|ms| silence > u128::from(ms))
    }

    /// Something was said. What is said too late is forgotten, and all behind it.
    fn said(&self, by_client: bool) {
        if !by_client && matches!(self.fault, Fault::CutsClientIdle(_)) {
            return;
        }
        if matches!(self.fault, Fault::ForgetsIdle(_)) && self.is_over() {
            self.gone.store(true, Ordering::Relaxed);
        }
        *self.last.lock().expect("nobody panics with it") = Instant::now();
    }

    fn forgotten(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// What is behind the head of an answer.
#[derive(Default)]
struct Behind {
    head: Option<Vec<u8>>,
    passed: u64,
    paged: bool,
    is_behind: bool,
}

impl Behind {
    fn take(&mut self, fault: Fault, bytes: Vec<u8>) -> Vec<u8> {
        if self.is_behind {
            return self.change(fault, bytes);
        }
        let head = self.head.get_or_insert_default();
        head.extend_from_slice(&bytes);
        let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") else { return Vec::new() };
        let mut head = self.head.take().unwrap_or_default();
        let behind = head.split_off(end + 4);
        self.is_behind = true;
        head.extend(self.change(fault, behind));
        head
    }

    fn change(&mut self, fault: Fault, mut bytes: Vec<u8>) -> Vec<u8> {
        let from = self.passed;
        self.passed += bytes.len() as u64;
        match fault {
            Fault::DropsDownward => Vec::new(),
            Fault::ErrorPage if std::mem::replace(&mut self.paged, true) => Vec::new(),
            Fault::ErrorPage => b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n".to_vec(),
            Fault::Flips(at) if (from..self.passed).contains(&at) => {
                bytes[usize::try_from(at - from).expect("inside")] ^= 0x10;
                bytes
            }
            Fault::Stalls(after) if self.passed > after => {
                std::thread::sleep(Duration::from_secs(60));
                bytes
            }
            _ => bytes,
        }
    }
}

/// A reset at one end is the end of both; it becomes an ordinary one, as with most proxies.
fn reset(from: &TcpStream, to: &TcpStream, error: std::io::Error) -> std::io::Result<()> {
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    Err(error)
}

fn copy(
    from: &mut TcpStream,
    to: &mut TcpStream,
    change: &mut impl FnMut(Vec<u8>) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut chunk = vec![0; 16 << 10];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            count => to.write_all(&change(chunk[..count].to_vec()))?,
        }
    }
}
