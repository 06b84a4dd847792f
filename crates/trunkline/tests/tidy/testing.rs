//! The documents that map what is demanded to what tests it: each demand has a row, and each test that a row names exists.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::lexer::{code_only, end_of_item, line_of};
use crate::tree::{File, Tree, Violation};

const CONFORMANCE: &str = "docs/conformance.md";
const ITEMS: RangeInclusive<u32> = 1..=70;
const URL_RULES: RangeInclusive<u32> = 1..=12;

const RECORD: &str = "docs/security-record.md";
/// How many faults are on record. It only ever grows.
const RECORD_ROWS: usize = 76;

const TESTING: &str = "docs/testing.md";

/// Structs whose fields are limits, each to be tested at it and one past it.
const STRUCTS_OF_LIMITS: &[&str] = &["Limits", "HeadLimits", "Http2Limits", "Timeouts", "Bounds"];

/// Rows that neither name a test nor say why they cannot; and demands without a row.
pub(crate) fn unmapped_items(tree: &Tree) -> Vec<Violation> {
    let mut found = BTreeSet::new();
    let mut violations = judge(tree, CONFORMANCE, "item", 1, |row| {
        found.insert(row.key.to_owned());
        let named = test_names(row.last()).next().is_some();
        (!named).then(|| format!("item {} names no test", row.key))
    });
    let wanted = ITEMS.map(|item| item.to_string()).chain(URL_RULES.map(|rule| format!("U{rule}")));
    let missing = wanted.filter(|key| !found.contains(key));
    violations.extend(missing.map(|key| Violation::new(CONFORMANCE, 1, format!("item {key} has no row"))));
    violations
}

/// Faults of others without a test here or a reason, and faults that were on record and no longer are.
pub(crate) fn unmapped_faults(tree: &Tree) -> Vec<Violation> {
    let mut ids = BTreeSet::new();
    let mut violations = judge(tree, RECORD, "id", 1, |row| {
        let again = !ids.insert(row.key.to_owned());
        let empty = row.last().is_empty();
        if again {
            Some(format!("{} is there twice", row.key))
        } else {
            empty.then(|| format!("{} has neither a test nor a reason", row.key))
        }
    });
    if tree.get(RECORD).is_some() && ids.len() != RECORD_ROWS {
        let words = format!(
            "{} rows, and RECORD_ROWS says {RECORD_ROWS}: none may go, and a new one is counted",
            ids.len()
        );
        violations.push(Violation::new(RECORD, 1, words));
    }
    violations
}

/// Limits that are not tested at the limit and one past it; and fields of the structs of limits without a row.
pub(crate) fn untested_limits(tree: &Tree) -> Vec<Violation> {
    let mut found = BTreeSet::new();
    let mut violations = judge(tree, TESTING, "limit", 2, |row| {
        let [limit, place, .., at, past] = row.cells[..] else {
            return Some("a limit has a name, a place, a default and two cells of tests".to_owned());
        };
        found.insert((unquoted(place).to_owned(), unquoted(limit).to_owned()));
        let names = |cell: &str| test_names(cell).next().is_some();
        let missing = [("at it", names(at)), ("one past it", names(past) || past == "the same")];
        let missing = missing.into_iter().find(|(_, is_there)| !is_there);
        missing.map(|(which, _)| format!("{limit} has no test {which}"))
    });
    for (file, line, field) in limits_in_source(tree) {
        let place = file.path.strip_prefix("crates/").unwrap_or(&file.path);
        if !found.contains(&(place.to_owned(), field.clone())) {
            let words = format!(
                "the limit `{field}` has no row in {TESTING}: where is it tested, at it and one past it?"
            );
            violations.push(file.violation(line, words));
        }
    }
    violations
}

/// One row of a table.
struct Row<'t> {
    key: &'t str,
    cells: Vec<&'t str>,
}

impl<'t> Row<'t> {
    fn last(&self) -> &'t str {
        self.cells.last().copied().unwrap_or_default()
    }
}

/// Every row of the document's tables whose first column is called `first`: tests that its last `columns` name and that are
/// not there, and what `verdict` says.
fn judge<'t>(
    tree: &'t Tree,
    path: &str,
    first: &str,
    columns: usize,
    mut verdict: impl FnMut(&Row<'t>) -> Option<String>,
) -> Vec<Violation> {
    let Some(document) = tree.get(path) else {
        return vec![Violation::new(path, 1, "does not exist")];
    };
    let known = names_of_tests(tree);
    let mut violations = Vec::new();
    let mut inside = false;
    for (index, line) in document.text.lines().enumerate() {
        let Some(row) = row(line) else {
            inside = false;
            continue;
        };
        if row.key == first || row.key.starts_with("---") {
            inside = inside || row.key == first;
            continue;
        }
        if !inside {
            continue;
        }
        let names = row.cells.iter().rev().take(columns).flat_map(|cell| test_names(cell));
        for unknown in names.filter(|name| !known.contains(name)) {
            violations.push(document.violation(index + 1, format!("no test is called {unknown}")));
        }
        violations.extend(verdict(&row).map(|words| document.violation(index + 1, words)));
    }
    violations
}

/// The cells of `| 26 | what it asks | `test_a`, `test_b` |`, without the spaces around them.
fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> =
        line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    (cells.len() >= 2).then(|| Row { key: cells[0], cells })
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// What stands in backticks and could name a function of several words, as all our tests are named.
fn test_names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.matches('_').count() > 1
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

/// Rust functions under an attribute that makes them tests, and the checks under compliance/.
fn names_of_tests(tree: &Tree) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for file in &tree.files {
        let is_check = file.path.starts_with("compliance/");
        if !is_check && !file.path.ends_with(".rs") {
            continue;
        }
        let mut is_test = is_check;
        for line in file.text.lines().map(str::trim_start) {
            is_test = is_test || line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let Some(name) = function_name(line) else { continue };
            if is_test {
                names.insert(name);
            }
            is_test = is_check;
        }
    }
    names
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "))?;
    rest.split(['(', '<', ' ']).next()
}

/// File, line and name of each field of the structs of limits.
fn limits_in_source(tree: &Tree) -> Vec<(&File, usize, String)> {
    let mut limits = Vec::new();
    let is_source =
        |file: &&File| file.path.contains("/src/") && !file.is_test() && !file.is_source_of("fuzzing");
    for file in tree.rust().filter(is_source) {
        let code = code_only(&file.text);
        for name in STRUCTS_OF_LIMITS {
            let Some(start) = code.find(&format!("struct {name} {{")) else { continue };
            let body = &code[start..end_of_item(&code, start)];
            for (at, line) in body.lines().enumerate() {
                let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
                let Some((field, _)) = rest.split_once(':') else { continue };
                limits.push((file, line_of(&code, start) + at, field.to_owned()));
            }
        }
    }
    limits
}

#[cfg(test)]
fn found(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(Violation::to_string).collect()
}

#[test]
fn a_row_without_a_test_and_a_test_that_is_not_there_are_found() {
    let document = "| item | what | test |\n| --- | --- | --- |\n| 1 | a | `is_really_here` |\n| 2 | b | `is_long_gone` |\n| 3 | c | later |\n\
        | U1 | d | `is_no_test` |\n\n| what | else |\n| --- | --- |\n| 4 | `is_not_looked_at` |\n";
    let source = "#[test]\n#[should_panic]\nfn is_really_here() {}\nfn is_no_test() {}\n";
    let tree = Tree::invented(&[(CONFORMANCE, document), ("crates/a/tests/b.rs", source)]);
    let found = found(&unmapped_items(&tree));
    assert_eq!(found[0], "docs/conformance.md:4: no test is called is_long_gone");
    assert_eq!(found[1], "docs/conformance.md:5: item 3 names no test");
    assert_eq!(found[2], "docs/conformance.md:6: no test is called is_no_test");
    assert_eq!(found[3], "docs/conformance.md:1: item 4 has no row");
    assert_eq!(found.len(), 3 + 67 + 11, "{found:?}");
}

#[test]
fn a_fault_without_a_test_or_a_reason_and_one_that_is_lost_are_found() {
    let document = "| id | where | test |\n| --- | --- | --- |\n| CVE-1 | x | `is_really_here` |\n| CVE-2 | y | Not spoken. |\n\
        | CVE-3 | z | |\n| CVE-3 | z | again |\n";
    let tree = Tree::invented(&[
        (RECORD, document),
        ("compliance/strict/floods.py", "async def is_really_here(server):\n"),
    ]);
    let found = found(&unmapped_faults(&tree));
    assert_eq!(found[0], "docs/security-record.md:5: CVE-3 has neither a test nor a reason");
    assert_eq!(found[1], "docs/security-record.md:6: CVE-3 is there twice");
    assert!(found[2].starts_with("docs/security-record.md:1: 3 rows"), "{found:?}");
    assert_eq!(found.len(), 3);
}

#[test]
fn a_limit_without_a_row_or_without_one_of_its_two_tests_is_found() {
    let document = "| limit | where | default | at it | one past it |\n| --- | --- | --- | --- | --- |\n\
        | `message` | `a/src/b.rs` | 1 | `is_really_here` | the same |\n| `depth` | `a/src/b.rs` | 2 | `is_really_here` | some day |\n";
    let source = "/// struct Limits { pub not_this: u8 }\npub struct Limits {\n    /// Bytes.\n    pub message: usize,\n\
        \x20   pub depth: usize,\n    pub forgotten: Option<usize>,\n}\n#[test]\nfn is_really_here() {}\n";
    let tree = Tree::invented(&[(TESTING, document), ("crates/a/src/b.rs", source)]);
    let found = found(&untested_limits(&tree));
    assert_eq!(found[0], "docs/testing.md:4: `depth` has no test one past it");
    assert!(found[1].starts_with("crates/a/src/b.rs:6: the limit `forgotten` has no row"), "{found:?}");
    assert_eq!(found.len(), 2);
}
