//! Speed of decompression, of the same payloads for all.

use flate2::{Decompress, FlushDecompress};
use libdeflater::Decompressor;
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZFlush};
use trunkline_websocket::deflate::{Agreed, Codec, Deflater, Inflater, Params, Pool, Progress, Shelf};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use crate::{Work, data, heading, race, row, total};

const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Every message on its own, decompressed to a buffer that is there already.
pub fn without_takeover() {
    heading(
        "Decompression without context takeover",
        &[
            "message",
            "level",
            "this crate MB/s",
            "zlib-rs MB/s",
            "zlib-ng MB/s",
            "libdeflate MB/s",
            "miniz_oxide MB/s",
        ],
    );
    for size in [100, 1024, 65_536] {
        for level in [1, 3, 6] {
            let messages = data::messages(size);
            let payloads: Vec<_> = messages.iter().map(|message| payload(message, level)).collect();
            let candidates: Vec<(String, Work<'_>)> = vec![
                ("this crate".into(), ours()),
                ("zlib-rs".into(), zlib_rs()),
                ("zlib-ng".into(), zlib_ng()),
                ("libdeflate".into(), libdeflate()),
                ("miniz_oxide".into(), miniz()),
            ];
            let mut cells = vec![size.to_string(), level.to_string()];
            for figure in race(&payloads, total(&messages), candidates) {
                assert_eq!(figure.written, total(&messages), "{}", figure.name);
                cells.push(format!("{:.0}", figure.speed));
            }
            row(&cells);
        }
    }
}

/// With the trailer and an empty last block, which some of the candidates must see.
fn payload(message: &[u8], level: i32) -> Vec<u8> {
    let mut compressor = Deflate::new(level, false, 15);
    let mut out = vec![0; message.len() * 2 + 100];
    compressor.compress(message, &mut out, DeflateFlush::SyncFlush).expect("room enough");
    out.truncate(compressor.total_out() as usize);
    out.extend([0x01, 0x00, 0x00, 0xff, 0xff]);
    out
}

/// As a connection does it, but for the shelf: a thread's.
fn ours<'w>() -> Work<'w> {
    let params = Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut codec = Codec::new(Agreed { params, level: 3, threshold: 0 }, true, &ThreadShelf);
    let mut out = Vec::new();
    Box::new(move |payload| {
        out.clear();
        let payload = &payload[..payload.len() - 5 - TRAILER.len()];
        let inflated = codec.inflate(payload, true, 1 << 20, &mut out).expect("valid");
        assert_eq!(inflated.state, Progress::Done);
        out.len()
    })
}

fn zlib_rs<'w>() -> Work<'w> {
    let mut decompressor = Inflate::new(false, 15);
    let mut out = vec![0; 1 << 17];
    Box::new(move |payload| {
        decompressor.reset(false);
        decompressor.decompress(payload, &mut out, InflateFlush::SyncFlush).expect("valid");
        decompressor.total_out() as usize
    })
}

fn zlib_ng<'w>() -> Work<'w> {
    let mut decompressor = Decompress::new(false);
    let mut out = vec![0; 1 << 17];
    Box::new(move |payload| {
        decompressor.reset(false);
        decompressor.decompress(payload, &mut out, FlushDecompress::Sync).expect("valid");
        decompressor.total_out() as usize
    })
}

fn libdeflate<'w>() -> Work<'w> {
    let mut decompressor = Decompressor::new();
    let mut out = vec![0; 1 << 17];
    Box::new(move |payload| decompressor.deflate_decompress(payload, &mut out).expect("valid"))
}

fn miniz<'w>() -> Work<'w> {
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let mut out = vec![0; 1 << 17];
    Box::new(move |payload| {
        state.reset(DataFormat::Raw);
        let result = miniz_oxide::inflate::stream::inflate(&mut state, payload, &mut out, MZFlush::Sync);
        result.status.expect("valid");
        result.bytes_written
    })
}

thread_local! {
    static POOL: std::cell::RefCell<Pool> = const { std::cell::RefCell::new(Pool::new()) };
}

/// What a driver does: a pool for each thread.
#[derive(Debug)]
pub struct ThreadShelf;

impl Shelf for ThreadShelf {
    fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
        POOL.with_borrow_mut(|pool| pool.take_deflater(window_bits, level))
    }

    fn give_deflater(&self, deflater: Box<Deflater>) {
        POOL.with_borrow_mut(|pool| pool.give_deflater(deflater));
    }

    fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
        POOL.with_borrow_mut(|pool| pool.take_inflater(window_bits))
    }

    fn give_inflater(&self, inflater: Box<Inflater>) {
        POOL.with_borrow_mut(|pool| pool.give_inflater(inflater));
    }
}
