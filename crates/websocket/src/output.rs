//! What waits to be written: small frames gathered in one run, large payloads shared and never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A payload of at least this many bytes is queued by itself and not behind its header.
///
/// Below it one more slice in a vectored write costs more than the copy.
const SHARE_FROM: usize = 4096;

/// Bytes that wait to be written, in order, as few slices as may be.
///
/// Drivers write it as a [`Buf`]: look at [`Buf::chunks_vectored`], write, then [`Buf::advance`] by what was
/// taken. When all is written its memory is given back, so that an idle connection holds none.
#[derive(Debug, Default)]
pub struct Output {
    sealed: VecDeque<Bytes>,
    open: Vec<u8>,
    /// How many bytes of `open` are written already; only while `sealed` is empty.
    open_done: usize,
    waiting: usize,
    written: u64,
}

impl Output {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Bytes that have left since the beginning.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The position, counted as [`Output::written`] counts, behind the last byte that waits.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.waiting as u64
    }

    /// Queues a copy; a large one stands alone, so that it is freed when it has left and moves nothing else.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        if bytes.len() >= SHARE_FROM {
            return self.share(Bytes::copy_from_slice(bytes));
        }
        // An output that never runs empty must not keep what was written. Half of it at the least: a byte moves once.
        if self.open_done > self.open.len() / 2 {
            self.open.drain(..self.open_done);
            self.open_done = 0;
        }
        self.open.extend_from_slice(bytes);
        self.waiting += bytes.len();
    }

    /// Queues a copy that `change` may work over in place, such as a mask.
    pub(crate) fn copy_with(&mut self, bytes: &[u8], change: impl FnOnce(&mut [u8])) {
        if bytes.len() >= SHARE_FROM {
            let mut own = bytes.to_vec();
            change(&mut own);
            return self.share(own.into());
        }
        self.copy(bytes);
        let start = self.open.len() - bytes.len();
        change(&mut self.open[start..]);
    }

    /// Queues shared bytes, without copying where they are large.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM {
            return self.copy(&bytes);
        }
        self.seal();
        self.waiting += bytes.len();
        self.sealed.push_back(bytes);
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.open.capacity() + self.sealed.capacity()
    }

    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let mut run = Bytes::from(std::mem::take(&mut self.open));
        run.advance(std::mem::take(&mut self.open_done));
        if !run.is_empty() {
            self.sealed.push_back(run);
        }
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.waiting
    }

    fn chunk(&self) -> &[u8] {
        self.sealed.front().map_or(&self.open[self.open_done..], |run| run)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.waiting, "advanced by {count} of {} bytes", self.waiting);
        self.waiting -= count;
        self.written += count as u64;
        while let Some(run) = self.sealed.front_mut() {
            if count < run.len() {
                run.advance(count);
                return;
            }
            count -= run.len();
            self.sealed.pop_front();
        }
        self.open_done += count;
        if self.waiting == 0 {
            self.sealed = VecDeque::new();
            self.open = Vec::new();
            self.open_done = 0;
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let open = (self.open.len() > self.open_done).then(|| &self.open[self.open_done..]);
        let runs = self.sealed.iter().map(|run| &run[..]).chain(open);
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
        assert_eq!(
            (output.open.capacity(), output.sealed.capacity(), output.written()),
            (0, 0, 6 + SHARE_FROM as u64)
        );
    }
}
