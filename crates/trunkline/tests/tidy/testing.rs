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
        let Some((item, cell)) = row(line) else { continue };
        mapped.insert(item);
        let names: Vec<&str> = quoted_names(cell).collect();
        let unknown = names.iter().filter(|name| !known.contains(**name));
        violations
            .extend(unknown.map(|name| document.violation(index + 1, format!("no test is called {name}"))));
        let excused = NOT_YET.iter().any(|(excused, reason)| *excused == item && cell.contains(reason));
        if names.is_empty() && !excused {
            violations.push(document.violation(index + 1, format!("item {item} names no test")));
        }
    }
    let missing = ITEMS.filter(|item| !mapped.contains(item));
    violations.extend(missing.map(|item| document.violation(1, format!("item {item} has no row"))));
    violations
}

/// `| 26 | what it asks | `test_a`, `test_b` |`: the number and the last cell.
fn row(line: &str) -> Option<(u32, &str)> {
    let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
    let item = cells.first()?.trim().parse().ok()?;
    (cells.len() >= 2).then(|| (item, cells[cells.len() - 1]))
}

fn quoted_names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
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
    let document = "| item | what | test |\n| --- | --- | --- |\n| 1 | a | `here` |\n| 2 | b | `gone` |\n| 3 | c | with TLS |\n| 4 | d | later |\n";
    let tree = Tree::invented(&[(DOCUMENT, document), ("crates/a/tests/b.rs", "async fn here() {}\n")]);
    let found: Vec<String> = unmapped_items(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 48, "{found:?}");
    assert_eq!(found[0], "docs/testing.md:4: no test is called gone");
    assert_eq!(found[1], "docs/testing.md:6: item 4 names no test");
    assert_eq!(line_of(document, document.find("| 4").expect("it is there")), 6);
}
