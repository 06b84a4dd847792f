//! [`ResponseReader`]: the final response of a server, whatever interim ones come before it.

use http::{Response, StatusCode};

use super::super::rejected::{Rejected, Rule};
use super::{HeadLimits, HeadReader};

/// Interim responses that are stepped over before the final one. A server has use for one or two: `100 Continue`
/// and `103 Early Hints`.
pub const INTERIM_RESPONSES: usize = 8;

/// Reads the head of a server's final response.
///
/// "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the client does
/// not expect one" (RFC 9110 §15.2). 101 is final in this sense: after it, the stream is no longer HTTP.
///
/// All heads together have at most [`HeadLimits::bytes`]: interim responses do not buy a server more of our memory or
/// time.
#[derive(Clone, Debug)]
pub struct ResponseReader {
    limits: HeadLimits,
    head: HeadReader,
    /// Bytes and heads that were interim, and are gone.
    skipped: usize,
    interim: usize,
    last: Option<Response<()>>,
}

impl ResponseReader {
    /// A reader of one final response within `limits`.
    pub fn new(limits: impl Into<HeadLimits>) -> Self {
        let limits = limits.into();
        Self { limits, head: HeadReader::new(limits), skipped: 0, interim: 0, last: None }
    }

    /// Takes what arrived next, as [`HeadReader::receive`] does: `Some(n)` when the final head is complete, which
    /// ended with the `n`th byte of this `input`. What follows it is body or, after a 101, frames.
    ///
    /// # Errors
    ///
    /// The first rule that is broken. The reader is of no use after that.
    pub fn receive(&mut self, input: &[u8]) -> Result<Option<usize>, Rejected> {
        let mut used = 0;
        while self.last.is_none() {
            let Some(len) = self.head.receive(&input[used..])? else { return Ok(None) };
            used += len;
            self.skipped += self.head.bytes().len();
            let rest = HeadLimits { bytes: self.limits.bytes.saturating_sub(self.skipped), ..self.limits };
            let response = std::mem::replace(&mut self.head, HeadReader::new(rest)).response()?;
            if is_final(response.status()) {
                self.last = Some(response);
            } else {
                self.count_interim()?;
            }
        }
        Ok(Some(used))
    }

    /// The final response, once [`receive`](Self::receive) said that it is complete.
    ///
    /// # Errors
    ///
    /// [`Rule::HeadIncomplete`] if it is not.
    pub fn response(self) -> Result<Response<()>, Rejected> {
        match self.last {
            Some(response) => Ok(response),
            None => self.head.response(),
        }
    }

    fn count_interim(&mut self) -> Result<(), Rejected> {
        self.interim += 1;
        if self.interim > INTERIM_RESPONSES {
            return Err(Rejected::new(Rule::InterimResponses).limit(INTERIM_RESPONSES).got("more"));
        }
        Ok(())
    }
}

fn is_final(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || !status.is_informational()
}
