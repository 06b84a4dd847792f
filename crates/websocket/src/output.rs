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

/// A payload that begins where a page does and is written behind a header is copied up to this size. See [`beside_page`].
const MOVED_MOST: usize = 1 << 20;

/// Bytes at the front of a lent buffer that are never written, so that a payload which is copied from the start of a page, and
/// from here to the start of another, is nowhere a few bytes behind the place it had. Far more than a few, since what the kernel copies to may begin with the rest of
/// an earlier write. See [`beside_page`].
const MARGIN: usize = 512;

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
        let mut queue =
            Box::new(Queue { open: Vec::with_capacity(MARGIN + bytes), lent: true, ..Queue::default() });
        queue.restart();
        Self(queue)
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
            return queue.push(beside_page(bytes, |_| ()));
        }
        queue.append(bytes);
    }

    /// Queues a whole frame: a header, of which `size` bytes count, and a copy of its payload.
    #[inline]
    pub(crate) fn frame(&mut self, header: &[u8; WIDE_HEADER], size: usize, payload: &[u8]) {
        let queue = self.queue();
        if payload.len() >= SHARE_FROM && !queue.has_room(WIDE_HEADER + payload.len()) {
            queue.append(&header[..size]);
            return queue.push(beside_page(payload, |_| ()));
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
            return queue.push(beside_page(bytes, change));
        }
        queue.append(bytes);
        let start = queue.open.len() - bytes.len();
        change(&mut queue.open[start..]);
    }

    /// Queues shared bytes, without copying where they are large and lie well.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM || bytes.len() <= MOVED_MOST && begins_page(&bytes) {
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

/// The size of a page, as far as addresses are concerned in [`beside_page`].
const PAGE: usize = 4096;

fn begins_page(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(PAGE)
}

/// A copy, changed in place, that does not begin where a page does.
///
/// The kernel copies what is written to pages of its own, from their start, so a payload behind a header of 2 to 14 bytes lands
/// that much behind the place it has in its own page. Where the distance of the two, modulo a page, is below 16 bytes, processors
/// that copy by `rep movsb` take each load for one of what was just stored, and are four times as slow (measured: 92 against
/// 22 us for 256 KiB). Allocators return large blocks page by page.
fn beside_page(bytes: &[u8], change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut own = Vec::with_capacity(MARGIN + bytes.len());
    own.extend_from_slice(&[0; MARGIN]);
    own.extend_from_slice(bytes);
    change(&mut own[MARGIN..]);
    Bytes::from(own).slice(MARGIN..)
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
        if self.open_done > MARGIN.max(self.open.len() / 2) {
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
        self.open.clear();
        self.open_done = 0;
        self.waiting += bytes.len();
        self.sealed.push_back(bytes);
    }

    /// What is gathered so far, as a run; lent memory stays.
    fn seal(&mut self) -> Bytes {
        if self.lent {
            return Bytes::copy_from_slice(&self.open[self.open_done..]);
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
        self.open.extend_from_slice(&[0; MARGIN]);
        self.open_done = MARGIN;
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

    /// Bytes of which the first begins a page.
    fn at_a_page(size: usize) -> Bytes {
        let block = Bytes::from((0..size + PAGE).map(|index| (index % 251) as u8).collect::<Vec<_>>());
        let skip = block.as_ptr().align_offset(PAGE);
        block.slice(skip..skip + size)
    }

    #[test]
    fn a_large_payload_at_the_start_of_a_page_is_written_from_elsewhere_and_a_huge_one_where_it_is() {
        for size in [SHARE_FROM, LENT_MOST, MOVED_MOST, MOVED_MOST + 1] {
            for mut output in [Output::default(), lent()] {
                let payload = at_a_page(size);
                output.copy(b"header");
                output.share(payload.clone());
                assert_eq!(gathered(&output), [b"header", &payload[..]].concat(), "{size}");
                output.advance(6);
                let begins = output.chunk().as_ptr();
                assert_eq!(begins.addr().is_multiple_of(PAGE), size > MOVED_MOST, "{size}");
                assert_eq!(begins == payload.as_ptr(), size > MOVED_MOST, "{size}");
            }
        }
    }

    fn lent() -> Output {
        let mut output = Output::default();
        assert!(output.lend(OutputBuffer::with_capacity(1000)).is_none());
        output
    }

    #[test]
    fn the_margin_of_a_lent_buffer_is_never_written_and_always_there_for_the_next() {
        let mut output = lent();
        for round in 0..5_u8 {
            output.copy(&[round; 3000]);
            assert_eq!(gathered(&output), [round; 3000]);
            output.advance(1000);
            output.copy(&[round; 500]);
            assert_eq!(gathered(&output), [round; 2500]);
            assert_eq!(output.len(), 2500);
            output.advance(2500);
            let mut buffer = output.reclaim().expect("it was lent");
            assert_eq!((buffer.0.open.len(), buffer.0.open_done), (MARGIN, MARGIN));
            buffer.0.open.fill(0xEE);
            assert!(output.lend(buffer).is_none());
        }
    }
}
