//! The dialect, as the hub reads it and as clients do.

use trunkline_dialect::json::{decode_command, decode_message};
use trunkline_dialect::{Incoming, Limits, ServerMessage};

use crate::memory;

/// One message, read as a client's and as the hub's.
pub fn dialect(data: &[u8]) {
    let limits = Limits { depth: 8, data: 256, credential: 64, client: 16 };
    // Reading keeps pieces of the input, each once, and may hold a parsed copy beside its text; none of it more than a
    // few times the input.
    let heap = 16 * 1024 + 8 * data.len();
    match memory::within(heap, || decode_command(data, &limits)) {
        Ok(Incoming::Command(command)) => {
            assert!((1..1 << 53).contains(&command.id), "id {}", command.id);
            let again = decode_command(command.encode().as_bytes(), &limits)
                .expect("what was read once is read again");
            assert_eq!(again, Incoming::Command(command));
        }
        Ok(Incoming::Pong(_)) => {}
        Err(bad) => {
            let answer = bad.encode();
            assert!(answer.len() < 4096, "an answer of {} bytes", answer.len());
            let read = decode_message(answer.as_bytes()).expect("clients can read our errors");
            if let Some(id) = bad.id {
                assert!(
                    matches!(read, ServerMessage::Error { id: answered, .. } if answered == id),
                    "{answer}"
                );
            }
        }
    }
    if let Err(bad) = memory::within(heap, || decode_message(data)) {
        assert!(bad.to_string().len() < 1024, "an error that repeats its input");
    }
}
