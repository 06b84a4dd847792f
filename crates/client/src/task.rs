//! THE task of a client: connection after connection, until it is told to stop.
//!
//! One owner, no locks: the session, the credentials and the connection belong to this task; the application holds the
//! ends of bounded queues. Each turn of [`Task::serve`] does one thing to the session and then drains it.

use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use trunkline_dialect::command::{ClientInfo, Connect, Refresh};
use trunkline_dialect::{Connected, Expiring, Secret};
use trunkline_net::CloseCode;

use crate::credential::{Credentials, Plan};
use crate::dial::Dial;
use crate::event::{ConnectionEvent, Ending};
use crate::link::{End, Incident, Link, Then};
use crate::session::{Key, Request, Session, Signal, Wait, Woken, room};
use crate::{Error, Limits, pace};

/// Where the task tells what becomes of it.
pub(crate) struct Outlets {
    /// Whether the first connection came about.
    pub(crate) first: Option<oneshot::Sender<Result<(), Error>>>,
    pub(crate) events: broadcast::Sender<ConnectionEvent>,
    pub(crate) ended: watch::Sender<Option<Ending>>,
}

pub(crate) struct Task {
    dial: Dial,
    credentials: Credentials,
    software: Option<ClientInfo>,
    limits: Limits,
    requests: mpsc::Receiver<Request>,
    /// True, or without a sender, when it is time to end.
    stop: watch::Receiver<bool>,
    outlets: Outlets,
    session: Session,
    /// What the session waits for. At most three a subscription, and one ticket.
    waits: JoinSet<Wake>,
    /// Whether one of them is a ticket: however often the hub says that the credential runs out, one is enough.
    refreshing: bool,
}

enum Wake {
    Session(Woken),
    /// A ticket for `refresh`.
    Ticket(Result<Secret, String>),
}

impl Task {
    pub(crate) fn new(
        dial: Dial,
        credentials: Credentials,
        software: Option<ClientInfo>,
        limits: Limits,
        requests: mpsc::Receiver<Request>,
        stop: watch::Receiver<bool>,
        outlets: Outlets,
    ) -> Self {
        let session = Session::new(limits.in_flight.max(1));
        let waits = JoinSet::new();
        Self {
            dial,
            credentials,
            software,
            limits,
            requests,
            stop,
            outlets,
            session,
            waits,
            refreshing: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        let ending = loop {
            self.tell(ConnectionEvent::Connecting { attempt: failures });
            let Some(plan) = self.credentials.plan() else {
                break Ending::new(4401, "no credential is left to come back with");
            };
            let (end, held) = self.attempt(plan).await;
            self.session.cut();
            let connected = held.is_some();
            if self.outlets.first.is_some() || end.then == Then::Never {
                break end.ending;
            }
            if held.is_some_and(|held| held >= self.limits.stable) {
                failures = 0;
            }
            let reconnect_in = match end.then {
                Then::WithNewCredential if connected => {
                    self.credentials.expired();
                    pace::before_attempt(failures)
                }
                Then::WithNewCredential => {
                    self.credentials.refused(plan);
                    // A session that is no longer known is no sign of trouble, and is not tried twice.
                    if plan == Plan::Session { Duration::ZERO } else { pace::before_attempt(failures) }
                }
                Then::Again(at_least) => pace::before_attempt(failures).max(at_least),
                Then::Never => break end.ending,
            };
            if self.credentials.plan().is_none() {
                break end.ending;
            }
            failures = failures.saturating_add(1);
            self.tell(ConnectionEvent::Disconnected { ending: end.ending, reconnect_in });
            if self.pause(reconnect_in).await.is_stop() {
                break closed_by_us();
            }
        };
        self.end(ending);
    }

    /// One connection, from dialling to its end; and for how long the hub had taken us, if it had.
    async fn attempt(&mut self, plan: Plan) -> (End, Option<Duration>) {
        let deadline = Instant::now() + self.limits.attempt;
        let opened = tokio::select! {
            opened = timeout_at(deadline, open(&mut self.dial, &self.credentials, plan)) => opened,
            () = stopped(&mut self.stop) => return (stopped_by_us(), None),
        };
        let (socket, credential) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(end)) => return (end, None),
            Err(_) => return (End::broken("the attempt took too long"), None),
        };
        if let Some(credential) = credential {
            self.session.connect(Connect { credential, client: self.software.clone() });
        }
        let mut link = Link::new(socket, deadline);
        let (end, goodbye) = self.serve(&mut link).await;
        let held = link.connected_at.map(|since| since.elapsed());
        if let Some((code, reason)) = goodbye {
            link.goodbye(code, reason).await;
        }
        (end, held)
    }

    /// Serves one link until it ends, or should be ended with a goodbye.
    async fn serve(&mut self, link: &mut Link) -> (End, Option<Goodbye>) {
        loop {
            while let Some(wait) = self.session.poll_wait() {
                self.waits.spawn(async move { Wake::Session(met(wait).await) });
            }
            if link.wants_message()
                && let Some(message) = self.session.poll_transmit()
            {
                link.load(message);
            }
            if let Some(back_after) = link.leaves_now(self.session.is_idle()) {
                let ending = Ending::new(CloseCode::GOING_AWAY.get(), "left as the hub asked");
                return (End { ending, then: Then::Again(back_after) }, Some((CloseCode::GOING_AWAY, "")));
            }
            tokio::select! {
                incident = link.next() => match incident {
                    Incident::Nothing => {}
                    Incident::Ended(end) => return (end, None),
                    Incident::Message(message) => {
                        if let Some(end) = self.receive(link, message.as_bytes()) {
                            return end;
                        }
                    }
                },
                request = self.requests.recv(), if link.wants_requests() && self.session.wants_requests() => {
                    match request {
                        Some(request) => self.session.request(request),
                        None => return stop_serving(link),
                    }
                }
                Some(wake) = self.waits.join_next() => self.wake(wake),
                () = stopped(&mut self.stop) => return stop_serving(link),
            }
        }
    }

    /// One message of the hub. Gives the end, if the link is of no more use.
    fn receive(&mut self, link: &mut Link, message: &[u8]) -> Option<(End, Option<Goodbye>)> {
        match self.session.receive(message) {
            Ok(None) => {}
            Ok(Some(Signal::Connected(connected))) => self.connected(link, connected),
            Ok(Some(Signal::ConnectRefused(error))) => {
                return Some((End::refused(error), Some((CloseCode::NORMAL, ""))));
            }
            Ok(Some(Signal::Expiring(expiring))) => self.expiring(expiring),
            Ok(Some(Signal::GoAway(go_away))) => {
                link.go_away(&go_away);
                self.dial.go(go_away.to);
            }
            Ok(Some(Signal::Disconnect(disconnect))) => link.disconnect(disconnect),
            Err(bad) => {
                tracing::warn!(%bad, "the hub does not speak our dialect");
                let goodbye = (CloseCode::INVALID_DATA, "not a message of the dialect");
                return Some((End::broken(bad.to_string()), Some(goodbye)));
            }
        }
        None
    }

    fn connected(&mut self, link: &mut Link, connected: Connected) {
        link.connected(&connected.limits);
        self.credentials.accepted(connected.session.clone());
        self.tell(ConnectionEvent::Connected { session: connected.into() });
        if let Some(first) = self.outlets.first.take() {
            // Whoever waited may have gone; then the client's handle has, and the task is stopped by that.
            let _ = first.send(Ok(()));
        }
    }

    fn expiring(&mut self, expiring: Expiring) {
        let Some(source) = self.credentials.source().cloned() else {
            let within = Duration::from_millis(expiring.in_ms);
            return self.tell(ConnectionEvent::Expiring { within });
        };
        if !std::mem::replace(&mut self.refreshing, true) {
            self.waits.spawn(async move { Wake::Ticket(source().await) });
        }
    }

    fn wake(&mut self, wake: Result<Wake, JoinError>) {
        let ticket = match wake {
            Ok(Wake::Session(woken)) => return self.session.woken(woken),
            Ok(Wake::Ticket(ticket)) => ticket,
            Err(error) => Err(format!("the ticket source panicked: {error}")),
        };
        self.refreshing = false;
        match ticket {
            Ok(ticket) => self.session.refresh(Refresh::Ticket(ticket)),
            // The connection ends with its credential then, and the next attempt asks the source again.
            Err(error) => tracing::warn!(%error, "no ticket to refresh with"),
        }
    }

    /// Waits until the next attempt. Requests stay in their queue meanwhile.
    async fn pause(&mut self, duration: Duration) -> Pause {
        let over = sleep(duration);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Pause::Over,
                Some(wake) = self.waits.join_next() => self.wake(wake),
                () = stopped(&mut self.stop) => return Pause::Stop,
            }
        }
    }

    fn tell(&self, event: ConnectionEvent) {
        tracing::debug!(?event);
        // Nobody may be listening.
        let _ = self.outlets.events.send(event);
    }

    /// The last words, before the queues go and whoever waits asks why.
    fn end(mut self, ending: Ending) {
        self.outlets.ended.send_replace(Some(ending.clone()));
        if let Some(first) = self.outlets.first.take() {
            // Whoever waited may have gone: then nobody needs to know.
            let _ = first.send(Err(Error::Connect(ending.clone())));
        }
        self.tell(ConnectionEvent::Closed { ending });
    }
}

/// A Close frame that we send before we let a connection go.
type Goodbye = (CloseCode, &'static str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pause {
    Over,
    Stop,
}

impl Pause {
    fn is_stop(self) -> bool {
        self == Self::Stop
    }
}

type Opened =
    (trunkline_net::WebSocket<trunkline_net::Dialled>, Option<trunkline_dialect::command::Credential>);

/// Dials, and only then gets what to say: a ticket lives seconds.
async fn open(dial: &mut Dial, credentials: &Credentials, plan: Plan) -> Result<Opened, End> {
    let socket = dial.connect(plan).await.map_err(|error| End::not_connected(&error))?;
    let credential = credentials.fetch(plan).await;
    Ok((socket, credential.map_err(|error| End::broken(format!("no ticket: {error}")))?))
}

async fn met(wait: Wait) -> Woken {
    match wait {
        Wait::Dropped(key, alive) => {
            // It never carries a value: its end is the message.
            let _ = alive.await;
            Woken::Dropped(key)
        }
        Wait::Room(key, events) => {
            // An error says that the subscription was dropped; then its session knows, or will in a moment.
            let _ = events.reserve_many(room(&events)).await.map(drop);
            Woken::Room(key)
        }
        Wait::Retry(key) => retry(key).await,
    }
}

/// Up to a second: enough to spread the subscriptions of many clients, too short to be noticed.
async fn retry(key: Key) -> Woken {
    sleep(pace::before_attempt(1)).await;
    Woken::Retry(key)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the last handle was dropped.
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
}

/// Who was never taken has nobody to say goodbye to, and shall not wait for an answer.
fn stop_serving(link: &Link) -> (End, Option<Goodbye>) {
    (stopped_by_us(), link.connected_at.map(|_| (CloseCode::NORMAL, "")))
}

fn stopped_by_us() -> End {
    let Ending { code, reason } = closed_by_us();
    End::never(code, reason)
}

fn closed_by_us() -> Ending {
    Ending::new(CloseCode::NORMAL.get(), "closed by this client")
}
