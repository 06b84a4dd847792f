//! What a decompressor is told of earlier messages: the last bytes that it put out (RFC 7692 section 7.2.2).

/// A ring of the last 2^bits bytes. It has memory only for what was put in.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Grows to `size`, then is written over from the front.
    ring: Vec<u8>,
    /// Where the next byte goes, once the ring is full. Also its oldest byte.
    next: usize,
    /// The most it remembers.
    size: usize,
}

impl Window {
    pub(super) const fn new(bits: u8) -> Self {
        Self { ring: Vec::new(), next: 0, size: 1 << bits }
    }

    /// Forgets everything, and keeps the memory for a window of another size.
    pub(super) fn clear(&mut self, bits: u8) {
        self.ring.clear();
        self.next = 0;
        self.size = 1 << bits;
    }

    /// How many bytes it remembers now.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.ring.len()
    }

    /// What it costs.
    pub(super) fn memory(&self) -> usize {
        self.ring.capacity()
    }

    /// Remembers `bytes`.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let mut bytes = &bytes[bytes.len().saturating_sub(self.size)..];
        let free = self.size - self.ring.len();
        if free > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(free));
            self.grow(first.len());
            self.ring.extend_from_slice(first);
            bytes = rest;
        }
        let (first, rest) = bytes.split_at(bytes.len().min(self.ring.len() - self.next));
        self.ring[self.next..self.next + first.len()].copy_from_slice(first);
        self.ring[..rest.len()].copy_from_slice(rest);
        if !bytes.is_empty() {
            self.next = (self.next + bytes.len()) % self.size;
        }
    }

    /// Makes room for `more` bytes: by doubling, but never past the size.
    fn grow(&mut self, more: usize) {
        let needed = self.ring.len() + more;
        if needed > self.ring.capacity() {
            let capacity = needed.next_power_of_two().min(self.size);
            self.ring.reserve_exact(capacity - self.ring.len());
        }
    }

    /// What it remembers, the oldest part first.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let (newest, oldest) = self.ring.split_at(self.next);
        [oldest, newest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_bytes_however_they_come() {
        let data: Vec<u8> = (0..2000_u32).map(|i| (i * 7 % 251) as u8).collect();
        for step in [1, 2, 3, 100, 255, 256, 257, 511, 512, 513, 1999] {
            let mut window = Window::new(8);
            for (number, piece) in data.chunks(step).enumerate() {
                window.extend(piece);
                let end = number * step + piece.len();
                assert_eq!(window.len(), end.min(256));
                assert!(window.memory() <= 256);
                let begin = end - window.len();
                assert_eq!(window.parts().concat(), &data[begin..end], "step {step}, {end} bytes");
            }
        }
    }

    #[test]
    fn costs_no_more_than_what_was_put_in_asks_for() {
        let mut window = Window::new(15);
        assert_eq!(window.memory(), 0);
        window.extend(&[1; 100]);
        assert_eq!(window.memory(), 128);
        window.extend(&[1; 40_000]);
        assert_eq!((window.memory(), window.len()), (32_768, 32_768));
        window.clear(9);
        window.extend(&[1; 600]);
        assert_eq!((window.memory(), window.len()), (32_768, 512));
    }
}
