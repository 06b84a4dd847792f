//! What crumbs of a message cost in memory. One test alone in its file: the allocator it counts with is the whole process's.

use std::sync::Arc;
use std::time::Instant;

use peak_alloc::PeakAlloc;
use trunkline_websocket::{Connection, Limits, Role};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MESSAGE: usize = 1 << 20;

/// What stays in memory of one message that never ends, made of `count` such frames. The frames themselves are not counted.
fn retained(role: Role, frame: &[u8], count: usize) -> usize {
    const AT_ONCE: usize = 1000;
    let mut frames = frame.repeat(AT_ONCE);
    let before = ALLOCATOR.current_usage();
    let limits = Limits { message: MESSAGE, fragments: u32::MAX, ..Limits::default() };
    let mut connection = Connection::new(role, Arc::new(limits), Instant::now());
    let begin: &[u8] = if role.is_server() { &[0x02, 0x80, 0, 0, 0, 0] } else { &[0x02, 0x00] };
    let mut most = 0;
    assert_eq!(connection.receive(Instant::now(), &mut begin.to_vec()).count(), 0);
    for _ in 0..count / AT_ONCE {
        assert_eq!(connection.receive(Instant::now(), &mut frames).count(), 0, "still open");
        most = most.max(ALLOCATOR.current_usage().saturating_sub(before));
    }
    most
}

#[test]
fn a_message_in_crumbs_retains_its_bytes_and_nothing_for_each_crumb() {
    // The mask of zeros leaves the frames as they are, however often they are given.
    let server: [&[u8]; 2] = [&[0x00, 0x80, 0, 0, 0, 0], &[0x00, 0x81, 0, 0, 0, 0, b'x']];
    let client: [&[u8]; 2] = [&[0x00, 0x00], &[0x00, 0x01, b'x']];
    for (role, [empty, one]) in [(Role::Server, server), (Role::Client(|| [0; 4]), client)] {
        let nothing = retained(role, empty, 1_000_000);
        assert!(nothing < 4096, "{nothing} bytes for a million empty fragments");
        let crumbs = retained(role, one, 1_000_000);
        assert!(crumbs < 2 * MESSAGE + 4096, "{crumbs} bytes for a million fragments of one byte");
    }
}
