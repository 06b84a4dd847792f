//! Every fuzz target, without a fuzzer: over its seeds, every beginning of each, and pseudo-random changes.

use trunkline_fuzzing::random::Random;
use trunkline_fuzzing::{TARGETS, Target};

/// Changes tried for each target; a fuzzer tries so many in a second, and this runs in every test run.
const CHANGES: usize = 4000;

/// One test and not one a target: they count the heap of the whole process.
#[test]
fn every_target_holds_over_its_seeds_their_beginnings_and_changes_of_them() {
    for target in TARGETS {
        let (_, _, seeds) = target;
        let seeds = seeds();
        for seed in &seeds {
            for end in (0..=seed.len()).rev().take(400) {
                run(target, &seed[..end]);
            }
        }
        let mut random = Random::new(2026);
        for _ in 0..CHANGES {
            let seed = &seeds[random.below(seeds.len())];
            let other = &seeds[random.below(seeds.len())];
            let changed = random.change(seed, other);
            run(target, &changed);
        }
    }
}

/// Says which input it was: the panic itself cannot know.
fn run(target: &Target, data: &[u8]) {
    let (name, body, _) = target;
    let failed = std::panic::catch_unwind(|| body(data)).is_err();
    assert!(!failed, "{name} fails for b\"{}\"", data.escape_ascii());
}
