//! The allocator of the binary: mimalloc, but that no large block begins where a page does.
//!
//! mimalloc returns large blocks page by page. The kernel copies what is written to pages of its own, from their start; so what lies
//! at the start of a page and is written behind a header of a few bytes lands those few bytes further on in another page. Where
//! the distance of a load and a store, modulo a page, is below 16 bytes, `rep movsb` of AMD's processors takes each load for
//! one of what was just stored: 256 KiB leave for the kernel in 92 us instead of 22. Other allocators put their own words in
//! front of a block, and never see it.

#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout};

/// Bytes in front of a large block. As a power of two above 64 it keeps cache lines and vectors aligned.
const MARGIN: usize = 512;

/// From this size on, of which the margin is 3 %.
const LARGE: usize = 16 << 10;

/// An allocator with a margin in front of what is large.
pub(crate) struct BesidePages<A>(pub(crate) A);

/// Whether a block of this layout has a margin. The layout is all that `dealloc` and `realloc` are told, and it is the same
/// as at the allocation, so all of them decide alike.
fn has_margin(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= MARGIN
}

/// The layout of a block together with its margin; `None` if there is no such layout.
fn with_margin(layout: Layout) -> Option<Layout> {
    Layout::from_size_align(layout.size().checked_add(MARGIN)?, layout.align()).ok()
}

/// The block behind the margin of an allocation, or null.
///
/// # Safety
/// `start` is null or begins an allocation of more than [`MARGIN`] bytes.
unsafe fn behind_margin(start: *mut u8) -> *mut u8 {
    // SAFETY: the caller's word: the result lies in the same allocation.
    if start.is_null() { start } else { unsafe { start.add(MARGIN) } }
}

// SAFETY: every block is one of `A`'s, or lies MARGIN bytes behind the start of one that is MARGIN bytes longer. MARGIN is a multiple
// of every alignment that has a margin (both are powers of two, and MARGIN is not the smaller), so the block is aligned as that
// of `A` is. Whether there is a margin depends on nothing but the layout, which the caller passes unchanged to `dealloc` and
// `realloc`, so each finds the start that the allocation had. Nothing here unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for BesidePages<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !has_margin(layout) {
            // SAFETY: the caller's contract is the same.
            return unsafe { self.0.alloc(layout) };
        }
        let Some(whole) = with_margin(layout) else { return std::ptr::null_mut() };
        // SAFETY: `whole` is not empty.
        unsafe { behind_margin(self.0.alloc(whole)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !has_margin(layout) {
            // SAFETY: the caller's contract is the same.
            return unsafe { self.0.alloc_zeroed(layout) };
        }
        let Some(whole) = with_margin(layout) else { return std::ptr::null_mut() };
        // SAFETY: `whole` is not empty.
        unsafe { behind_margin(self.0.alloc_zeroed(whole)) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match with_margin(layout).filter(|_| has_margin(layout)) {
            // SAFETY: `alloc` decided alike, so the allocation begins MARGIN bytes before the block and has this layout.
            Some(whole) => unsafe { self.0.dealloc(block.sub(MARGIN), whole) },
            // SAFETY: the caller's contract is the same.
            None => unsafe { self.0.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else { return std::ptr::null_mut() };
        match (has_margin(layout), has_margin(new)) {
            // SAFETY: the caller's contract is the same.
            (false, false) => unsafe { self.0.realloc(block, layout, size) },
            (true, true) => {
                let (Some(whole), Some(new)) = (with_margin(layout), with_margin(new)) else {
                    return std::ptr::null_mut();
                };
                // SAFETY: as in `dealloc`; the margin and the block move together.
                unsafe { behind_margin(self.0.realloc(block.sub(MARGIN), whole, new.size())) }
            }
            // SAFETY: the caller's contract for `block` and `layout`; `new` is not empty, and the two blocks are apart.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    moved.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use mimalloc::MiMalloc;

    use super::*;

    /// A block, what it should hold, and its layout.
    struct Held {
        block: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Held {
        fn new<A: GlobalAlloc>(allocator: &A, layout: Layout, byte: u8) -> Held {
            // SAFETY: no layout in these tests is empty.
            let block = unsafe { allocator.alloc(layout) };
            assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()), "{layout:?}");
            let mut held = Held { block, layout, byte };
            held.bytes().fill(byte);
            held
        }

        fn bytes(&mut self) -> &mut [u8] {
            // SAFETY: the block is as long as its layout, and all of it was written.
            unsafe { std::slice::from_raw_parts_mut(self.block, self.layout.size()) }
        }

        fn resize<A: GlobalAlloc>(&mut self, allocator: &A, size: usize) {
            let kept = self.layout.size().min(size);
            // SAFETY: the block came from this allocator with this layout, and `size` is not 0.
            self.block = unsafe { allocator.realloc(self.block, self.layout, size) };
            self.layout = Layout::from_size_align(size, self.layout.align()).expect("a layout");
            assert!(!self.block.is_null() && self.block.addr().is_multiple_of(self.layout.align()));
            // SAFETY: the first `kept` bytes were written before, and came along.
            let before = unsafe { std::slice::from_raw_parts(self.block, kept) };
            assert!(before.iter().all(|byte| *byte == self.byte), "{:?}", self.layout);
            // SAFETY: as long as its layout.
            unsafe { self.block.write_bytes(self.byte, size) };
        }

        fn free<A: GlobalAlloc>(mut self, allocator: &A) {
            let byte = self.byte;
            assert!(self.bytes().iter().all(|each| *each == byte), "{:?}", self.layout);
            // SAFETY: the block came from this allocator with this layout, and is not used again.
            unsafe { allocator.dealloc(self.block, self.layout) };
        }
    }

    /// Allocates, resizes across every boundary and frees, with many blocks alive at once; each keeps what was written to it.
    fn blocks_keep_what_was_written<A: GlobalAlloc>(allocator: &A) {
        let sizes = [1, 100, LARGE - 1, LARGE, LARGE + 1, 4 * LARGE, 256 << 10, 3 << 20];
        let mut all: Vec<Held> = Vec::new();
        for (index, from) in sizes.into_iter().enumerate() {
            for to in sizes {
                for align in [1, 8, 64, MARGIN, 2 * MARGIN, 4096] {
                    let layout = Layout::from_size_align(from, align).expect("a layout");
                    let byte = u8::try_from(all.len() % 251).expect("below 251") ^ 0x5A;
                    let mut held = Held::new(allocator, layout, byte);
                    held.resize(allocator, to);
                    all.push(held);
                    if all.len() > 40 {
                        all.swap_remove(index).free(allocator);
                    }
                }
            }
        }
        all.into_iter().for_each(|held| held.free(allocator));
    }

    #[test]
    fn blocks_keep_what_was_written_to_them_as_those_of_the_allocator_below() {
        blocks_keep_what_was_written(&MiMalloc);
        blocks_keep_what_was_written(&BesidePages(MiMalloc));
        // Whose blocks a sanitizer knows.
        blocks_keep_what_was_written(&BesidePages(System));
    }

    #[test]
    fn no_large_block_begins_a_page_and_a_zeroed_one_is_zero() {
        for size in [LARGE, 64 << 10, 256 << 10, 1 << 20, 5 << 20] {
            let layout = Layout::from_size_align(size, 1).expect("a layout");
            // SAFETY: not empty.
            let block = unsafe { BesidePages(MiMalloc).alloc_zeroed(layout) };
            assert_eq!(block.addr() % 4096, MARGIN, "{size}");
            let mut held = Held { block, layout, byte: 0 };
            assert!(held.bytes().iter().all(|byte| *byte == 0));
            held.free(&BesidePages(MiMalloc));
        }
    }

    #[test]
    fn what_cannot_be_had_is_null() {
        let layout = Layout::from_size_align(isize::MAX as usize - 8, 1).expect("a layout");
        // SAFETY: not empty.
        assert!(unsafe { BesidePages(MiMalloc).alloc(layout) }.is_null());
        let mut held =
            Held::new(&BesidePages(MiMalloc), Layout::from_size_align(LARGE, 1).expect("a layout"), 7);
        // SAFETY: the block came from this allocator with this layout; what could not be moved stays.
        assert!(
            unsafe { BesidePages(MiMalloc).realloc(held.block, held.layout, isize::MAX as usize - 8) }
                .is_null()
        );
        held.resize(&BesidePages(MiMalloc), 2 * LARGE);
        held.free(&BesidePages(MiMalloc));
    }
}
