//! What must hold for every input whatever: the bodies of the fuzz targets under `fuzz/`.
//!
//! Each function here takes the bytes that a fuzzer invented and panics if something is not as it has to be. The same
//! functions run as a unit test over [`seeds`] and pseudo-random changes of them, so that no fuzzer is needed to find
//! what is easy to find, and a crash that the fuzzer found stays a test for good.
//!
//! Everywhere: no panic, no loop without progress, memory bounded by the limits, and the same result however the
//! bytes are cut.

mod dialect;
mod frames;
mod heads;
mod inflate;
mod memory;
mod objects;
mod proxies;
pub mod random;
pub mod seeds;
mod splits;
mod url;

pub use dialect::dialect;
pub use frames::{frames_client, frames_server};
pub use heads::{request_head, response_head};
pub use inflate::{deflate, extensions, inflate};
pub use objects::objects;
pub use proxies::{forwarded, proxy_protocol};
pub use url::url;

/// A fuzz target: its name, its body, and what to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// Every target.
pub const TARGETS: &[Target] = &[
    ("frames_server", frames_server, seeds::frames_of_clients),
    ("frames_client", frames_client, seeds::frames_of_servers),
    ("request_head", request_head, seeds::request_heads),
    ("response_head", response_head, seeds::response_heads),
    ("url", url, seeds::urls),
    ("dialect", dialect, seeds::dialect),
    ("objects", objects, objects::seeds),
    ("inflate", inflate, inflate::inflate_seeds),
    ("deflate", deflate, inflate::deflate_seeds),
    ("extensions", extensions, inflate::extensions_seeds),
    ("proxy_protocol", proxy_protocol, proxies::proxy_protocol_seeds),
    ("forwarded", forwarded, proxies::forwarded_seeds),
];
