//! Ways to a stream: TCP and unix sockets, and the HTTP/1.1 head that comes first on them.

pub mod http1;
pub mod tcp;
