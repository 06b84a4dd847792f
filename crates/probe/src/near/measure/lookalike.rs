//! Whether something on the path reads bytes behind the upgrade as a request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::facts::{Facts, Lookalike};
use crate::near::http1::{Head, ask};
use crate::near::target::Target;

/// How much is kept of what came instead.
const SHOWN: usize = 300;

pub(crate) async fn measure(target: &Target<'_>, facts: &Facts) -> Option<Lookalike> {
    // Where a bare stream does not pass there is nothing to read.
    let passes =
        |way: &&crate::facts::Way| way.name == "stream" && way.outcome == crate::facts::Outcome::Works;
    facts.ways.iter().find(passes)?;
    let fields = [("Connection", "Upgrade"), ("Upgrade", "stream")];
    let head = Head::new("GET", &target.below("", "mode=echo"), &fields);
    let mut answer = ask(target, &head, b"").await.ok()?;
    if answer.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    let host = target.url.authority();
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
        target.below("/lookalike", "")
    );
    answer.stream.write_all(request.as_bytes()).await.ok()?;
    answer.stream.flush().await.ok()?;
    let mut back = answer.rest.to_vec();
    let mut chunk = [0; 1024];
    let reading = async {
        while back.len() < request.len() {
            match answer.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(count) => back.extend_from_slice(&chunk[..count]),
            }
        }
    };
    // What has not come in time does not come.
    let _ = timeout(target.patience, reading).await;
    let intact = back == request.as_bytes();
    let shown = String::from_utf8_lossy(&back[..back.len().min(SHOWN)]).into_owned();
    Some(Lookalike { intact, instead: (!intact).then_some(shown) })
}
