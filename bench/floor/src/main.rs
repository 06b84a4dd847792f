//! What the system calls alone cost. Two servers of one thread around one epoll instance:
//!
//! ```text
//! trunkline-bench-floor echo ADDRESS     WebSocket echo without any check, limit, timer or buffer of a connection's own
//! trunkline-bench-floor sends ADDRESS    whatever comes on the first connection goes to all others, one send each
//! ```
//!
//! Nothing here is to be used for anything else: a client that breaks the protocol gets nonsense.

mod echo;
mod handshake;
mod sends;
mod unmask;

use std::error::Error;
use std::net::TcpListener;

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address] = &arguments[..] else {
        return Err("usage: trunkline-bench-floor echo|sends ADDRESS".into());
    };
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    match mode.as_str() {
        "echo" => echo::run(&listener),
        "sends" => sends::run(&listener),
        _ => Err("the mode is echo or sends".into()),
    }
}
