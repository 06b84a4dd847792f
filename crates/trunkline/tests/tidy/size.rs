//! How long files and functions may be.

use crate::lexer::{end_of_item, line_of, shipped_code};
use crate::tree::{Tree, Violation};

const FILE: usize = 450;
/// For tests, whose tables are long and simple; and for any exception.
const FILE_AT_MOST: usize = 600;
const FUNCTION: usize = 80;

/// Files that are longer than [`FILE`] today, with their length. The numbers only ever fall; a row goes when its file fits.
const LONGER_TODAY: &[(&str, usize)] = &[];

pub(crate) fn long_files(tree: &Tree) -> Vec<Violation> {
    judge_files(tree, LONGER_TODAY)
}

fn judge_files(tree: &Tree, exceptions: &[(&str, usize)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().find(|(path, _)| *path == file.path).map(|(_, lines)| *lines);
        let limit = if file.is_test() { FILE_AT_MOST } else { FILE };
        let words = match excepted {
            None if lines > limit => format!("{lines} lines, {limit} is the limit: split it"),
            Some(_) if lines > FILE_AT_MOST => {
                format!("{lines} lines, {FILE_AT_MOST} is the end of all exceptions: split it")
            }
            Some(_) if lines <= FILE => "fits now: take its row out of LONGER_TODAY".to_owned(),
            Some(known) if lines > known => {
                format!("{lines} lines, and it had {known}: exceptions only shrink")
            }
            Some(known) if lines < known => {
                format!("shrank from {known} to {lines} lines: lower its number in LONGER_TODAY")
            }
            _ => continue,
        };
        violations.push(file.violation(1, words));
    }
    let gone = exceptions.iter().filter(|(path, _)| tree.get(path).is_none());
    violations.extend(
        gone.map(|(path, _)| Violation::new(path, 1, "does not exist: take its row out of LONGER_TODAY")),
    );
    violations
}

pub(crate) fn long_functions(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let code = shipped_code(&file.text);
        for (name, line, lines) in functions(&code) {
            if lines > FUNCTION {
                violations.push(
                    file.violation(line, format!("fn {name} has {lines} lines, {FUNCTION} is the limit")),
                );
            }
        }
    }
    violations
}

/// Name, line and length of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let found = code.match_indices("fn ").filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || c == '(')
    });
    let measured = found.filter_map(|(at, keyword)| {
        let rest = &code[at + keyword.len()..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = end_of_item(code, at);
        let has_body = code[at..end].ends_with('}');
        (has_body && !name.is_empty()).then(|| (name, line_of(code, at), code[at..end].lines().count()))
    });
    measured.collect()
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let code = "trait T {\n  fn declared(&self) -> [u8; 4];\n  fn given(&self) {\n    if a {\n    }\n  }\n}\nfn one() {}\n";
    assert_eq!(functions(code), [("given".to_owned(), 3, 4), ("one".to_owned(), 8, 1)]);
}

#[test]
fn the_ratchet_only_turns_one_way() {
    let long = |lines: usize| "x\n".repeat(lines);
    let verdicts = |lines: usize, exceptions: &[(&str, usize)]| {
        judge_files(&Tree::invented(&[("crates/a/src/b.rs", &long(lines))]), exceptions).len()
    };
    assert_eq!(verdicts(450, &[]), 0);
    assert_eq!(verdicts(451, &[]), 1);
    assert_eq!(judge_files(&Tree::invented(&[("crates/a/tests/b.rs", &long(600))]), &[]).len(), 0);
    assert_eq!(judge_files(&Tree::invented(&[("crates/a/tests/b.rs", &long(601))]), &[]).len(), 1);
    assert_eq!(verdicts(500, &[("crates/a/src/b.rs", 500)]), 0);
    assert_eq!(verdicts(501, &[("crates/a/src/b.rs", 500)]), 1, "it grew");
    assert_eq!(verdicts(499, &[("crates/a/src/b.rs", 500)]), 1, "the number must follow");
    assert_eq!(verdicts(400, &[("crates/a/src/b.rs", 500)]), 1, "the row must go");
    assert_eq!(verdicts(601, &[("crates/a/src/b.rs", 601)]), 1, "no exception beyond 600");
    assert_eq!(verdicts(100, &[("crates/a/src/gone.rs", 500)]), 1, "an exception for a file that is gone");
}
