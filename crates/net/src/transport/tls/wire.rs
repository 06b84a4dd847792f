//! Records to a stream and from it, with no buffer for a connection that has nothing under way.
//!
//! rustls is asked for records in memory (its "unbuffered" interface): its buffered one keeps 4 KiB for every connection
//! that waits for something to read, and reads 4 KiB at a time. Here bytes come and go through buffers of the thread.

mod buffers;
mod records;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::Error as Rustls;
use rustls::unbuffered::ConnectionState;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::buffers::{GATHERING, READING, SENDING, Spare};
pub(super) use self::records::Records;
use self::records::{close_notify, encode, encrypt};

/// What of a message that has not arrived whole is kept: a handshake message has 64 KiB at the most, a record 18.
const INCOMING: usize = 72 << 10;

/// One read's worth.
const READ: usize = 64 << 10;

/// What is encrypted at once: four records. More is taken only when this has left.
const WRITE: usize = 64 << 10;

/// What may wait to be sent on account of what was read, alerts and updates of keys: rustls allows a few of each.
const ANSWERS: usize = 256 << 10;

/// A stream, and what is under way on it.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
    /// Records, or parts of them, that were read but not used.
    incoming: Vec<u8>,
    /// There may be whole ones among them.
    unused: bool,
    /// Decrypted, and not taken by the reader: begins at `plain_at`.
    plain: Vec<u8>,
    plain_at: usize,
    /// Encrypted, and not taken by the stream: begins at `sent`.
    outgoing: Vec<u8>,
    sent: usize,
    /// The remote's `close_notify` has come.
    closed: bool,
    /// Ours is on its way.
    shut: bool,
    /// The remote has broken a rule, or we have refused it: rustls must not be asked again. What was decrypted before
    /// is there to be read all the same.
    failed: Option<Box<Rustls>>,
}

/// What is to be written once rustls allows it.
enum Goal<'a> {
    Nothing,
    Data(&'a [u8]),
    CloseNotify,
}

impl<S> Wire<S> {
    /// `first` was read from the stream already.
    pub(super) fn new(stream: S, first: Vec<u8>) -> Self {
        Self {
            stream,
            incoming: first,
            unused: true,
            plain: Vec::new(),
            plain_at: 0,
            outgoing: Vec::new(),
            sent: 0,
            closed: false,
            shut: false,
            failed: None,
        }
    }

    /// Works off records until one is incomplete, or `into` is full and as much waits behind it, and does what is to be
    /// done; says how much of the input was used.
    fn work<R: Records>(
        &mut self,
        records: &mut R,
        input: &mut [u8],
        into: Option<&mut ReadBuf<'_>>,
        goal: &mut Goal<'_>,
    ) -> Result<usize, Rustls> {
        self.check()?;
        let result = self.work_on(records, input, into, goal);
        if let Err(error) = &result {
            self.failed = Some(Box::new(error.clone()));
        }
        result
    }

    /// What it failed with before, if it did.
    fn check(&self) -> Result<(), Rustls> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(Rustls::clone(error)))
    }

    fn work_on<R: Records>(
        &mut self,
        records: &mut R,
        input: &mut [u8],
        mut into: Option<&mut ReadBuf<'_>>,
        goal: &mut Goal<'_>,
    ) -> Result<usize, Rustls> {
        let mut at = 0;
        loop {
            let status = records.process(&mut input[at..]);
            let mut used = status.discard;
            let mut more = true;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        self.deliver(record.payload, into.as_deref_mut());
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.outgoing)?,
                // It is in `outgoing`, and what is there leaves in its turn.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match std::mem::replace(goal, Goal::Nothing) {
                        Goal::Nothing => {}
                        Goal::Data(plain) => {
                            encrypt(&mut self.outgoing, plain.len(), |out| traffic.encrypt(plain, out))?
                        }
                        Goal::CloseNotify => close_notify(&mut traffic, &mut self.outgoing)?,
                    }
                    more = false;
                }
                Ok(_) => more = false,
                Err(error) => {
                    self.last_alert(records);
                    return Err(error);
                }
            }
            at += used;
            let full = into.as_ref().is_some_and(|into| into.remaining() == 0);
            if !more || full && self.plain.len() >= READ {
                self.unused = more;
                return Ok(at);
            }
            if self.outgoing.len() - self.sent > ANSWERS + WRITE {
                return Err(Rustls::General("the remote asks for more answers than it reads".to_owned()));
            }
        }
    }

    /// After an error, the alert that says which one.
    fn last_alert<R: Records>(&mut self, records: &mut R) {
        // As long as it has something to send it looks at no input.
        while records.state().wants_write() {
            match records.process(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if encode(&mut data, &mut self.outgoing).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => while traffic.next_record().is_some() {},
                _ => return,
            }
        }
    }

    fn deliver(&mut self, payload: &[u8], into: Option<&mut ReadBuf<'_>>) {
        let direct = match into {
            // What came before has to be taken before.
            Some(into) if self.plain.is_empty() => {
                let count = payload.len().min(into.remaining());
                into.put_slice(&payload[..count]);
                count
            }
            _ => 0,
        };
        self.plain.extend_from_slice(&payload[direct..]);
    }

    /// Takes what was decrypted before.
    fn take_plain(&mut self, into: &mut ReadBuf<'_>) {
        let count = into.remaining().min(self.plain.len() - self.plain_at);
        into.put_slice(&self.plain[self.plain_at..self.plain_at + count]);
        self.plain_at += count;
        if self.plain_at == self.plain.len() {
            (self.plain, self.plain_at) = (Vec::new(), 0);
        }
    }

    /// Works off what was read before.
    fn work_incoming<R: Records>(
        &mut self,
        records: &mut R,
        into: Option<&mut ReadBuf<'_>>,
        goal: &mut Goal<'_>,
    ) -> Result<(), Rustls> {
        let mut incoming = std::mem::take(&mut self.incoming);
        let used = self.work(records, &mut incoming, into, goal)?;
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The whole handshake. An alert that says why it failed has been sent when this returns.
    pub(super) async fn handshake<R: Records>(&mut self, records: &mut R) -> io::Result<()> {
        let mut result = self.work_incoming(records, None, &mut Goal::Nothing).map_err(broken);
        loop {
            // What was wrong before matters more than that the alert does not leave.
            let flushed = poll_fn(|cx| self.poll_flush(cx)).await;
            result?;
            flushed?;
            if !records.state().is_handshaking() {
                return Ok(());
            }
            result = match poll_fn(|cx| self.poll_receive(records, cx, None)).await {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                other => other.map(|_| ()),
            };
        }
    }

    pub(super) fn poll_read<R: Records>(
        &mut self,
        records: &mut R,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        loop {
            // A record that fails takes nothing of what came before it away: that is read first, and then the failure.
            let worked = if !self.plain.is_empty() {
                self.take_plain(into);
                Ok(())
            } else if self.unused && self.failed.is_none() {
                self.work_incoming(records, Some(into), &mut Goal::Nothing)
            } else {
                self.check()
            };
            if into.filled().len() > before {
                break;
            }
            worked.map_err(broken)?;
            if self.closed {
                break;
            }
            let received = ready!(self.poll_receive(records, cx, Some(into)));
            if into.filled().len() > before {
                break;
            }
            if received? == 0 && !self.closed {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and works off what came; says how much that was.
    fn poll_receive<R: Records>(
        &mut self,
        records: &mut R,
        cx: &mut Context<'_>,
        into: Option<&mut ReadBuf<'_>>,
    ) -> Poll<io::Result<usize>> {
        let kept = self.incoming.len();
        if kept > INCOMING {
            return Poll::Ready(Err(broken(Rustls::General("a message is too long".to_owned()))));
        }
        let mut buffer = READING.with(Spare::take);
        buffer.resize(INCOMING + READ, 0);
        let mut behind = ReadBuf::new(&mut buffer[kept..]);
        let result = match Pin::new(&mut self.stream).poll_read(cx, &mut behind) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) if behind.filled().is_empty() => Poll::Ready(Ok(0)),
            Poll::Ready(Ok(())) => {
                let count = behind.filled().len();
                // Whoever waits for the stream to take more would not be woken if we asked it too.
                let others_wait = self.sent < self.outgoing.len();
                buffer[..kept].copy_from_slice(&self.incoming);
                let input = &mut buffer[..kept + count];
                match self.work(records, input, into, &mut Goal::Nothing) {
                    Ok(used) => {
                        self.incoming.clear();
                        self.incoming.extend_from_slice(&input[used..]);
                        if self.incoming.is_empty() {
                            self.incoming = Vec::new();
                        }
                        Poll::Ready(Ok(count))
                    }
                    Err(error) => {
                        // The alert; the error is told whether it leaves or not.
                        if !others_wait {
                            let _ = self.poll_send(cx);
                        }
                        Poll::Ready(Err(broken(error)))
                    }
                }
            }
        };
        READING.with(|spare| spare.give(buffer));
        result
    }

    pub(super) fn poll_write<R: Records>(
        &mut self,
        records: &mut R,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(cx))?;
        self.outgoing = SENDING.with(Spare::take);
        let taken = match slices {
            [one] => self.write(records, &one[..one.len().min(WRITE)]),
            several => {
                let mut plain = GATHERING.with(Spare::take);
                plain.clear();
                for slice in several {
                    plain.extend_from_slice(&slice[..slice.len().min(WRITE - plain.len())]);
                }
                let taken = self.write(records, &plain);
                GATHERING.with(|spare| spare.give(plain));
                taken
            }
        }?;
        // It was taken, whether it leaves now or with the next flush.
        let _ = self.poll_send(cx)?;
        Poll::Ready(Ok(taken))
    }

    fn write<R: Records>(&mut self, records: &mut R, plain: &[u8]) -> io::Result<usize> {
        let mut goal = Goal::Data(plain);
        self.work_incoming(records, None, &mut goal).map_err(broken)?;
        match goal {
            Goal::Nothing => Ok(plain.len()),
            // Nothing may be written any more, and nothing was.
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Writes what is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outgoing[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        if self.outgoing.capacity() > 0 {
            let mut done = std::mem::take(&mut self.outgoing);
            done.clear();
            self.sent = 0;
            SENDING.with(|spare| spare.give(done));
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    pub(super) fn poll_shutdown<R: Records>(
        &mut self,
        records: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.shut {
            self.shut = true;
            // After an error of TLS nothing is left to say; the stream is shut down all the same.
            let _ = self.work_incoming(records, None, &mut Goal::CloseNotify);
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn broken(error: Rustls) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
