//! One file a command: what it does with its arguments, and what it prints.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod connect;
pub(crate) mod echo;
pub(crate) mod probe;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod subscribe;
pub(crate) mod ticket;
