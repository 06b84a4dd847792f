//! The measurements, one file each. Each opens connections of its own, so that none spoils another's.

pub(crate) mod bulk;
pub(crate) mod delivery;
pub(crate) mod endings;
pub(crate) mod frames;
pub(crate) mod headers;
pub(crate) mod idle;
pub(crate) mod latency;
pub(crate) mod lookalike;
pub(crate) mod parallel;
pub(crate) mod ports;
pub(crate) mod reach;
pub(crate) mod rules;
pub(crate) mod ways;
