//! The way into the hub for `publish` and `subscribe`, and what is said on stderr about the connection.

use std::sync::Arc;

use tokio::task::JoinHandle;
use trunkline_client::dialect::{Code, Reconnect};
use trunkline_client::{Builder, Client, ConnectionEvent, Error};

use crate::api::{Api, TicketRequest};
use crate::args;
use crate::exit::Failure;
use crate::output;
use crate::signals::Signals;
use crate::{url, way};

/// A client of the hub, whose comings and goings are told on stderr.
pub(crate) struct Hub {
    pub(crate) client: Client,
    /// Whether a ticket given by hand is all there was to come in with.
    ticket_alone: bool,
    notices: JoinHandle<()>,
}

impl Hub {
    /// Connects with a ticket, with tickets minted as needed, or as nobody in particular.
    pub(crate) async fn connect(args: args::Hub) -> Result<Self, Failure> {
        let url = url::websocket(&args.url).map_err(|why| Failure::usage(format_args!("--url: {why}")))?;
        if url.userinfo().is_some() {
            let why = "--url: the URL has a user name, which says nothing to the hub; give --ticket, or --user and the \
                       API key";
            return Err(Failure::usage(why));
        }
        let ticket_alone = args.ticket.is_some();
        let anonymous = !ticket_alone && args.user.is_none();
        let mut builder = Builder::at(url)
            .software(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .connector(way::connector(&args.api.way)?);
        if let Some(ticket) = args.ticket {
            builder = builder.ticket(ticket);
        } else if let Some(user) = args.user {
            let source = Arc::new((Api::new(&args.api)?, TicketRequest::plain(user)?));
            builder = builder.ticket_source(move || {
                let source = Arc::clone(&source);
                async move {
                    let (api, request) = &*source;
                    api.mint(request).await
                }
            });
        }
        let client = builder.connect().await.map_err(|error| match error {
            Error::Connect(ending) if anonymous && ending.code == Code::Unauthenticated.close_code() => {
                let ending = output::for_terminal(&ending.to_string());
                Failure::unclean(format_args!("{ending}; give --ticket, or --user and the API key"))
            }
            error => failure(error),
        })?;
        let notices = tokio::spawn(tell(client.events()));
        Ok(Self { client, ticket_alone, notices })
    }

    /// Why there is nothing left to wait for, when that is so: the client has ended, or lost all that it was for.
    pub(crate) async fn nothing_left(&self, what: &str) -> Failure {
        // A client that has ended says how it did; one that has not, ends here, in a clean way.
        let ending = self.client.close().await;
        let wants_credential = Code::from_close_code(ending.code)
            .is_some_and(|code| code.reconnect() == Reconnect::WithNewCredential);
        if self.ticket_alone && wants_credential {
            return Failure::unclean(format_args!(
                "{what}: a ticket is good once; with --user and the API key, a new one could be minted"
            ));
        }
        Failure::unclean(what)
    }

    /// Says goodbye, unless a signal says that it takes too long.
    pub(crate) async fn close(self, signals: &mut Signals) {
        // That we go is no news.
        self.notices.abort();
        tokio::select! {
            _ = self.client.close() => {}
            () = signals.next() => {}
        }
    }
}

/// What went wrong with the hub, for the exit code and for people.
pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::Misuse(_) | Error::Channel(_) => Failure::usage(error),
        error => Failure::unclean(output::for_terminal(&error.to_string())),
    }
}

async fn tell(mut events: trunkline_client::ConnectionEvents) {
    let mut cut = false;
    while let Some(event) = events.next().await {
        match event {
            ConnectionEvent::Disconnected { ending, reconnect_in } => {
                cut = true;
                let (ending, pause) = (ending.to_string(), reconnect_in.as_secs_f64());
                eprintln!("no connection: {}; trying again in {pause:.1} s", output::for_terminal(&ending));
            }
            ConnectionEvent::Connected { .. } if cut => {
                cut = false;
                eprintln!("connected again");
            }
            ConnectionEvent::Expiring { within } => {
                eprintln!("the ticket's permissions end in {:.0} s", within.as_secs_f64());
            }
            ConnectionEvent::Closed { ending } => {
                eprintln!("closed: {}", output::for_terminal(&ending.to_string()));
            }
            _ => {}
        }
    }
}
