//! Bytes of the heap, counted by the allocator.

use flate2::{Compress, Compression, Decompress, FlushDecompress};
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use miniz_oxide::DataFormat;
use miniz_oxide::inflate::stream::InflateState;
use trunkline_websocket::deflate::{Agreed, Codec, NoShelf, Params, Progress};
use zlib_rs::{Deflate, DeflateConfig, Inflate};

use crate::{HEAP, data, heading, row};

const BITS: [u8; 7] = [9, 10, 11, 12, 13, 14, 15];

/// What `make` leaves on the heap for as long as its result lives.
fn cost<T>(make: impl FnOnce() -> T) -> usize {
    let before = HEAP.current_usage();
    let made = make();
    let cost = HEAP.current_usage() - before;
    drop(made);
    cost
}

pub fn of_compressors() {
    let mut columns = vec!["window bits".to_owned()];
    columns.extend([1, 3, 5, 8, 9].map(|memory| format!("zlib-rs, memory level {memory}")));
    columns.push("zlib-ng, memory level 8".to_owned());
    heading("Bytes of a compressor", &columns.iter().map(String::as_str).collect::<Vec<_>>());
    for bits in BITS {
        let mut cells = vec![bits.to_string()];
        for mem_level in [1, 3, 5, 8, 9] {
            let config =
                DeflateConfig { mem_level, window_bits: -i32::from(bits), ..DeflateConfig::default() };
            cells.push(cost(|| Deflate::new_with_config(config)).to_string());
        }
        cells.push(cost(|| Compress::new_with_window_bits(Compression::new(6), false, bits)).to_string());
        row(&cells);
    }
    let of_level = [1, 3, 6, 9].map(|level| {
        let level = CompressionLvl::new(level).expect("one of its levels");
        cost(|| Compressor::new(level)).to_string()
    });
    println!("\nlibdeflate at levels 1, 3, 6, 9: {}.", of_level.join(", "));
}

pub fn of_decompressors() {
    heading(
        "Bytes of a decompressor that has seen 1 MiB",
        &["window bits", "this crate, between messages", "this crate, in one", "zlib-rs", "zlib-ng"],
    );
    for bits in BITS {
        let agreed = agreed(bits, false, false);
        let (idle, open) = of_codec(agreed, false, true);
        let zlib_ng = cost(|| {
            let mut decompressor = Decompress::new_with_window_bits(false, bits);
            let mut out = vec![0; 1 << 21];
            decompressor.decompress(&payload(bits), &mut out, FlushDecompress::Sync).expect("valid");
            decompressor
        });
        let zlib_rs = cost(|| Inflate::new(false, bits));
        row(&[
            bits.to_string(),
            idle.to_string(),
            open.to_string(),
            zlib_rs.to_string(),
            zlib_ng.to_string(),
        ]);
    }
    let (libdeflate, miniz) = (cost(Decompressor::new), cost(|| InflateState::new_boxed(DataFormat::Raw)));
    println!("\nlibdeflate {libdeflate}, without a window; miniz_oxide {miniz}.");
}

pub fn of_connections() {
    heading(
        "Bytes of a connection's compression, after 1 MiB each way",
        &[
            "we remember",
            "the remote remembers",
            "window bits",
            "between messages",
            "while one comes in",
            "while one goes out",
        ],
    );
    let yes_no = |takeover: bool| if takeover { "yes" } else { "no" }.to_owned();
    for (sends, receives) in [(false, false), (false, true), (true, false), (true, true)] {
        for bits in BITS {
            let agreed = agreed(bits, !sends, !receives);
            let (idle, receiving) = of_codec(agreed, true, true);
            let (_, sending) = of_codec(agreed, true, false);
            let cells = [idle, receiving, sending].map(|bytes| bytes.to_string());
            row(&[&[yes_no(sends), yes_no(receives), bits.to_string()], &cells[..]].concat());
        }
    }
}

fn agreed(bits: u8, server_no_context_takeover: bool, client_no_context_takeover: bool) -> Agreed {
    let params = Params {
        server_no_context_takeover,
        client_no_context_takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    };
    Agreed { params, level: 3, threshold: 0 }
}

/// Of a server's boxed codec between messages, and while one comes in, or goes out.
fn of_codec(agreed: Agreed, sends: bool, receiving: bool) -> (usize, usize) {
    let (message, mut out) = (data::message(1 << 20, 1), Vec::with_capacity(1 << 21));
    let payload = payload(agreed.params.client_max_window_bits);
    let before = HEAP.current_usage();
    let mut codec = Box::new(Codec::new(agreed, true, &NoShelf));
    if sends {
        codec.deflate(&message, true, &mut out);
    }
    out.clear();
    let inflated = codec.inflate(&payload[..payload.len() - 4], true, 1 << 20, &mut out).expect("valid");
    assert_eq!(inflated.state, Progress::Done);
    let idle = HEAP.current_usage() - before;
    out.clear();
    if receiving {
        let inflated = codec.inflate(&payload[..5000], false, 1 << 20, &mut out).expect("valid");
        assert_eq!(inflated.state, Progress::NeedInput);
    } else {
        codec.deflate(&message[..5000], false, &mut out);
    }
    (idle, HEAP.current_usage() - before)
}

/// 1 MiB of messages, as a client would send it, with the trailer.
fn payload(bits: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let message = data::message(1 << 20, 2);
    Codec::new(agreed(bits, false, false), false, &NoShelf).deflate(&message, true, &mut out);
    out.extend([0x00, 0x00, 0xff, 0xff]);
    out
}
