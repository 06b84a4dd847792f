//! An HTTP/2 client: requests one by one, and WebSockets beside them in the same connection.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use super::within;

/// One connection, driven by a task of its own.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    pub(crate) async fn start<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Client {
        let (send, connection) = within(h2::client::handshake(stream)).await.expect("HTTP/2");
        let client = Client { send, driver: tokio::spawn(connection) };
        // A client may ask for a WebSocket only after the server's settings have said so.
        super::eventually("the server allows extended CONNECT", async || {
            client.send.is_extended_connect_protocol_enabled()
        })
        .await;
        client
    }

    /// Asks for something, and reads the answer whole.
    pub(crate) async fn ask(&self, request: Request<()>, body: &str) -> Result<Response<String>, h2::Error> {
        let mut ready = within(self.send.clone().ready()).await?;
        let (answer, mut stream) = ready.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
        }
        let (head, mut body) = within(answer).await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = within(body.data()).await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok(Response::from_parts(head, String::from_utf8(bytes).expect("text")))
    }

    /// Asks for something, reads how it is answered, and leaves it at that.
    pub(crate) async fn status(&self, request: Request<()>) -> u16 {
        let mut ready = within(self.send.clone().ready()).await.expect("the connection is open");
        let (answer, _stream) = ready.send_request(request, false).expect("open");
        within(answer).await.expect("an answer").status().as_u16()
    }

    /// Asks for something whose answer does not end; gives its head, and its body to be read.
    pub(crate) async fn open(&self, url: &str) -> (Response<()>, h2::RecvStream) {
        let request = Request::get(url).body(()).expect("a request");
        let mut ready = within(self.send.clone().ready()).await.expect("an open connection");
        let (answer, _) = ready.send_request(request, true).expect("an open connection");
        let (head, body) = within(answer).await.expect("an answer").into_parts();
        (Response::from_parts(head, ()), body)
    }

    pub(crate) async fn get(&self, url: &str) -> Response<String> {
        let request = Request::get(url).body(()).expect("a request");
        self.ask(request, "").await.expect("an answer")
    }

    /// Waits for the end of the connection; an error says how it ended.
    pub(crate) async fn ended(mut self) -> Result<(), h2::Error> {
        within(&mut self.driver).await.expect("it does not panic")
    }
}

/// A CONNECT with this `:protocol`, as a browser makes it for `url`.
pub(crate) fn connect(url: &str, protocol: Option<&'static str>, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(Method::CONNECT).uri(url).header("sec-websocket-version", "13");
    let mut request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(())
        .expect("one");
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(Protocol::from_static(protocol));
    }
    request
}
