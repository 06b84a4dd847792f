//! Saying something in a session beside its link: what one request does with its token.

use std::sync::Arc;

use super::{LinkId, SessionId, SessionRefused, Sessions};
use crate::address::ClientAddress;
use crate::cells::lock;
use crate::clock::Now;
use crate::rate::Allowance;
use crate::ticket::Grant;

/// What a token allows one request, without a link of its own.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// The session's link, or the last it had.
    pub link: LinkId,
    /// What it may.
    pub grant: Arc<Grant>,
    /// What it may still do, counted together with what its links do.
    pub allowance: Arc<Allowance>,
}

impl Visit {
    /// Of one who has a ticket and no session: what it allows, once.
    pub(crate) fn once(now: Now, grant: Grant) -> Visit {
        Visit {
            link: LinkId { session: SessionId::random(), serial: 0 },
            grant: Arc::new(grant),
            allowance: Arc::new(Allowance::new(now.instant)),
        }
    }

    /// Of anybody.
    pub(crate) fn anonymous(now: Now) -> Visit {
        Visit::once(now, Grant::anonymous())
    }
}

impl Sessions {
    /// Whose token this is. The session stays as it is, but for what was learnt: that the client has this token.
    ///
    /// # Errors
    /// [`SessionRefused`] says why not, as when it would come back by it.
    pub(crate) fn visit(
        &self,
        now: Now,
        token: &str,
        address: &ClientAddress,
    ) -> Result<Visit, SessionRefused> {
        let claims = self.sealer.open(token).ok_or(SessionRefused::Forged)?;
        let mut inner = lock(&self.inner);
        inner.sweep(now.instant);
        let session = inner.sessions.get_mut(&claims.link.session).ok_or(SessionRefused::Gone)?;
        session.check(now, &claims, address)?;
        session.confirmed = claims.link.serial;
        let link = LinkId { serial: session.serial, ..claims.link };
        Ok(Visit { link, grant: session.grant.clone(), allowance: session.allowance.clone() })
    }
}
