//! The real server, in this process, behind a network that can be cut.

use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use trunkline_server::{Config, Server, Summary};

use super::soon;

/// The key of the API of every server here: they know one another's.
const KEY: &str = "a-key-that-only-these-tests-know";

/// A server that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Summary>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0").await
    }

    pub(crate) async fn start_on(address: &str) -> Self {
        Self::start_with(address, "").await
    }

    /// With more lines of configuration.
    pub(crate) async fn start_with(address: &str, more: &str) -> Self {
        let toml = format!("[listen]\naddress = \"{address}\"\n[api]\nkey = \"{KEY}\"\n{more}");
        let config = Config::parse("test.toml", &toml).expect("a configuration without problems");
        let server = Server::new(config).expect("a configuration without problems");
        let listeners = server.bind().await.expect("the port is free");
        let address = listeners.iter().find_map(|listener| listener.local_addr()).expect("a TCP listener");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // A sender that is dropped stops the server too.
            let _ = stopped.await;
        };
        let task = tokio::spawn(server.run(listeners, shutdown));
        Self { address, stop, task }
    }

    /// The graceful stop.
    pub(crate) async fn stop(self) -> Summary {
        self.stop.send(()).expect("the server runs");
        soon("the stop", self.task).await.expect("the server does not panic")
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connect", self.address)
    }

    pub(crate) async fn ticket(&self, user: &str) -> String {
        ticket(self.address, user).await
    }

    pub(crate) async fn post(&self, route: &str, body: Value) -> Value {
        post(self.address, route, body).await.expect("the server answers")
    }
}

/// A ticket for a user, minted as a web service does.
pub(crate) async fn ticket(server: SocketAddr, user: &str) -> String {
    let minted = post(server, "tickets", json!({"user": user})).await.expect("the server answers");
    minted["ticket"].as_str().expect("a ticket").to_owned()
}

/// `POST /api/v1/<route>` with the key; the body of the answer, which has to be 200.
pub(crate) async fn post(server: SocketAddr, route: &str, body: Value) -> std::io::Result<Value> {
    let body = body.to_string();
    let request = format!(
        "POST /api/v1/{route} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    soon("an answer of the API", stream.read_to_string(&mut answer)).await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    Ok(serde_json::from_str(body).expect("JSON"))
}

/// A network between client and server that can be cut.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// The connections that pass through now.
    passing: std::sync::Arc<Mutex<Vec<AbortHandle>>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let passing = std::sync::Arc::new(Mutex::new(Vec::new()));
        let list = std::sync::Arc::clone(&passing);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let handle = connections.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(server).await {
                        // Either end may go at any time: that is what this is for.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                list.lock().expect("no test panics while it holds this").push(handle);
            }
        });
        Self { address, passing, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/connect", self.address)
    }

    /// Breaks every connection, as a network does: without a word.
    pub(crate) fn cut(&self) {
        for connection in self.passing.lock().expect("no test panics while it holds this").drain(..) {
            connection.abort();
        }
    }
}
