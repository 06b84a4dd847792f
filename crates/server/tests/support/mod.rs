//! A server in this process on a port of its own, and the two ways to talk to it: bytes, and whole dialect messages.
#![allow(dead_code, reason = "every test file uses its part of this")]

pub(crate) mod events;
pub(crate) mod http2;
pub(crate) mod lines;
pub(crate) mod peer;
pub(crate) mod raw;
pub(crate) mod stream;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trunkline_server::{Config, Reloader, Server, Summary};

/// Longer than anything here takes, shorter than anybody's patience: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Where the API is served in plaintext: with the doors, unless the test says otherwise.
    pub(crate) api: SocketAddr,
    pub(crate) key: String,
    pub(crate) reloader: Option<Reloader>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Summary>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server with nothing configured.
pub(crate) async fn start() -> Running {
    start_with("").await
}

/// A server with a `trunkline.toml` of this text, but on a port that the system chooses.
pub(crate) async fn start_with(toml: &str) -> Running {
    let mut config = Config::parse("test.toml", toml).expect("a configuration without problems");
    for address in &mut config.listen.address {
        address.set_port(0);
    }
    start_config(config).await
}

/// A server with a `trunkline.toml` of just this text, and the addresses of all its TCP listeners.
pub(crate) async fn start_all(toml: &str) -> (Running, Vec<SocketAddr>) {
    let config = Config::parse("test.toml", toml).expect("a configuration without problems");
    let server = Server::new(config).expect("a configuration without problems");
    let listeners = server.bind().await.expect("free ports");
    let addresses = listeners.iter().filter_map(trunkline_server::Listener::local_addr).collect();
    (start_bound(server, listeners), addresses)
}

pub(crate) async fn start_config(config: Config) -> Running {
    let server = Server::new(config).expect("a configuration without problems");
    let listeners = server.bind().await.expect("a free port");
    start_bound(server, listeners)
}

fn start_bound(server: Server, listeners: Vec<trunkline_server::Listener>) -> Running {
    let address = listeners.iter().find_map(|listener| listener.local_addr()).expect("a TCP listener");
    let api = listeners.iter().find(|listener| listener.serves().api && !listener.is_tls());
    let api = api.and_then(|listener| listener.local_addr()).unwrap_or(address);
    let key = server.api_key().reveal().to_owned();
    let reloader = server.reloader();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        // A sender that is dropped stops the server too.
        let _ = stopped.await;
    };
    let task = tokio::spawn(server.run(listeners, shutdown));
    Running { address, api, key, reloader, stop: Some(stop), task }
}

impl Running {
    /// Begins the graceful stop.
    pub(crate) fn begin_stop(&mut self) {
        let stop = self.stop.take().expect("a server is stopped once");
        stop.send(()).expect("the server runs");
    }

    /// Waits for the end of the graceful stop.
    pub(crate) async fn stopped(&mut self) -> Summary {
        within(&mut self.task).await.expect("the server does not panic")
    }

    pub(crate) async fn stop(&mut self) -> Summary {
        self.begin_stop();
        self.stopped().await
    }

    /// `POST /api/v1/<route>` with the key.
    pub(crate) async fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let answer =
            raw::post(self.api, &format!("/api/v1/{route}"), Some(&self.key), &body.to_string()).await;
        (answer.status, answer.json())
    }

    /// `GET /api/v1/<route>` with the key.
    pub(crate) async fn get(&self, route: &str) -> (u16, Value) {
        let request = format!(
            "GET /api/v1/{route} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.api, self.key
        );
        let answer = raw::ask(self.api, &request).await;
        (answer.status, answer.json())
    }

    /// A ticket, minted with this body.
    pub(crate) async fn mint(&self, body: &Value) -> String {
        let (status, minted) = self.post("tickets", body).await;
        assert_eq!(status, 200, "{minted}");
        minted["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// A ticket for a user, with nothing else said.
    pub(crate) async fn ticket(&self, user: &str) -> String {
        self.mint(&serde_json::json!({ "user": user })).await
    }

    /// The value of one metric, summed over its series.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        self.metric_of(name, "").await
    }

    /// The value of one metric, summed over the series that have `label`, such as `outcome="ok"`.
    pub(crate) async fn metric_of(&self, name: &str, label: &str) -> f64 {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.api);
        let text = raw::ask(self.api, &request).await.body;
        let of_it = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
        text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// Waits for `work`, and fails the test if it takes for ever.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("nothing here takes this long")
}

/// Asks `question` again and again until its answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut question: impl FnMut() -> F) {
    let asking = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"));
}
