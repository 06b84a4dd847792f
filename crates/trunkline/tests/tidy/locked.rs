//! Versions of dependencies that faults on record leave out.

use crate::tree::{Tree, Violation};

const LOCK: &str = "Cargo.lock";

/// Package, and for each line of versions that was mended the first one that is whole; newer lines are.
const WHOLE_FROM: &[(&str, &[[u32; 3]])] = &[
    // CVE-2026-25541
    ("bytes", &[[1, 11, 1]]),
    // RUSTSEC-2026-0258 and those before it
    ("h2", &[[0, 4, 16]]),
    // RUSTSEC-2021-0078, RUSTSEC-2021-0079
    ("hyper", &[[0, 14, 10]]),
    // RUSTSEC-2026-0097
    ("rand", &[[0, 8, 6], [0, 9, 3], [0, 10, 1]]),
    // RUSTSEC-2024-0336, RUSTSEC-2024-0399
    ("rustls", &[[0, 23, 18]]),
    // The length that was cut to 32 bits; for our tests it is the other reader.
    ("tungstenite", &[[0, 30, 0]]),
];

/// Not spoken yet: who brings one of these in looks at its record first (RUSTSEC-2024-0373, RUSTSEC-2026-0037, RUSTSEC-2026-0185).
const ABSENT: &[&str] = &["quinn-proto", "quiche"];

pub(crate) fn faulty(tree: &Tree) -> Vec<Violation> {
    let Some(lock) = tree.get(LOCK) else {
        return vec![Violation::new(LOCK, 1, "does not exist")];
    };
    let mut violations = Vec::new();
    let mut name = "";
    for (index, line) in lock.text.lines().enumerate() {
        if let Some(value) = quoted(line, "name = ") {
            name = value;
            if ABSENT.contains(&name) {
                violations.push(lock.violation(index + 1, format!("{name} is here: put its record into docs/security-record.md and its version into WHOLE_FROM")));
            }
        }
        let Some(version) = quoted(line, "version = ") else { continue };
        let Some((_, whole)) = WHOLE_FROM.iter().find(|(package, _)| *package == name) else { continue };
        if !is_whole(version, whole) {
            violations
                .push(lock.violation(index + 1, format!("{name} {version} has a fault that is on record")));
        }
    }
    violations
}

/// Whether a version is at least the mended one of its line, or of a line after all of them.
fn is_whole(version: &str, whole: &[[u32; 3]]) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = [next(), next(), next()];
    // Before 1.0 the second number is the one that breaks what depends on it.
    let line = |[major, minor, _]: [u32; 3]| (major, if major == 0 { minor } else { 0 });
    match whole.iter().find(|first| line(**first) == line(version)) {
        Some(first) => version >= *first,
        None => whole.iter().all(|first| version > *first),
    }
}

fn quoted<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

#[test]
fn a_version_with_a_fault_and_a_package_that_must_not_be_there_are_found() {
    let lock = |packages: &[(&str, &str)]| {
        let packages = packages
            .iter()
            .map(|(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n"));
        let text: String = packages.collect();
        faulty(&Tree::invented(&[(LOCK, &text)])).len()
    };
    assert_eq!(lock(&[("bytes", "1.11.1"), ("bytes", "1.12.0"), ("bytes", "2.0.0"), ("serde", "0.0.1")]), 0);
    assert_eq!(lock(&[("bytes", "1.11.0"), ("bytes", "0.5.6")]), 2);
    assert_eq!(lock(&[("rand", "0.8.6"), ("rand", "0.9.3"), ("rand", "0.10.1"), ("rand", "0.11.0-rc.1")]), 0);
    assert_eq!(lock(&[("rand", "0.8.5"), ("rand", "0.9.2"), ("rand", "0.10.0"), ("rand", "0.7.3")]), 4);
    assert_eq!(lock(&[("quinn-proto", "0.12.0")]), 1);
}
