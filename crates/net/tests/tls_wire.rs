//! Records on the wire: split anywhere, failing anywhere, in both directions at once, with other people's ends.
#![cfg(feature = "tls")]

mod tls_common;

use std::io::{Read, Write};
use std::sync::Arc;

use tls_common::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use trunkline_net::tls::{ClientTls, ServerTls, TlsStream};
use trunkline_sim::{Faulty, Plan};

const LENGTHS: [usize; 9] = [1, 2, 100, 16_383, 16_384, 16_385, 40_000, 65_537, 300_000];

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8).collect()
}

fn ends(folder: &Folder) -> (ClientTls, ServerTls) {
    let ca = Ca::new("ours");
    (trusting(&ca), server(folder, &ca.for_names(&["chat.example"])))
}

async fn over<A, B>(client: &ClientTls, near: A, server: &ServerTls, far: B) -> (TlsStream<A>, TlsStream<B>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let both = async { tokio::join!(client.connect("chat.example", near), server.accept(far)) };
    let (near, far) = tokio::time::timeout(HANG, both).await.expect("in time");
    (near.expect("the client is content"), far.expect("the server is content"))
}

/// Sends and receives at once, then ends; gives what came.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: TlsStream<S>, say: Vec<u8>) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let saying = async {
        write.write_all(&say).await.expect("written");
        write.shutdown().await.expect("shut down");
    };
    let mut heard = Vec::new();
    let hearing = async { read.read_to_end(&mut heard).await.expect("a clean end") };
    let both = async { tokio::join!(saying, hearing) };
    tokio::time::timeout(HANG, both).await.expect("in time");
    heard
}

#[tokio::test]
async fn both_directions_carry_any_length_at_once() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    for length in LENGTHS {
        // Less room than a record: every write of one has to be taken up again.
        for room in [700, 1 << 20] {
            let (near, far) = duplex(room);
            let (near, far) = over(&client, near, &server, far).await;
            let (one, other) = (bytes(length, 1), bytes(length, 2));
            let (heard, answered) = tokio::join!(talk(far, other.clone()), talk(near, one.clone()));
            assert!(heard == one && answered == other, "{length} bytes, room for {room}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_put_together_however_the_stream_splits_them() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    for seed in 0..40 {
        let (near, far) = duplex(1 << 16);
        let plan = Plan { piece: 1 + seed as usize * 7, hesitate: 20, ..Plan::default() };
        let (near, far) = (Faulty::new(near, plan.clone(), seed), Faulty::new(far, plan, seed + 1000));
        let (near, far) = over(&client, near, &server, far).await;
        let (one, other) = (bytes(20_000, seed as u8), bytes(3_000, !seed as u8));
        let (heard, answered) = tokio::join!(talk(far, other.clone()), talk(near, one.clone()));
        assert!(heard == one && answered == other, "seed {seed}");
    }
}

#[tokio::test]
async fn a_reader_of_single_bytes_gets_them_all() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    let (near, far) = duplex(1 << 20);
    let (near, mut far) = over(&client, near, &server, far).await;
    let (said, mut heard) = (bytes(40_000, 3), Vec::new());
    let saying = talk(near, said.clone());
    let hearing = async {
        while let Ok(byte) = far.read_u8().await {
            heard.push(byte);
        }
        far.shutdown().await.expect("shut down");
    };
    tokio::join!(saying, hearing);
    assert!(heard == said);
}

#[tokio::test]
async fn tls_runs_inside_tls() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    let (near, far) = duplex(1 << 16);
    let (near, far) = over(&client, near, &server, far).await;
    let (near, far) = over(&client, near, &server, far).await;
    let (one, other) = (bytes(200_000, 4), bytes(100_000, 5));
    let (heard, answered) = tokio::join!(talk(far, other.clone()), talk(near, one.clone()));
    assert!(heard == one && answered == other);
}

#[tokio::test]
async fn after_the_end_of_our_direction_nothing_is_written_any_more() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    let (near, far) = duplex(1 << 16);
    let (mut near, mut far) = over(&client, near, &server, far).await;
    near.shutdown().await.expect("shut down");
    let error = near.write_all(b"x").await.expect_err("shut down");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    near.shutdown().await.expect("again");
    assert_eq!(far.read(&mut [0; 8]).await.expect("a clean end"), 0);
    assert_eq!(far.read(&mut [0; 8]).await.expect("a clean end, again"), 0);
}

/// A handshake that has been done, and the raw end of each stream: what somebody in the middle could do.
struct Apart {
    near: TlsStream<DuplexStream>,
    near_wire: DuplexStream,
    far_wire: DuplexStream,
    far: TlsStream<DuplexStream>,
}

async fn apart() -> Apart {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    let (near, mut near_wire) = duplex(1 << 20);
    let (mut far_wire, far) = duplex(1 << 20);
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let relay = tokio::spawn(async move {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near_wire, &mut far_wire) => {}
            _ = &mut stopped => {}
        }
        (near_wire, far_wire)
    });
    let (near, far) = over(&client, near, &server, far).await;
    stop.send(()).expect("still relaying");
    let (near_wire, far_wire) = relay.await.expect("no panic");
    Apart { near, near_wire, far_wire, far }
}

impl Apart {
    /// The server gets these bytes of the client, and something forged behind them, all at once.
    async fn send_and_forge(&mut self, said: &[u8]) {
        self.near.write_all(said).await.expect("room for all");
        self.near.flush().await.expect("room for all");
        let mut records = vec![0; 1 << 20];
        let length = self.near_wire.read(&mut records).await.expect("open");
        records.truncate(length);
        records.extend(forged());
        self.far_wire.write_all(&records).await.expect("room for all");
    }
}

fn forged() -> Vec<u8> {
    [&[0x17, 3, 3, 0, 30][..], &[9; 30]].concat()
}

const FORGED: &str =
    "TLS with a client that asked for chat.example: it broke a rule of TLS: cannot decrypt peer's message";

#[tokio::test]
async fn a_record_that_was_tampered_with_ends_the_stream_with_an_alert() {
    let Apart { near: _near, near_wire: _open, far_wire: mut raw, mut far } = apart().await;
    raw.write_all(&forged()).await.expect("written");
    assert_eq!(far.read_u8().await.expect_err("forged").to_string(), FORGED);
    // Asked again, it says no less, though nothing more arrives; and shutting down still works.
    assert_eq!(far.read_u8().await.expect_err("forged").to_string(), FORGED);
    assert_eq!(far.write_all(b"x").await.expect_err("forged").to_string(), FORGED);
    far.shutdown().await.expect("shut down");
    let mut alert = Vec::new();
    drop(far);
    raw.read_to_end(&mut alert).await.expect("readable");
    assert!(alert.starts_with(&[0x17, 3, 3]), "{alert:?}");
}

#[tokio::test]
async fn a_record_longer_than_the_standard_allows_is_refused_by_its_header() {
    let Apart { near: _near, near_wire: _open, far_wire: mut raw, mut far } = apart().await;
    // 2^14 + 256 is the most (RFC 8446 section 5.2); rustls allows what TLS 1.2 did.
    raw.write_all(&[0x17, 3, 3, 0x48, 0x06]).await.expect("written");
    let error = far.read_u8().await.expect_err("too long").to_string();
    assert!(error.contains("it broke a rule of TLS"), "{error}");
}

#[tokio::test]
async fn what_arrived_with_a_record_that_fails_is_read_before_the_failure_is_told() {
    for (length, room) in [(5, 100), (5, 5), (5, 1), (40_000, 100), (40_000, 40_000)] {
        let mut apart = apart().await;
        let said = bytes(length, 7);
        apart.send_and_forge(&said).await;
        let (mut heard, mut buffer) = (Vec::<u8>::new(), vec![0; room]);
        let error = loop {
            match apart.far.read(&mut buffer).await {
                Ok(0) => panic!("nothing has ended"),
                Ok(count) => heard.extend(&buffer[..count]),
                Err(error) => break error,
            }
        };
        assert!(heard == said, "{} of {length} bytes, {room} at once", heard.len());
        assert_eq!(error.to_string(), FORGED);
    }
}

#[tokio::test]
async fn a_failure_that_is_found_while_writing_takes_nothing_of_what_arrived_before_it_away() {
    let mut apart = apart().await;
    // More than is decrypted ahead, so that what fails is not looked at by the first read.
    let said = bytes(100_000, 8);
    apart.send_and_forge(&said).await;
    let mut heard = vec![apart.far.read_u8().await.expect("good")];
    assert_eq!(apart.far.write_all(b"x").await.expect_err("forged").to_string(), FORGED);
    let error = apart.far.read_to_end(&mut heard).await.expect_err("forged");
    assert!(heard == said, "{} bytes", heard.len());
    assert_eq!(error.to_string(), FORGED);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_stream_at_any_operation_is_told_and_nothing_worse() {
    let folder = Folder::new();
    let (client, server) = ends(&folder);
    let mut whole = 0;
    for kth in 0..200 {
        let (near, far) = duplex(1 << 16);
        let far = Faulty::new(far, Plan { piece: 200, fail_at: Some(kth), ..Plan::default() }, kth);
        let game = async {
            let accepting = async {
                let Ok(mut far) = server.accept(far).await else { return false };
                let mut request = [0; 1000];
                far.read_exact(&mut request).await.is_ok()
                    && far.write_all(&request).await.is_ok()
                    && far.shutdown().await.is_ok()
            };
            let asking = async {
                let Ok(mut near) = client.connect("chat.example", near).await else { return };
                let _ = near.write_all(&bytes(1000, 6)).await;
                let _ = near.flush().await;
                let mut answer = Vec::new();
                let _ = near.read_to_end(&mut answer).await;
                assert!(bytes(1000, 6).starts_with(&answer));
            };
            tokio::join!(accepting, asking).0
        };
        whole += u32::from(tokio::time::timeout(HANG, game).await.expect("in time"));
    }
    assert!((1..200).contains(&whole), "{whole} of 200 came through");
}

#[tokio::test]
async fn keys_are_updated_by_a_remote_that_asks_for_it_while_we_only_read() {
    install_provider();
    let (folder, ca) = (Folder::new(), Ca::new("ours"));
    let server = server(&folder, &ca.for_names(&["chat.example"]));
    let (near, far) = tcp_pair().await;
    let mut near = near.into_std().expect("a socket");
    let client = tokio::task::spawn_blocking(move || {
        near.set_nonblocking(false).expect("a socket");
        let mut roots = rustls::RootCertStore::empty();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(&ca.pem()).expect("PEM");
        roots.add(der).expect("a CA");
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = "chat.example".try_into().expect("a name");
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        for round in 0..20 {
            let mut stream = rustls::Stream::new(&mut client, &mut near);
            stream.write_all(&[round; 100]).expect("written");
            let mut echo = [0; 100];
            stream.read_exact(&mut echo).expect("echoed");
            assert_eq!(echo, [round; 100]);
            client.refresh_traffic_keys().expect("queued");
        }
        client.send_close_notify();
        client.complete_io(&mut near).expect("written");
    });
    let mut far = server.accept(far).await.expect("accepted");
    let mut buffer = [0; 100];
    while far.read_exact(&mut buffer).await.is_ok() {
        far.write_all(&buffer).await.expect("written");
        far.flush().await.expect("flushed");
    }
    client.await.expect("no panic");
}
