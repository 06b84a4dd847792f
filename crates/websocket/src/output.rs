//! What waits to be written: small frames gathered in one run, large payloads shared and never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::pongs::Pongs;

/// A payload of at least this many bytes is queued by itself and not behind its header, unless a lent buffer has room.
///
/// Below it one more slice in a vectored write costs more than the copy.
const SHARE_FROM: usize = 4096;

/// Room for any header, as long as a vector register.
pub(crate) const WIDE_HEADER: usize = 16;

/// What a lent buffer grows to before large payloads are queued by themselves.
const LENT_MOST: usize = 288 << 10;

/// What an output that was lent nothing begins with: a few small frames fit without growing.
const FIRST_ROOM: usize = 512;

/// Bytes that wait to be written, in order, as few slices as may be.
///
/// Drivers write it as a [`Buf`]: look at [`Buf::chunks_vectored`], write, then [`Buf::advance`] by what was
/// taken. When all is written its memory is given back, so that an idle connection holds none.
#[derive(Debug, Default)]
pub struct Output {
    written: u64,
    /// Only while something waits, or while a buffer is lent.
    queue: Option<Box<Queue>>,
}

/// Memory for an [`Output`], lent to one connection after the other: what a thread's connections write in their turn
/// then lies in the same cache lines, and none of them allocates.
#[derive(Debug)]
pub struct OutputBuffer(Box<Queue>);

#[derive(Debug, Default)]
struct Queue {
    sealed: VecDeque<Bytes>,
    open: Vec<u8>,
    /// How many bytes of `open` are written already; only while `sealed` is empty.
    open_done: usize,
    waiting: usize,
    /// Whether the memory is somebody else's, who will ask for it.
    lent: bool,
    pongs: Pongs,
}

impl OutputBuffer {
    /// A buffer of this many bytes, which grows if a connection writes more at once.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Box::new(Queue { open: Vec::with_capacity(bytes), lent: true, ..Queue::default() }))
    }

    /// Bytes it holds memory for, which may have grown while it was lent.
    pub fn capacity(&self) -> usize {
        self.0.open.capacity() + self.0.sealed.capacity() * size_of::<Bytes>()
    }
}

impl Output {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.waiting)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a buffer to write into, if it has none of its own just now.
    pub(crate) fn lend(&mut self, buffer: OutputBuffer) -> Option<OutputBuffer> {
        if self.queue.is_some() {
            return Some(buffer);
        }
        self.queue = Some(buffer.0);
        None
    }

    /// Gives the lent buffer back. What still waits in it moves to memory of its own, of just that size: a remote that
    /// reads slowly must not hold on to a large buffer for a few bytes.
    pub(crate) fn reclaim(&mut self) -> Option<OutputBuffer> {
        let mut queue = self.queue.take_if(|queue| queue.lent)?;
        if queue.waiting > 0 || queue.pongs.is_holding() {
            let open = queue.open[queue.open_done..].to_vec();
            let sealed = std::mem::take(&mut queue.sealed);
            let (waiting, pongs) = (queue.waiting, std::mem::take(&mut queue.pongs));
            self.queue = Some(Box::new(Queue { sealed, open, waiting, pongs, ..Queue::default() }));
        }
        queue.restart();
        Some(OutputBuffer(queue))
    }

    /// Bytes that have left since the beginning.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The position, counted as [`Output::written`] counts, behind the last byte that waits.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// Queues a copy; a large one for which there is no room stands alone, so that it is freed when it has left and moves
    /// nothing else.
    #[inline]
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        let queue = self.queue();
        if bytes.len() >= SHARE_FROM && !queue.has_room(bytes.len()) {
            return queue.push(Bytes::copy_from_slice(bytes));
        }
        queue.append(bytes);
    }

    /// Queues a whole frame: a header, of which `size` bytes count, and a copy of its payload.
    #[inline]
    pub(crate) fn frame(&mut self, header: &[u8; WIDE_HEADER], size: usize, payload: &[u8]) {
        let queue = self.queue();
        if payload.len() >= SHARE_FROM && !queue.has_room(WIDE_HEADER + payload.len()) {
            queue.append(&header[..size]);
            return queue.push(Bytes::copy_from_slice(payload));
        }
        queue.compact();
        queue.open.reserve(WIDE_HEADER + payload.len());
        // All of it in one store of a length that is known, and what does not count is written over.
        queue.open.extend_from_slice(header);
        queue.open.truncate(queue.open.len() - (WIDE_HEADER - size));
        queue.open.extend_from_slice(payload);
        queue.waiting += size + payload.len();
    }

    /// Queues a copy that `change` may work over in place, such as a mask.
    pub(crate) fn copy_with(&mut self, bytes: &[u8], change: impl FnOnce(&mut [u8])) {
        let queue = self.queue();
        if bytes.len() >= SHARE_FROM && !queue.has_room(bytes.len()) {
            let mut own = bytes.to_vec();
            change(&mut own);
            return queue.push(own.into());
        }
        queue.append(bytes);
        let start = queue.open.len() - bytes.len();
        change(&mut queue.open[start..]);
    }

    /// Queues shared bytes, without copying where they are large.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM {
            return self.copy(&bytes);
        }
        self.queue().push(bytes);
    }

    /// Whether a Pong with this payload may go straight into the output; if not it is kept for later, in place of an
    /// older one.
    pub(crate) fn reserve_pong(&mut self, payload: &[u8]) -> bool {
        let written = self.written;
        self.queue().pongs.reserve(payload, written)
    }

    /// A Pong has just been put at the end of the output.
    pub(crate) fn pong_queued(&mut self) {
        let end = self.end();
        self.queue().pongs.queued(end);
    }

    /// Whether a Pong waits, in the output or held back from it.
    pub(crate) fn owes_pong(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.pongs.is_owed(self.written))
    }

    /// The Pong that was held, once those before it have left.
    pub(crate) fn release_pong(&mut self) -> Option<Box<[u8]>> {
        self.queue.as_mut()?.pongs.release(self.written)
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.open.capacity() + queue.sealed.capacity())
    }

    #[inline]
    fn queue(&mut self) -> &mut Queue {
        self.queue.get_or_insert_with(|| {
            Box::new(Queue { open: Vec::with_capacity(FIRST_ROOM), ..Queue::default() })
        })
    }
}

impl Queue {
    /// Whether so many bytes fit: without growing, but that a lent buffer grows for whoever needs it, and stays so for the
    /// next.
    fn has_room(&self, bytes: usize) -> bool {
        let most = if self.lent { LENT_MOST } else { 0 };
        bytes <= self.open.capacity().max(most) - self.open.len()
    }

    /// An output that never runs empty must not keep what was written. Half of it at the least: a byte moves once.
    #[inline]
    fn compact(&mut self) {
        if self.open_done > self.open.len() / 2 {
            self.open.drain(..self.open_done);
            self.open_done = 0;
        }
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.compact();
        self.open.extend_from_slice(bytes);
        self.waiting += bytes.len();
    }

    /// Queues bytes as a run of their own, behind what is gathered so far.
    fn push(&mut self, bytes: Bytes) {
        if self.open.len() > self.open_done {
            let run = self.seal();
            self.sealed.push_back(run);
        }
        self.open_done = 0;
        self.waiting += bytes.len();
        self.sealed.push_back(bytes);
    }

    /// What is gathered so far, as a run; lent memory stays.
    fn seal(&mut self) -> Bytes {
        if self.lent {
            let run = Bytes::copy_from_slice(&self.open[self.open_done..]);
            self.open.clear();
            return run;
        }
        let mut run = Bytes::from(std::mem::take(&mut self.open));
        run.advance(self.open_done);
        run
    }

    /// Takes `count` bytes from the front.
    fn advance(&mut self, mut count: usize) {
        self.waiting -= count;
        while let Some(run) = self.sealed.front_mut() {
            if count < run.len() {
                run.advance(count);
                return;
            }
            count -= run.len();
            self.sealed.pop_front();
        }
        self.open_done += count;
    }

    fn restart(&mut self) {
        self.sealed.clear();
        self.open.clear();
        self.open_done = 0;
        self.waiting = 0;
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        let Some(queue) = &self.queue else { return &[] };
        queue.sealed.front().map_or(&queue.open[queue.open_done..], |run| run)
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advanced by {count} of {} bytes", self.len());
        self.written += count as u64;
        let Some(queue) = &mut self.queue else { return };
        queue.advance(count);
        if queue.waiting > 0 {
            return;
        }
        if queue.lent || queue.pongs.is_holding() {
            queue.restart();
        } else {
            self.queue = None;
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(queue) = &self.queue else { return 0 };
        let open = (queue.open.len() > queue.open_done).then(|| &queue.open[queue.open_done..]);
        let runs = queue.sealed.iter().map(|run| &run[..]).chain(open);
        let mut count = 0;
        for (slice, run) in slices.iter_mut().zip(runs) {
            *slice = IoSlice::new(run);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = output.chunks_vectored(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn bytes_leave_in_order_whatever_is_copied_or_shared_and_however_much_is_taken() {
        let large = Bytes::from(vec![7u8; SHARE_FROM]);
        for step in [1, 2, 3, 100, SHARE_FROM, 3 * SHARE_FROM] {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for round in 0..3u8 {
                output.copy(&[round; 5]);
                output.share(large.clone());
                output.share(Bytes::from_static(b"small"));
                expected.extend([vec![round; 5], large.to_vec(), b"small".to_vec()].concat());
                output.advance(1);
                expected.remove(0);
            }
            assert_eq!(output.len(), expected.len());
            assert_eq!(gathered(&output), expected);
            while output.has_remaining() {
                let take = step.min(output.chunk().len());
                assert_eq!(output.chunk()[..take], expected[..take]);
                output.advance(take);
                expected.drain(..take);
            }
            assert!(expected.is_empty());
        }
    }

    #[test]
    fn large_payloads_are_not_copied_and_an_empty_output_holds_no_memory() {
        let large = Bytes::from(vec![1u8; SHARE_FROM]);
        let mut output = Output::default();
        output.copy(b"header");
        output.share(large.clone());
        output.advance(6);
        assert_eq!(output.chunk().as_ptr(), large.as_ptr());
        output.advance(SHARE_FROM);
        assert_eq!((output.capacity(), output.written()), (0, 6 + SHARE_FROM as u64));
    }
}
