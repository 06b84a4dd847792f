//! `ping`: are you there?

use serde::{Deserialize, Serialize};

use crate::Limits;
use crate::error::Rule;

/// Asks whether the hub, not only its socket, is there. Answered with [`Pong`](crate::Pong).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {}

impl Ping {
    pub(super) fn check(&self, _: &Limits) -> Result<(), Rule> {
        Ok(())
    }
}
