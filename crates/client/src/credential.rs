//! Who the client says it is, attempt after attempt.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use trunkline_dialect::Secret;
use trunkline_dialect::command::Credential;

/// Gets a new ticket, or says in words why there is none.
pub(crate) type TicketSource = Arc<dyn Fn() -> TicketFuture + Send + Sync>;
pub(crate) type TicketFuture = Pin<Box<dyn Future<Output = Result<Secret, String>> + Send>>;

/// A credential that travels with the opening handshake: a header, or `?ticket=` in the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InHandshake {
    None,
    /// A ticket: good for one connect.
    Once,
    /// A token: good until it expires.
    Often,
}

/// What the next attempt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// I was here a moment ago.
    Session,
    Ticket,
    /// A ticket that the source is yet to give: asked for only when the connection stands, for a ticket lives seconds.
    NewTicket,
    /// Nothing: the handshake has said it.
    Handshake,
    /// Nobody in particular.
    Anonymous,
}

/// Every credential at hand.
pub(crate) struct Credentials {
    session: Option<Secret>,
    ticket: Option<Secret>,
    source: Option<TicketSource>,
    in_handshake: InHandshake,
    anonymous: bool,
}

impl Credentials {
    /// Without any of them the client is nobody in particular.
    pub(crate) fn new(
        ticket: Option<Secret>,
        source: Option<TicketSource>,
        in_handshake: InHandshake,
    ) -> Self {
        let anonymous = ticket.is_none() && source.is_none() && in_handshake == InHandshake::None;
        Self { session: None, ticket, source, in_handshake, anonymous }
    }

    /// The best that is left: the session first, for coming back costs nobody anything.
    pub(crate) fn plan(&self) -> Option<Plan> {
        if self.session.is_some() {
            Some(Plan::Session)
        } else if self.ticket.is_some() {
            Some(Plan::Ticket)
        } else if self.source.is_some() {
            Some(Plan::NewTicket)
        } else if self.in_handshake != InHandshake::None {
            Some(Plan::Handshake)
        } else {
            self.anonymous.then_some(Plan::Anonymous)
        }
    }

    /// What to put into `connect` under the plan; nothing where the handshake has said it.
    pub(crate) async fn fetch(&self, plan: Plan) -> Result<Option<Credential>, String> {
        Ok(match plan {
            Plan::Session => self.session.clone().map(Credential::Session),
            Plan::Ticket => self.ticket.clone().map(Credential::Ticket),
            Plan::NewTicket => match &self.source {
                Some(source) => Some(Credential::Ticket(source().await?)),
                None => None,
            },
            Plan::Handshake => None,
            Plan::Anonymous => Some(Credential::Anonymous),
        })
    }

    /// The hub has taken us, and gives us what to come back with.
    pub(crate) fn accepted(&mut self, session: Secret) {
        self.session = Some(session);
        self.ticket = None;
        if self.in_handshake == InHandshake::Once {
            self.in_handshake = InHandshake::None;
        }
    }

    /// The hub does not take what the plan said: it is not tried again. A ticket source is, for its next ticket is
    /// another one.
    pub(crate) fn refused(&mut self, plan: Plan) {
        match plan {
            Plan::Session => self.session = None,
            Plan::Ticket => self.ticket = None,
            Plan::NewTicket => {}
            Plan::Handshake => self.in_handshake = InHandshake::None,
            Plan::Anonymous => self.anonymous = false,
        }
    }

    /// The permissions of the session have run out.
    pub(crate) fn expired(&mut self) {
        self.session = None;
    }

    pub(crate) fn source(&self) -> Option<&TicketSource> {
        self.source.as_ref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("plan", &self.plan()).finish_non_exhaustive()
    }
}

/// Makes a [`TicketSource`] of whatever an application has.
pub(crate) fn ticket_source<F, T, E>(source: impl Fn() -> F + Send + Sync + 'static) -> TicketSource
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Into<String>,
    E: Display,
{
    Arc::new(move || {
        let ticket = source();
        Box::pin(async move { ticket.await.map(Secret::new).map_err(|error| error.to_string()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Option<Secret> {
        Some(Secret::new("t"))
    }

    fn source() -> Option<TicketSource> {
        Some(ticket_source(|| async { Ok::<_, String>("new") }))
    }

    #[test]
    fn the_session_comes_before_the_ticket_source_and_is_tried_once() {
        let mut credentials = Credentials::new(ticket(), source(), InHandshake::None);
        assert_eq!(credentials.plan(), Some(Plan::Ticket));
        credentials.accepted(Secret::new("s"));
        assert_eq!(credentials.plan(), Some(Plan::Session));
        credentials.refused(Plan::Session);
        assert_eq!(credentials.plan(), Some(Plan::NewTicket), "the first ticket is spent");
        credentials.refused(Plan::NewTicket);
        assert_eq!(credentials.plan(), Some(Plan::NewTicket));
    }

    #[test]
    fn a_ticket_alone_is_used_until_it_is_accepted_or_refused() {
        let mut credentials = Credentials::new(ticket(), None, InHandshake::None);
        assert_eq!(credentials.plan(), Some(Plan::Ticket));
        assert_eq!(credentials.plan(), Some(Plan::Ticket), "an attempt that said nothing has not spent it");
        credentials.refused(Plan::Ticket);
        assert_eq!(credentials.plan(), None);
    }

    #[test]
    fn a_token_in_the_handshake_serves_again_and_a_ticket_there_does_not() {
        for (kind, then) in [(InHandshake::Often, Some(Plan::Handshake)), (InHandshake::Once, None)] {
            let mut credentials = Credentials::new(None, None, kind);
            assert_eq!(credentials.plan(), Some(Plan::Handshake));
            credentials.accepted(Secret::new("s"));
            credentials.expired();
            assert_eq!(credentials.plan(), then, "{kind:?}");
        }
    }

    #[test]
    fn only_who_has_nothing_is_anonymous() {
        let mut credentials = Credentials::new(None, None, InHandshake::None);
        assert_eq!(credentials.plan(), Some(Plan::Anonymous));
        credentials.refused(Plan::Anonymous);
        assert_eq!(credentials.plan(), None);
    }

    #[test]
    fn credentials_do_not_show_themselves() {
        let credentials = Credentials::new(Some(Secret::new("hunter2")), None, InHandshake::None);
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
