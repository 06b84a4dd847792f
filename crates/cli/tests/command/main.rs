//! The real binary, as people and scripts use it: what it prints, where, and what it ends with.

mod bench;
mod connect;
mod echo;
mod fault;
mod hub;
mod probe;
mod serve;
mod serve_tls;
mod support;
#[cfg(unix)]
mod terminal;
mod usage;
