//! What a raw stream, or a path of its own, can be opened to.

pub(crate) mod probe;
