//! Writes the seeds of every fuzz target as files, the way libFuzzer reads a corpus: `write_seeds DIRECTORY`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = PathBuf::from(std::env::args().nth(1).ok_or("usage: write_seeds DIRECTORY")?);
    for (name, _, seeds) in trunkline_fuzzing::TARGETS {
        let folder = corpus.join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed_{number:02}")), seed)?;
        }
    }
    Ok(())
}
