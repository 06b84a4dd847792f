//! One connection to the hub: how it is used, and what its end means.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use trunkline_dialect::{Code, Disconnect, ErrorBody, GoAway, Reconnect, SessionLimits};
use trunkline_net::{CloseCode, Dialled, Message, Receiver, Sender, Utf8Bytes, WebSocket};

use crate::event::{BROKEN, Ending};
use crate::pace::{self, Allowance};
use crate::session::Transmit;

/// How long our goodbye may take, beyond what the connection itself allows (10 s): the network may be gone.
const GOODBYE: Duration = Duration::from_secs(10);

/// How long the hub may take to close after it has said that it does (5 s).
const FAREWELL: Duration = Duration::from_secs(5);

/// What to do after a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Again, not before this has passed.
    Again(Duration),
    /// Again, but not with what we said who we are.
    WithNewCredential,
    /// The hub does not want us back, or the application has closed the client.
    Never,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) ending: Ending,
    pub(crate) then: Then,
}

impl End {
    /// Without a word from the hub.
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self { ending: Ending::new(BROKEN, reason), then: Then::Again(Duration::ZERO) }
    }

    pub(crate) fn never(code: u16, reason: impl Into<String>) -> Self {
        Self { ending: Ending::new(code, reason), then: Then::Never }
    }

    /// The connection did not come about.
    pub(crate) fn not_connected(error: &trunkline_net::Error) -> Self {
        let end = Self::broken(error.to_string());
        match error {
            trunkline_net::Error::Handshake(handshake)
                if handshake.response.as_ref().is_some_and(|response| response.status().as_u16() == 401) =>
            {
                Self { then: Then::WithNewCredential, ..end }
            }
            _ => end,
        }
    }

    /// The hub refused `connect`.
    pub(crate) fn refused(error: ErrorBody) -> Self {
        Self { ending: Ending::new(error.code.close_code(), error.message), then: advice(error.code, None) }
    }

    fn disconnected(disconnect: Disconnect) -> Self {
        let Disconnect { code, message, reconnect } = disconnect;
        Self { ending: Ending::new(code.close_code(), message), then: advice(code, Some(reconnect)) }
    }

    /// By a Close frame, or less.
    fn closed(code: u16, reason: String) -> Self {
        let then = Code::from_close_code(code).map_or(Then::Again(Duration::ZERO), |code| advice(code, None));
        Self { ending: Ending { code, reason }, then }
    }
}

/// What the table of codes advises, unless the hub knows better.
fn advice(code: Code, reconnect: Option<bool>) -> Then {
    match (code.reconnect(), reconnect) {
        (_, Some(false)) | (Reconnect::No, None) => Then::Never,
        (Reconnect::WithNewCredential, _) => Then::WithNewCredential,
        _ => Then::Again(Duration::ZERO),
    }
}

/// When to go, because the hub asked us to.
#[derive(Debug)]
struct Leaving {
    /// From here on as soon as nothing is in flight.
    from: Instant,
    /// Here in any case.
    until: Instant,
    back_after: Duration,
}

/// A connection in use.
pub(crate) struct Link {
    sender: Sender,
    receiver: Receiver<Dialled>,
    /// Taken out of the session, and not yet taken by the connection.
    outgoing: Option<Outgoing>,
    allowance: Allowance,
    /// The connection takes nothing more; it will say why.
    deaf: bool,
    /// When to give up waiting for the hub: for its `connected`, or for its end.
    deadline: Option<Instant>,
    leaving: Option<Leaving>,
    /// The hub's last word.
    last_word: Option<Disconnect>,
    pub(crate) connected_at: Option<Instant>,
}

/// A message on its way into the connection.
#[derive(Clone, Default)]
struct Outgoing {
    text: Utf8Bytes,
    secret: bool,
}

/// Credentials go uncompressed, whatever the connection agreed on: what compresses beside them tells of them.
async fn send(sender: &Sender, message: Outgoing) -> Result<(), trunkline_net::Ended> {
    match message.secret {
        true => sender.send_uncompressed(message.text).await,
        false => sender.send(message.text).await,
    }
}

/// What happened on a link.
pub(crate) enum Incident {
    Message(Message),
    Ended(End),
    /// It can go on: something was sent, or a moment has come.
    Nothing,
}

impl Link {
    pub(crate) fn new(socket: WebSocket<Dialled>, deadline: Instant) -> Self {
        let (sender, receiver) = socket.split();
        Self {
            sender,
            receiver,
            outgoing: None,
            allowance: Allowance::new(&SessionLimits::default(), Instant::now()),
            deaf: false,
            deadline: Some(deadline),
            leaving: None,
            last_word: None,
            connected_at: None,
        }
    }

    /// Whether what the session wants to send can be taken out of it.
    pub(crate) fn wants_message(&self) -> bool {
        self.outgoing.is_none() && !self.deaf && self.allowance.next(Instant::now()).is_none()
    }

    /// Takes a message for sending; to be called when it [wants](Self::wants_message) one.
    pub(crate) fn load(&mut self, message: Transmit) {
        self.allowance.take(Instant::now());
        self.outgoing = Some(Outgoing { text: message.text.into(), secret: message.secret });
    }

    /// Whether new commands may begin.
    pub(crate) fn wants_requests(&self) -> bool {
        let late = self.leaving.as_ref().is_some_and(|leaving| leaving.from <= Instant::now());
        self.wants_message() && self.last_word.is_none() && !late
    }

    pub(crate) fn connected(&mut self, limits: &SessionLimits) {
        let now = Instant::now();
        self.deadline = None;
        self.connected_at = Some(now);
        self.allowance = Allowance::new(limits, now);
    }

    /// The hub says that it ends the connection.
    pub(crate) fn disconnect(&mut self, disconnect: Disconnect) {
        self.deadline = Some(Instant::now() + FAREWELL);
        self.last_word = Some(disconnect);
    }

    /// The hub wants us to leave, in our own time.
    pub(crate) fn go_away(&mut self, go_away: &GoAway) {
        let now = Instant::now();
        self.leaving = Some(Leaving {
            from: now + pace::leaving(go_away.leave_ms),
            until: now + pace::limited(go_away.leave_ms),
            back_after: pace::returning(go_away.return_ms),
        });
    }

    /// If it is time to leave: how long to stay away.
    pub(crate) fn leaves_now(&self, session_is_idle: bool) -> Option<Duration> {
        let idle = session_is_idle && self.outgoing.is_none();
        let Leaving { from, until, back_after } = self.leaving.as_ref()?;
        let now = Instant::now();
        (*until <= now || *from <= now && idle).then_some(*back_after)
    }

    /// Drives the connection until something happens.
    ///
    /// Cancel-safe: a message is taken from the connection, or from `outgoing`, only when this returns.
    pub(crate) async fn next(&mut self) -> Incident {
        let moment = self.next_moment();
        let sending = self.outgoing.is_some() && !self.deaf;
        tokio::select! {
            received = self.receiver.recv() => match received {
                Some(Ok(message)) => Incident::Message(message),
                Some(Err(error)) => Incident::Ended(self.ended(Some(error))),
                None => Incident::Ended(self.ended(None)),
            },
            sent = send(&self.sender, self.outgoing.clone().unwrap_or_default()), if sending => {
                match sent {
                    Ok(()) => self.outgoing = None,
                    Err(trunkline_net::Ended) => self.deaf = true,
                }
                Incident::Nothing
            }
            () = tokio::time::sleep_until(moment.unwrap_or_else(Instant::now)), if moment.is_some() => {
                match self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    true => Incident::Ended(self.gave_up()),
                    false => Incident::Nothing,
                }
            }
        }
    }

    /// Closes the connection from our side.
    pub(crate) async fn goodbye(mut self, code: CloseCode, reason: &str) {
        // Whether the hub heard it does not matter any more.
        let _ = self.sender.close(code, reason);
        let drain = async { while self.receiver.recv().await.is_some() {} };
        let _ = timeout(GOODBYE, drain).await;
    }

    fn next_moment(&self) -> Option<Instant> {
        let now = Instant::now();
        let leaving = self
            .leaving
            .as_ref()
            .map(|leaving| if leaving.from > now { leaving.from } else { leaving.until });
        [self.deadline, leaving, self.allowance.next(now)].into_iter().flatten().min()
    }

    fn ended(&mut self, error: Option<trunkline_net::Error>) -> End {
        let (code, reason) = match self.receiver.closed() {
            Some(closed) => (closed.code, closed.reason.clone()),
            None => (BROKEN, String::new()),
        };
        self.judge(End::closed(code, error.map_or(reason, |error| error.to_string())))
    }

    fn gave_up(&mut self) -> End {
        self.judge(End::broken("the hub did not answer in time"))
    }

    /// What the hub has said before counts for more than how the connection ended.
    fn judge(&mut self, end: End) -> End {
        let mut end = self.last_word.take().map_or(end, End::disconnected);
        if let (Then::Again(_), Some(Leaving { back_after, .. })) = (&end.then, &self.leaving) {
            end.then = Then::Again(*back_after);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes_says_what_to_do_and_the_hub_may_overrule_it() {
        let again = Then::Again(Duration::ZERO);
        for &code in Code::ALL {
            let expected = match code.reconnect() {
                Reconnect::Yes => again.clone(),
                Reconnect::WithNewCredential => Then::WithNewCredential,
                Reconnect::No => Then::Never,
            };
            assert_eq!(End::closed(code.close_code(), String::new()).then, expected, "{code}");
            assert_eq!(End::refused(ErrorBody::new(code, "")).then, expected, "{code}");
            assert_eq!(End::disconnected(Disconnect::new(code, "")).then, expected, "{code}");
            let kick = Disconnect { reconnect: false, ..Disconnect::new(code, "") };
            assert_eq!(End::disconnected(kick).then, Then::Never, "{code}");
            let stay = Disconnect { reconnect: true, ..Disconnect::new(code, "") };
            assert_ne!(End::disconnected(stay).then, Then::Never, "{code}");
        }
    }

    #[test]
    fn after_any_other_close_code_the_client_comes_back() {
        for code in [1000, 1001, 1006, 1009, 1011, 1012, 1013, 3000, 4000, 4999] {
            assert_eq!(End::closed(code, String::new()).then, Then::Again(Duration::ZERO), "{code}");
        }
    }
}
