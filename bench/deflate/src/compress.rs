//! Speed and size of compression.

use flate2::{Compress, Compression, FlushCompress};
use libdeflater::{CompressionLvl, Compressor};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::{Work, data, heading, race, row, total};

const SIZES: [usize; 3] = [100, 1024, 65_536];
const LEVELS: [u8; 5] = [1, 2, 3, 6, 9];

/// Every message on its own, as a server sends that answered `server_no_context_takeover`.
pub fn without_takeover() {
    heading(
        "Compression without context takeover",
        &["message", "level", "zlib-rs MB/s", "ratio", "zlib-ng MB/s", "ratio", "libdeflate MB/s", "ratio"],
    );
    for size in SIZES {
        for level in LEVELS {
            let candidates = vec![
                ("zlib-rs".to_owned(), zlib_rs(level, 15, 5, true)),
                ("zlib-ng".to_owned(), zlib_ng(level, true)),
                ("libdeflate".to_owned(), libdeflate(level)),
            ];
            table_row(size, level, candidates);
        }
    }
}

/// Each message with the window of the ones before it.
pub fn with_takeover() {
    heading(
        "Compression with context takeover, window of 32 KiB",
        &["message", "level", "zlib-rs MB/s", "ratio", "zlib-ng MB/s", "ratio"],
    );
    for size in SIZES {
        for level in LEVELS {
            let candidates = vec![
                ("zlib-rs".to_owned(), zlib_rs(level, 15, 5, false)),
                ("zlib-ng".to_owned(), zlib_ng(level, false)),
            ];
            table_row(size, level, candidates);
        }
    }
}

/// What a compressor's memory for symbols is worth.
pub fn by_memory_level() {
    heading(
        "zlib-rs by memory level, without context takeover",
        &["message", "level", "1: MB/s", "ratio", "3: MB/s", "ratio", "5: MB/s", "ratio", "8: MB/s", "ratio"],
    );
    for size in SIZES {
        for level in [1, 6] {
            let of = |memory: i32| (memory.to_string(), zlib_rs(level, 15, memory, true));
            table_row(size, level, [1, 3, 5, 8].map(of).into());
        }
    }
}

/// From which size on a message is worth compressing.
pub fn by_size() {
    heading(
        "zlib-rs at level 3 by size",
        &[
            "message",
            "alone",
            "of which shrink",
            "ns a message",
            "with takeover",
            "of which shrink",
            "ns a message",
        ],
    );
    for size in [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024] {
        let messages = data::messages(size);
        let mut cells = vec![size.to_string()];
        for alone in [true, false] {
            let mut work = zlib_rs(3, 15, 5, alone);
            let shrunk = messages.iter().filter(|message| work(message) < size).count();
            let figures = race(&messages, total(&messages), vec![("zlib-rs".into(), work)]);
            cells.push((figures[0].written / messages.len()).to_string());
            cells.push(format!("{} %", 100 * shrunk / messages.len()));
            cells.push(format!("{:.0}", size as f64 / figures[0].speed * 1e3));
        }
        row(&cells);
    }
}

fn table_row(size: usize, level: u8, candidates: Vec<(String, Work<'_>)>) {
    let messages = data::messages(size);
    let size_of_all = total(&messages);
    let mut cells = vec![size.to_string(), level.to_string()];
    for figure in race(&messages, size_of_all, candidates) {
        cells.push(format!("{:.0}", figure.speed));
        cells.push(format!("{:.2}", size_of_all as f64 / figure.written as f64));
    }
    row(&cells);
}

pub fn zlib_rs<'w>(level: u8, window_bits: u8, mem_level: i32, alone: bool) -> Work<'w> {
    let window_bits = -i32::from(window_bits);
    let config = DeflateConfig { level: level.into(), window_bits, mem_level, ..DeflateConfig::default() };
    let mut compressor = Deflate::new_with_config(config);
    let mut out = vec![0; 1 << 17];
    Box::new(move |message| {
        if alone {
            compressor.reset();
        }
        let before = compressor.total_out();
        compressor.compress(message, &mut out, DeflateFlush::SyncFlush).expect("room enough");
        (compressor.total_out() - before) as usize - 4
    })
}

fn zlib_ng<'w>(level: u8, alone: bool) -> Work<'w> {
    let mut compressor = Compress::new(Compression::new(level.into()), false);
    let mut out = vec![0; 1 << 17];
    Box::new(move |message| {
        if alone {
            compressor.reset();
        }
        let before = compressor.total_out();
        compressor.compress(message, &mut out, FlushCompress::Sync).expect("room enough");
        (compressor.total_out() - before) as usize - 4
    })
}

/// It knows no flush: every message is a whole stream, with the byte that makes it a payload behind it.
fn libdeflate<'w>(level: u8) -> Work<'w> {
    let level = CompressionLvl::new(level.into()).expect("one of its levels");
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; 1 << 17];
    Box::new(move |message| compressor.deflate_compress(message, &mut out).expect("room enough") + 1)
}
