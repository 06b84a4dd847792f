//! One file a command: what it does with its arguments, and what it prints.

pub(crate) mod connect;
pub(crate) mod echo;
pub(crate) mod ticket;
