//! One command that comes without a connection of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use trunkline_dialect::{Code, ErrorBody};

use super::task::{self, Finished, Place};
use crate::encoded::Encoded;
use crate::node::Node;
use crate::peer::{Event, Manner, Peer, Task};
use crate::session::{Origin, Visit};

/// Does one command, and gives the reply. `None` if there is none to what came.
///
/// # Cancel safety
/// Given up, the command may be done or not.
pub(crate) async fn visit(node: &Arc<Node>, visit: Visit, origin: Origin, command: &[u8]) -> Option<Encoded> {
    let Visit { link, grant, allowance } = visit;
    node.counts().commands.fetch_add(1, Ordering::Relaxed);
    let mut peer = Peer::visiting(node.rules.clone(), link, grant.clone(), allowance.clone());
    peer.receive_command(node.clock.now(), command, Manner::Messages);
    loop {
        if let Some(reply) = peer.poll_transmit() {
            return Some(reply);
        }
        match peer.poll_event()? {
            Event::Do(id, task) => {
                let outcome = match task {
                    Task::Subscribe { .. } | Task::Unsubscribe(_) | Task::Refresh(_) | Task::Connect(_) => {
                        Err(needs_a_link())
                    }
                    task => {
                        let place = Place {
                            node: node.clone(),
                            // Nothing is pushed to who asks once.
                            outbox: node.outbox(),
                            origin,
                            link: Some(link),
                            grant: Some(grant.clone()),
                            allowance: allowance.clone(),
                        };
                        let Finished { outcome, .. } = task::perform(place, id, task).await;
                        outcome
                    }
                };
                peer.complete(node.clock.now(), id, outcome);
            }
            Event::Used(_) => {}
            Event::End(ending) => {
                let error = ErrorBody::new(ending.disconnect.code, ending.disconnect.message);
                return Some(Encoded::from(&trunkline_dialect::Push::Error(error)));
            }
        }
    }
}

fn needs_a_link() -> ErrorBody {
    let why = "connect, refresh, subscribe and unsubscribe are said on a connection: an event stream's URL names its channels";
    ErrorBody::new(Code::BadRequest, why)
}
