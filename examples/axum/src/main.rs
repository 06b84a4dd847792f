//! A WebSocket of Trunkline in a route of axum: the framework reads the request, `accept` judges it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper_util::rt::TokioIo;
use trunkline::handshake::{AcceptPolicy, accept};
use trunkline::{Limits, Role, WebSocket};

async fn echo(mut request: Request) -> Response {
    let accepted = match accept(&request, &AcceptPolicy::default()) {
        Ok(accepted) => accepted,
        Err(rejected) => return rejected.to_response().into_response(),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        let limits = Limits::default();
        let mut socket =
            WebSocket::from_upgraded(TokioIo::new(stream), Default::default(), Role::Server, limits);
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    });
    accepted.into_response().map(|()| axum::body::Body::empty())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().route("/", any(echo))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_talks_to_the_route_and_a_plain_request_is_refused_in_words() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let app = axum::Router::new().route("/", any(echo));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut client = trunkline::connect(&url).await.expect("upgraded");
        client.send("through axum").await.expect("open");
        let reply = client.recv().await.expect("open").expect("clean");
        assert_eq!(reply.as_text(), Some("through axum"));
        let closed = client.close(trunkline::CloseCode::NORMAL, "").await.expect("valid");
        assert!(closed.is_clean());
        let refused = trunkline::Connector::default().origin("http://evil.example").connect(&url).await;
        let Err(trunkline::Error::Handshake(error)) = refused else { panic!("let in: {refused:?}") };
        assert_eq!(error.response.expect("answered").status(), 403);
    }
}
