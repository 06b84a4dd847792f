//! What a head costs in memory. One test alone in its file: the allocator it counts with is the whole process's.

use peak_alloc::PeakAlloc;
use trunkline_websocket::handshake::http1::{HeadLimits, HeadReader};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[test]
fn a_reader_holds_nothing_before_the_first_byte_and_in_proportion_to_what_came_after_it() {
    const KIB: usize = 1024;
    let limits = HeadLimits { bytes: 1 << 30, headers: 1 << 20 };
    let used = |work: &mut dyn FnMut()| {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        work();
        ALLOCATOR.peak_usage() - before
    };

    // Not zero: the test runner's own thread may hold a few bytes more at any time.
    let none = used(&mut || drop(HeadReader::new(limits)));
    assert!(none < 128, "{none} bytes for a reader that has read nothing");

    let mut reader = HeadReader::new(limits);
    let few = used(&mut || drop(reader.receive(b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n")));
    assert!(few < KIB, "{few} bytes for one line, whatever the limits and the line say");

    let line = [b"Cookie: ", &[b'x'; KIB][..], b"\r\n"].concat();
    let many = used(&mut || (0..KIB).for_each(|_| drop(reader.receive(&line))));
    assert!(
        many < 4 * KIB * KIB,
        "{many} bytes for one MiB: a buffer that grows by doubling, and nothing else"
    );

    drop(reader.receive(b"\r\n"));
    let parsed = used(&mut || drop(std::mem::replace(&mut reader, HeadReader::new(limits)).request()));
    assert!(parsed < 4 * KIB * KIB, "{parsed} bytes to parse one MiB");
}
