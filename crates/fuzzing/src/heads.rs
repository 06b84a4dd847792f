//! Heads of HTTP/1.1, and the handshake that they carry.

use http::{HeaderMap, Request, Response, StatusCode};
use trunkline_websocket::handshake::http1::{
    HeadLimits, HeadReader, ResponseReader, write_request, write_response,
};
use trunkline_websocket::handshake::{
    self, AcceptPolicy, Attempt, ConnectOptions, Extension, OriginPolicy, Rejected, Rule, accept,
    accept_tls_upgrade, accept_upgrade,
};
use trunkline_websocket::url::WsUrl;

use crate::{memory, splits};

const LIMITS: HeadLimits = HeadLimits { bytes: 2048, headers: 20 };

/// A head's bytes (a growing `Vec` has up to twice its length, and its predecessor while it moves), the fields found in
/// it, and the error that quotes it.
const HEAP: usize = 3 * LIMITS.bytes + 8192;

/// The key of RFC 6455 section 1.3, so that the answer in the seeds is the right one.
const KEY: [u8; 16] = *b"the sample nonce";

/// What a server receives first.
pub fn request_head(data: &[u8]) {
    let mut first = None;
    for pieces in splits::every_way(data) {
        let (reader, end) = memory::within(HEAP, || {
            let mut reader = HeadReader::new(LIMITS);
            let end = feed(&pieces, |piece| reader.receive(piece));
            (reader, end)
        });
        let end = end.map_err(|rejected| rejected.rule());
        match &first {
            None => first = Some(end),
            Some(first) => assert_eq!(*first, end, "cut into {} pieces", pieces.len()),
        }
        assert!(reader.bytes().len() <= LIMITS.bytes);
        if let Ok(Some(end)) = end {
            assert_eq!(reader.bytes(), &data[..end], "the head is what arrived");
        }
        match reader.request() {
            Ok(request) => {
                assert!(matches!(end, Ok(Some(_))), "a request out of {end:?}");
                judge_request(&request);
            }
            Err(rejected) => check_answer(&rejected),
        }
    }
}

/// What a client receives first.
pub fn response_head(data: &[u8]) {
    let attempt = attempt();
    let mut first = None;
    for pieces in splits::every_way(data) {
        let (reader, end) = memory::within(2 * HEAP, || {
            let mut reader = ResponseReader::new(LIMITS);
            let end = feed(&pieces, |piece| reader.receive(piece));
            (reader, end)
        });
        let verdict = end.and_then(|end| match end {
            Some(end) => {
                attempt.verify(&reader.response()?).map(|established| (end, established.response().clone()))
            }
            None => Err(reader.response().expect_err("there is no response in an incomplete head")),
        });
        let verdict = verdict.map(|(end, response)| {
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            assert_eq!(
                response.headers()["sec-websocket-accept"].as_bytes().trim_ascii(),
                b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            );
            end
        });
        let verdict = verdict.map_err(|rejected| rejected.rule());
        match &first {
            None => first = Some(verdict),
            Some(first) => assert_eq!(*first, verdict, "cut into {} pieces", pieces.len()),
        }
    }
}

/// Gives pieces until the reader has enough; the length of the head in all of them together.
fn feed(
    pieces: &[&[u8]],
    mut receive: impl FnMut(&[u8]) -> Result<Option<usize>, Rejected>,
) -> Result<Option<usize>, Rejected> {
    let mut before = 0;
    for piece in pieces {
        if let Some(used) = receive(piece)? {
            assert!(used <= piece.len(), "{used} of {} bytes", piece.len());
            return Ok(Some(before + used));
        }
        before += piece.len();
    }
    Ok(None)
}

fn judge_request(request: &Request<()>) {
    let again = reread(&write_request(request)).request().expect("what was read once is read again");
    assert_eq!(
        (again.method(), again.uri(), again.version()),
        (request.method(), request.uri(), request.version())
    );
    assert_eq!(again.headers(), request.headers());

    let policies = [
        AcceptPolicy { origin: OriginPolicy::Any, ..AcceptPolicy::default() },
        AcceptPolicy {
            subprotocols: vec!["hub.json.1".into()],
            require_subprotocol: true,
            ..AcceptPolicy::default()
        },
    ];
    for policy in policies {
        match accept(request, &policy) {
            Ok(accepted) => {
                let response = accepted.response();
                assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
                assert_eq!(reread_response(&write_response(response, b"")).headers(), response.headers());
                let offered = request.headers().get_all("sec-websocket-protocol").iter();
                let mut offered = offered.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
                let chosen = accepted.subprotocol();
                assert!(
                    chosen.is_none_or(|chosen| offered.any(|name| name.trim_ascii() == chosen.as_bytes()))
                );
            }
            Err(rejected) => check_answer(&rejected),
        }
        match accept_upgrade(request, "stream", &policy) {
            Ok(accepted) => {
                let response = accepted.response();
                assert_eq!(reread_response(&write_response(response, b"")).headers(), response.headers());
                assert!(accepted.subprotocol().is_none());
            }
            Err(rejected) => check_answer(&rejected),
        }
    }
    match accept_tls_upgrade(request) {
        Ok(response) => assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS),
        Err(rejected) => check_answer(&rejected),
    }
}

/// The answer to a refused request: one response and not two, whatever of the request it quotes.
fn check_answer(rejected: &Rejected) {
    if rejected.rule() == Rule::HeadIncomplete {
        return;
    }
    let answer = rejected.to_response();
    assert!(answer.status().is_client_error() || answer.status().is_server_error(), "{}", answer.status());
    assert!(answer.body().len() < 2048, "an answer of {} bytes", answer.body().len());
    assert!(!answer.body().trim_end_matches('\n').contains(|c: char| c.is_control()), "{:?}", answer.body());
    let connection = answer.headers()["connection"].as_bytes();
    assert!(connection.ends_with(b"close"), "nothing after a refused request may be read");

    let bytes = write_response(&answer, answer.body().as_bytes());
    let read = reread_response(&bytes);
    assert_eq!(read.status(), answer.status());
    let mut expected: HeaderMap = answer.headers().clone();
    expected.insert("content-length", answer.body().len().into());
    assert_eq!(*read.headers(), expected);
}

fn reread(bytes: &[u8]) -> HeadReader {
    let mut reader = HeadReader::new(HeadLimits { bytes: 1 << 20, headers: 100 });
    let end = reader.receive(bytes).expect("what we write is valid");
    assert!(end.is_some(), "what we write is complete");
    reader
}

fn reread_response(bytes: &[u8]) -> Response<()> {
    reread(bytes).response().expect("what we write is a response")
}

/// What the client asked for that waits for the response.
fn attempt() -> Attempt {
    let url = WsUrl::parse("ws://example.com/chat").expect("a valid URL");
    let options = ConnectOptions {
        subprotocols: vec!["chat".into(), "superchat".into()],
        extensions: Vec::<std::sync::Arc<dyn Extension>>::new(),
        ..ConnectOptions::default()
    };
    handshake::request(&url, &options, KEY).expect("valid options")
}
