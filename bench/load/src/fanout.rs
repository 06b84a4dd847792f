//! One message that goes to many: through a hub, or from a server that does nothing but send.

mod round;
mod subscriber;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::Fallible;
use crate::args::Fanout;
use crate::hub::Hub;
use crate::meter::Meter;
use crate::open::connect;
use crate::server::Server;
use crate::wire::{FIN, Reader, TEXT, push_frame};
use round::{Form, Rounds};
use subscriber::Subscriber;

const CHANNEL: &str = "room:bench";
const EVENTS: usize = 256;
const BUFFER: usize = 256 << 10;
const PUBLISHER: u64 = u64::MAX;
/// Publications at a given rate that not all have seen yet. More, and the server does not keep up.
const BACKLOG: usize = 1000;
const SILENCE: Duration = Duration::from_secs(10);

/// Through a hub.
pub(crate) fn run(address: SocketAddrV4, args: &Fanout, server: &Server) -> Fallible<Value> {
    let mut hub = Hub::new(address, args.api_key.clone())?;
    let publisher = hub.connect(args.subscribers, 1)?.remove(0).into_stream()?;
    let subscribers = hub.subscribers(0, args.subscribers, CHANNEL)?;
    let streams = subscribers.into_iter().map(|talk| talk.into_stream()).collect::<Fallible<Vec<_>>>()?;
    measure(publisher, streams, Form::Publication { size: args.size }, args, server)
}

/// By sends alone: the same bytes on the wire, `--size` of them in a frame's payload.
pub(crate) fn sends(address: SocketAddrV4, args: &Fanout, server: &Server) -> Fallible<Value> {
    let control = connect(address, args.subscribers)?;
    let streams =
        (0..args.subscribers).map(|number| connect(address, number)).collect::<Fallible<Vec<_>>>()?;
    // It accepts them before it looks at its control connection again.
    std::thread::sleep(Duration::from_millis(200));
    measure(control, streams, Form::Block { size: args.size }, args, server)
}

fn measure(
    publisher: TcpStream,
    streams: Vec<TcpStream>,
    form: Form,
    args: &Fanout,
    server: &Server,
) -> Fallible<Value> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    publisher.set_nonblocking(true)?;
    epoll.add(&publisher, EpollEvent::new(EpollFlags::EPOLLIN, PUBLISHER))?;
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
    }
    let mut run = Run {
        epoll,
        publisher: Publisher { stream: publisher, reader: Reader::default(), reply: Vec::new(), answered: 0 },
        rounds: Rounds::new(form, streams.len()),
        subscribers: streams.into_iter().map(Subscriber::new).collect(),
        meter: Meter::new(server, &args.span)?,
        delivered: 0,
        next: Instant::now(),
    };
    run.drive(args)?;

    let mut report = run.meter.report("delivery", "deliveries")?;
    report.insert("mode".into(), if matches!(form, Form::Block { .. }) { "sends" } else { "fanout" }.into());
    report.insert("payload_bytes".into(), run.rounds.payload_bytes().into());
    report.insert("publications".into(), run.rounds.published().into());
    report.insert("replies".into(), run.publisher.answered.into());
    report.insert("memory".into(), json!(server.memory()?));
    report.insert("errors".into(), 0.into());
    Ok(report.into())
}

struct Run<'a> {
    epoll: Epoll,
    publisher: Publisher,
    rounds: Rounds,
    subscribers: Vec<Subscriber>,
    meter: Meter<'a>,
    delivered: u64,
    /// When the next publication is due, if there is a rate.
    next: Instant,
}

/// Who publishes, and subscribes to nothing.
struct Publisher {
    stream: TcpStream,
    reader: Reader,
    reply: Vec<u8>,
    answered: u64,
}

impl Run<'_> {
    fn drive(&mut self, args: &Fanout) -> Fallible<()> {
        let mut buffer = vec![0; BUFFER];
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut heard = Instant::now();
        loop {
            let now = Instant::now();
            if self.meter.goes_on(now, self.delivered)? {
                self.publish(args, now)?;
            } else if self.rounds.open() == 0 {
                // What was published last was waited for: every delivery has been seen.
                return Ok(());
            }
            let ready = match self.epoll.wait(&mut events, self.patience(args)) {
                Err(Errno::EINTR) => continue,
                ready => ready?,
            };
            if ready > 0 || self.rounds.open() == 0 {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE {
                return Err(format!("nothing came for {SILENCE:?}: {}", self.rounds.missing()).into());
            }
            for event in &events[..ready] {
                match event.data() {
                    PUBLISHER => self.publisher.hear(&mut buffer)?,
                    number => self.hear(number as usize, &mut buffer)?,
                }
            }
        }
    }

    /// In a closed loop, as many as are to be on their way; at a rate, what is due.
    fn publish(&mut self, args: &Fanout, now: Instant) -> Fallible<()> {
        match args.rate {
            None => {
                while self.rounds.open() < args.in_flight {
                    let order = self.rounds.begin(CHANNEL, now);
                    self.publisher.stream.write_all(&order)?;
                }
            }
            Some(rate) => {
                while self.next <= now {
                    if self.rounds.open() >= BACKLOG {
                        return Err(
                            format!("{BACKLOG} publications behind: the server does not keep up").into()
                        );
                    }
                    // Latency counts from when it was due, also if the generator was late.
                    let order = self.rounds.begin(CHANNEL, self.next);
                    self.publisher.stream.write_all(&order)?;
                    self.next += Duration::from_secs_f64(1.0 / rate);
                }
            }
        }
        Ok(())
    }

    fn patience(&self, args: &Fanout) -> EpollTimeout {
        let until = match args.rate {
            Some(_) => self.next.saturating_duration_since(Instant::now()),
            None => SILENCE,
        };
        // Rounded down: the last millisecond is waited for awake.
        EpollTimeout::try_from(until.as_millis() as i32).unwrap_or(EpollTimeout::ZERO)
    }

    fn hear(&mut self, number: usize, buffer: &mut [u8]) -> Fallible<()> {
        let subscriber = &mut self.subscribers[number];
        let Some(count) = subscriber.read(buffer)? else { return Ok(()) };
        let now = Instant::now();
        let (rounds, meter) = (&mut self.rounds, &mut self.meter);
        let taken = subscriber.take(&buffer[..count], |sequence, payload| {
            let published = rounds.deliver(sequence, payload)?;
            meter.latency(published, now);
            Ok(())
        });
        self.delivered += taken.map_err(|error| format!("subscriber {number}: {error}"))?;
        Ok(())
    }
}

impl Publisher {
    fn hear(&mut self, buffer: &mut [u8]) -> Fallible<()> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err("the server has ended the publisher's stream".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            count => count?,
        };
        let mut input = &buffer[..count];
        while let Some(piece) = self.reader.next(&mut input)? {
            self.reply.extend(piece.payload);
            if !piece.ends {
                continue;
            }
            let reply = std::mem::take(&mut self.reply);
            if piece.is_control() {
                continue;
            }
            let said: Value = serde_json::from_slice(&reply)?;
            if said.get("ok").is_none() {
                return Err(format!("not published: {said}").into());
            }
            self.answered += 1;
        }
        Ok(())
    }
}

/// A masked text frame.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    push_frame(&mut frame, FIN | TEXT, text.as_bytes(), [5, 6, 7, 8]);
    frame
}
