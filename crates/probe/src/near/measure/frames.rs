//! Whether frames arrive as they were sent, and whether compression can be agreed on.

use crate::facts::Frames;
use crate::near::talk::{Asking, Talk};
use crate::near::target::Target;
use crate::wire::{Command, Reply};

/// Messages that are sent; each is one frame.
const MESSAGES: u64 = 10;

/// Bytes of each: enough to be compressed, and for somebody on the way to cut it.
const BYTES: usize = 20_000;

pub(crate) async fn measure(target: &Target<'_>) -> Option<Frames> {
    let asking = Asking { deflate: true, ..Asking::default() };
    let mut talk = Talk::websocket(target, asking).await.ok()?;
    for n in 0..MESSAGES {
        let pad = "the same again ".chars().cycle().take(BYTES).collect();
        talk.ask(&Command::Ping { n, pad }).await.ok()?;
    }
    let Ok(Reply::Counters(there)) = talk.ask(&Command::Counters {}).await else { return None };
    let has = |fields: &[(String, String)]| {
        fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
    };
    let hello = talk.hello.as_deref();
    Some(Frames {
        sent: talk.pipe.counters()?.sent.frames,
        arrived: there.frames,
        deflate_offered: true,
        deflate_arrived: hello.is_some_and(|hello| has(&hello.headers)),
        deflate_answered: hello.is_some_and(|hello| has(&hello.answered)),
        deflate_agreed: has(&talk.answered),
    })
}
