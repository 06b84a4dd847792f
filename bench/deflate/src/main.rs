//! Which DEFLATE for permessage-deflate? Speed, size and memory of the candidates on the messages of a chat.
//!
//! `cargo run --release --manifest-path bench/deflate/Cargo.toml` prints the tables that docs/decisions.md quotes, in
//! two or three minutes. Candidates take turns, and each figure is the median of its turns in processor time, so that what
//! else the machine does hits all of them alike, and little.

mod compress;
mod data;
mod decompress;
mod memory;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const ROUNDS: usize = 15;
const TURN: Duration = Duration::from_millis(12);

fn main() {
    compress::without_takeover();
    compress::with_takeover();
    compress::by_memory_level();
    compress::by_size();
    decompress::without_takeover();
    memory::of_compressors();
    memory::of_decompressors();
    memory::of_connections();
}

/// A candidate's work on one message: it returns how many bytes came of it.
type Work<'w> = Box<dyn FnMut(&[u8]) -> usize + 'w>;

/// What a candidate did.
struct Figure {
    name: String,
    /// Millions of bytes of `sizes` a second.
    speed: f64,
    /// Bytes that came of all `inputs` once.
    written: usize,
}

/// Lets the candidates take turns over `inputs`. `sizes` is the sum of what counts as their size.
fn race(inputs: &[Vec<u8>], sizes: usize, mut candidates: Vec<(String, Work<'_>)>) -> Vec<Figure> {
    let written: Vec<usize> =
        candidates.iter_mut().map(|(_, work)| inputs.iter().map(|input| work(input)).sum()).collect();
    let mut speeds = vec![Vec::new(); candidates.len()];
    for _ in 0..ROUNDS {
        for ((_, work), speeds) in candidates.iter_mut().zip(&mut speeds) {
            let begin = ThreadTime::now();
            let mut times = 0;
            while begin.elapsed() < TURN {
                for input in inputs {
                    black_box(work(black_box(input)));
                }
                times += 1;
            }
            speeds.push((times * sizes) as f64 / begin.elapsed().as_secs_f64() / 1e6);
        }
    }
    let figures = candidates.into_iter().zip(speeds).zip(written);
    figures.map(|(((name, _), speeds), written)| Figure { name, speed: median(speeds), written }).collect()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn total(messages: &[Vec<u8>]) -> usize {
    messages.iter().map(Vec::len).sum()
}

/// A heading, and the head of a table.
fn heading(title: &str, columns: &[&str]) {
    println!("\n## {title}\n\n| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}
