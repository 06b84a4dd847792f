//! What the machine costs without sockets: `cargo bench -p trunkline-websocket`.
//!
//! Items are messages, so a line's time divided by its items is the cost of one.

use std::hint::black_box;
use std::time::Instant;

use bytes::Buf;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use trunkline_websocket::frame::{self, Expect, Header, HeaderReader, OpCode};
use trunkline_websocket::{Connection, Event, Leniency, Limits, MessageRef, OutputBuffer, Role, mask, utf8};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Messages in what one read brings.
const BATCH: usize = 16;

fn main() {
    divan::main();
}

/// A client's frames, as they come in one read.
fn batch(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; frame::MAX_HEADER];
    let len = payload.len() as u64;
    let size = frame::encode(&Header { fin: true, rsv: 0, opcode, mask: Some(KEY), len }, &mut header);
    let mut masked = payload.to_vec();
    mask::apply(&mut masked, KEY, 0);
    [&header[..size], &masked].concat().repeat(BATCH)
}

fn ascii(len: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog, ".iter().copied().cycle().take(len).collect()
}

fn cyrillic(len: usize) -> Vec<u8> {
    "привет, мир! ".as_bytes().iter().copied().cycle().take(len / 22 * 22).collect()
}

/// Sixteen messages come in one read, each is answered where it lies, all answers leave in one write.
fn echo(bencher: Bencher<'_, '_>, opcode: OpCode, payload: &[u8]) {
    let now = Instant::now();
    let wire = batch(opcode, payload);
    let mut input = wire.clone();
    let mut connection = Connection::new(Role::Server, Limits::default(), now);
    let mut buffer = Some(OutputBuffer::with_capacity(128 << 10));
    bencher.counter(ItemsCount::new(BATCH)).counter(BytesCount::new(payload.len() * BATCH)).bench_local(
        || {
            input.copy_from_slice(&wire);
            buffer = buffer.take().and_then(|buffer| connection.lend(buffer));
            let mut events = connection.receive(now, black_box(&mut input));
            while let Some(event) = events.next() {
                let message = match &event {
                    Event::Text(text) => MessageRef::Text(text),
                    Event::Binary(data) => MessageRef::Binary(data),
                    other => panic!("only messages were sent: {other:?}"),
                };
                events.connection().send_ref(message).expect("open, with room");
            }
            while let Some(output) = connection.poll_transmit() {
                let count = black_box(output.chunk()).len();
                output.advance(count);
            }
            buffer = connection.reclaim();
        },
    );
}

#[divan::bench(args = [16, 125, 1024, 4096])]
fn echo_binary(bencher: Bencher<'_, '_>, len: usize) {
    echo(bencher, OpCode::Binary, &ascii(len));
}

#[divan::bench(args = [16, 125, 1024, 4096])]
fn echo_ascii(bencher: Bencher<'_, '_>, len: usize) {
    echo(bencher, OpCode::Text, &ascii(len));
}

#[divan::bench(args = [44, 1024, 4096])]
fn echo_not_ascii(bencher: Bencher<'_, '_>, len: usize) {
    echo(bencher, OpCode::Text, &cyrillic(len));
}

#[divan::bench]
fn header_read(bencher: Bencher<'_, '_>) {
    let wire = batch(OpCode::Binary, b"");
    let expect = Expect { masked: true, rsv: 0, in_message: false, leniency: Leniency::default() };
    bencher.bench_local(|| HeaderReader::default().receive(black_box(&wire[..6]), expect));
}

#[divan::bench(args = [5, 300, 70_000])]
fn header_written(bencher: Bencher<'_, '_>, len: u64) {
    let header = Header { fin: true, rsv: 0, opcode: OpCode::Binary, mask: None, len };
    bencher.bench_local(|| {
        let mut out = [0; frame::MAX_HEADER];
        frame::encode(black_box(&header), &mut out);
        out
    });
}

#[divan::bench(args = [16, 125, 1024, 16_384, 65_536])]
fn unmask(bencher: Bencher<'_, '_>, len: usize) {
    let mut data = ascii(len);
    bencher.counter(BytesCount::new(len)).bench_local(|| mask::apply(black_box(&mut data), KEY, 0));
}

#[divan::bench(args = [16, 125, 1024, 65_536])]
fn utf8_ascii(bencher: Bencher<'_, '_>, len: usize) {
    judge(bencher, &ascii(len));
}

#[divan::bench(args = [44, 1024, 65_536])]
fn utf8_not_ascii(bencher: Bencher<'_, '_>, len: usize) {
    judge(bencher, &cyrillic(len));
}

fn judge(bencher: Bencher<'_, '_>, text: &[u8]) {
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| utf8::Validator::default().push(black_box(text)).expect("UTF-8"));
}
