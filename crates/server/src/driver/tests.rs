//! Whole clients over the memory broker, in virtual time, without a socket.

use std::future::poll_fn;
use std::net::IpAddr;

use serde_json::{Value, json};
use trunkline_dialect::command::Credential;
use trunkline_dialect::{Json, Secret};

use super::*;
use crate::address::ClientAddress;
use crate::clock::Clock;
use crate::limits::Limits;
use crate::node::NodeSettings;
use crate::outbox::Bounds;
use crate::policy::{Namespace, Policy};
use crate::session::{Door, LinkId};

mod presence;
mod recovery;
mod takeover;
mod ways_in;

/// A node whose housekeeping runs, in virtual time.
struct World {
    node: Arc<Node>,
    housekeeping: tokio::task::JoinHandle<()>,
}

/// A client, as its user sees it.
struct User {
    client: Client<Origin>,
    next_id: u64,
}

/// What a door is given, one by one.
#[derive(Debug)]
enum Next {
    Message(Encoded),
    Close(Ending),
}

impl Whence for Origin {
    fn origin(&self) -> Origin {
        *self
    }
}

impl Client<Origin> {
    async fn next(&mut self) -> Next {
        match poll_fn(|context| self.poll_next(context, 0)).await {
            Out::Messages { batch, .. } => match &batch[..] {
                [message] => Next::Message(message.clone()),
                more => panic!("there is room for one: {more:?}"),
            },
            Out::Close(ending) => Next::Close(ending),
            Out::Cut => panic!("cut"),
        }
    }

    /// Waits for the end without room for anything else.
    async fn ended(&mut self) {
        let cut = poll_fn(|context| self.poll_ended(context)).await;
        assert!(!cut);
    }
}

impl World {
    fn new() -> World {
        World::with(Limits::default(), [("room", Namespace::default())])
    }

    fn with<const N: usize>(limits: Limits, namespaces: [(&str, Namespace); N]) -> World {
        World::of(Node::new(settings(limits, namespaces), Clock::starting_at(1_000_000)))
    }

    fn of(node: Arc<Node>) -> World {
        let housekeeping = tokio::spawn(node.clone().maintain());
        World { node, housekeeping }
    }

    async fn ticket(&self, request: Value) -> Secret {
        let request = serde_json::from_value(request).expect("a ticket request");
        self.node.mint(request).await.expect("minted").ticket
    }

    fn arrive(&self, ip: &str, credential: Option<Credential>) -> User {
        let ip: IpAddr = ip.parse().expect("an address");
        let origin = Origin { door: Door::WebSocket, address: ClientAddress::socket(ip) };
        User { client: Client::open(&self.node, origin, credential), next_id: 1 }
    }

    /// A client that has connected with a ticket of its own, and the session token it was given.
    async fn connect(&self, name: &str) -> (User, Secret) {
        let ticket = self.ticket(json!({"user": name})).await;
        let mut user = self.arrive("192.0.2.1", None);
        let ok = user.ask("connect", json!({"ticket": ticket})).await;
        assert_eq!(ok["user"], name);
        (user, token(&ok))
    }

    async fn publish(&self, channel: &str, data: Value) -> u64 {
        let channel = ChannelName::new(channel).expect("a channel name");
        let data = Json::of(&data).expect("JSON");
        self.node.publish(&channel, data, None).await.expect("published").offset
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.housekeeping.abort();
    }
}

impl User {
    fn say(&mut self, verb: &str, body: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        assert!(self.client.wants_input(), "it is listened to");
        self.client.receive(json!({"id": id, verb: body}).to_string().as_bytes());
        id
    }

    /// The next message, which there must be within a second.
    async fn hear(&mut self) -> Value {
        match tokio::time::timeout(Duration::from_secs(1), self.client.next()).await {
            Ok(Next::Message(message)) => serde_json::from_str(message.json()).expect("JSON"),
            Ok(Next::Close(ending)) => panic!("closed: {ending:?}"),
            Err(_) => panic!("silence"),
        }
    }

    /// Nothing comes within a second.
    async fn hear_nothing(&mut self) {
        if let Ok(out) = tokio::time::timeout(Duration::from_secs(1), self.client.next()).await {
            panic!("{out:?}");
        }
    }

    async fn answer(&mut self, verb: &str, body: Value) -> Value {
        let id = self.say(verb, body);
        let answer = self.hear().await;
        assert_eq!(answer["id"], id, "the answer and no push before it: {answer}");
        answer
    }

    async fn ask(&mut self, verb: &str, body: Value) -> Value {
        let mut answer = self.answer(verb, body).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["ok"].take()
    }

    async fn refused(&mut self, verb: &str, body: Value) -> String {
        let answer = self.answer(verb, body).await;
        answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The disconnect push and the close code that end the connection.
    async fn hear_end(&mut self) -> (Value, u16) {
        let mut message = self.hear().await;
        let Next::Close(ending) = self.client.next().await else { panic!("a close comes after {message}") };
        (message["disconnect"].take(), ending.close_code)
    }
}

fn settings<const N: usize>(limits: Limits, namespaces: [(&str, Namespace); N]) -> NodeSettings {
    let policy = Policy::new(namespaces.map(|(name, namespace)| (name.to_owned(), namespace)));
    NodeSettings { name: "n1".to_owned(), limits, policy, session_key: None }
}

fn token(connected: &Value) -> Secret {
    Secret::new(connected["session"].as_str().expect("a session token"))
}

fn offsets(publications: &Value) -> Vec<u64> {
    let publications = publications.as_array().expect("publications");
    publications.iter().filter_map(|publication| publication["offset"].as_u64()).collect()
}

fn small_outbox() -> Limits {
    Limits { outbox: Bounds { high: 8_000, low: 2_000 }, ..Limits::default() }
}
