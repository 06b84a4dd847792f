//! docs/testing.md and the tests it names.

use std::collections::BTreeSet;

use crate::lexer::line_of;
use crate::tree::{Tree, Violation};

const DOCUMENT: &str = "docs/testing.md";
const ITEMS: std::ops::RangeInclusive<u32> = 1..=50;

/// Items that cannot have a test yet, with the reason that must stand in their row.
const NOT_YET: &[(u32, &str)] = &[(3, "TLS")];

pub(crate) fn unmapped_items(tree: &Tree) -> Vec<Violation> {
    let Some(document) = tree.get(DOCUMENT) else {
        return vec![Violation::new(DOCUMENT, 1, "does not exist")];
    };
    let known = names_of_functions(tree);
    let mut violations = Vec::new();
    let mut mapped = BTreeSet::new();
    for (index, line) in document.text.lines().enumerate() {
        let Some(cells) = row(line) else { continue };
        let cell = cells[cells.len() - 1];
        let names: Vec<&str> = test_names(cell).collect();
        for unknown in names.iter().filter(|name| !known.contains(**name)) {
            violations.push(document.violation(index + 1, format!("no test is called {unknown}")));
        }
        let Ok(item) = cells[0].trim().parse() else { continue };
        mapped.insert(item);
        let excused = NOT_YET.iter().any(|(excused, reason)| *excused == item && cell.contains(reason));
        if names.is_empty() && !excused {
            violations.push(document.violation(index + 1, format!("item {item} names no test")));
        }
    }
    let missing = ITEMS.filter(|item| !mapped.contains(item));
    violations.extend(missing.map(|item| document.violation(1, format!("item {item} has no row"))));
    violations
}

/// The cells of `| 26 | what it asks | `test_a`, `test_b` |`.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
    (cells.len() >= 2).then_some(cells)
}

/// What stands in backticks and could name a function of several words, as all our tests are named.
fn test_names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

/// Rust functions, and the checks under compliance/.
fn names_of_functions(tree: &Tree) -> BTreeSet<&str> {
    let files =
        tree.files.iter().filter(|file| file.path.ends_with(".rs") || file.path.starts_with("compliance/"));
    let lines = files.flat_map(|file| file.text.lines());
    let declared = lines.filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "))?;
        rest.split(['(', '<', ' ']).next()
    });
    declared.collect()
}

#[test]
fn a_row_without_a_test_and_a_test_that_is_not_there_are_found() {
    let document = "| item | what | test |\n| --- | --- | --- |\n| 1 | a | `is_here` |\n| 2 | b | `is_gone` |\n| 3 | c | with TLS |\n| 4 | d | later |\n";
    let tree = Tree::invented(&[(DOCUMENT, document), ("crates/a/tests/b.rs", "async fn is_here() {}\n")]);
    let found: Vec<String> = unmapped_items(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 48, "{found:?}");
    assert_eq!(found[0], "docs/testing.md:4: no test is called is_gone");
    assert_eq!(found[1], "docs/testing.md:6: item 4 names no test");
    assert_eq!(line_of(document, document.find("| 4").expect("it is there")), 6);
}
