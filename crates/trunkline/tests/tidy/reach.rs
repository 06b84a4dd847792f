//! Every Rust file is part of some crate.

use std::collections::BTreeSet;

use crate::lexer::{code_only, line_of};
use crate::tree::{File, Tree, Violation};

pub(crate) fn dead_files(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&File> = tree.rust().filter(|file| is_root(&file.path)).collect();
    while let Some(file) = waiting.pop() {
        if !reached.insert(file.path.clone()) {
            continue;
        }
        let code = code_only(&file.text);
        for (name, line) in declared_modules(&code) {
            let folder = folder_of_modules(&file.path);
            let candidates = match said_path(file, line) {
                Some(path) => vec![path],
                None => vec![format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")],
            };
            let files: Vec<&File> = candidates.iter().filter_map(|path| tree.get(path)).collect();
            if files.is_empty() {
                violations.push(file.violation(line, format!("`mod {name}` has no file")));
            }
            waiting.extend(files);
        }
        if code.trim().is_empty() && !file.text.contains("//!") {
            violations.push(file.violation(1, "an empty file: write it or remove it"));
        }
    }
    let dead = tree.rust().filter(|file| file.path.starts_with("crates/") && !reached.contains(&file.path));
    violations.extend(dead.map(|file| file.violation(1, "no mod declaration leads here")));
    violations
}

/// The files that Cargo compiles of itself.
fn is_root(path: &str) -> bool {
    let Some(inside) = path.strip_prefix("crates/").and_then(|path| path.split_once('/')) else {
        return false;
    };
    let parts: Vec<&str> = inside.1.split('/').collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] => true,
        ["tests" | "examples" | "benches", file] => file.ends_with(".rs"),
        ["tests" | "examples" | "benches", _, "main.rs"] => true,
        _ => false,
    }
}

/// `mod name;` with the line of each; `mod name { ... }` needs no file.
fn declared_modules(code: &str) -> Vec<(String, usize)> {
    let found = code.match_indices("mod ").filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        before.is_none_or(char::is_whitespace)
    });
    let declared = found.filter_map(|(at, keyword)| {
        let (name, _) = code[at + keyword.len()..].split_once(';')?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        is_name.then(|| (name.to_owned(), line_of(code, at)))
    });
    declared.collect()
}

/// The file that a `#[path = "..."]` above the declaration in `line` names: relative to the folder of `file`.
fn said_path(file: &File, line: usize) -> Option<String> {
    let above: Vec<&str> = file.text.lines().take(line - 1).collect();
    let attributes = above.into_iter().rev().take_while(|line| line.trim_start().starts_with("#["));
    let said = attributes.filter_map(|line| line.split_once("path = \"")?.1.split_once('"')).next()?.0;
    let mut parts: Vec<&str> = file.path.split('/').collect();
    parts.pop();
    for part in said.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// Where the modules that `path` declares are looked for.
fn folder_of_modules(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    if is_root(path) || file == "mod.rs" {
        folder.to_owned()
    } else {
        format!("{folder}/{}", file.trim_end_matches(".rs"))
    }
}

#[test]
fn dead_missing_and_empty_files_are_found() {
    let tree = Tree::invented(&[
        ("crates/a/src/lib.rs", "pub mod b;\nmod gone;\nmod inline { fn f() {} }\n"),
        ("crates/a/tests/t.rs", "#[path = \"../src/b/said.rs\"]\n#[allow(dead_code)]\nmod other;\n"),
        ("crates/a/src/b/said.rs", "fn f() {}\n"),
        ("crates/a/src/b.rs", "mod c;\n"),
        ("crates/a/src/b/c.rs", "\n"),
        ("crates/a/src/dead.rs", "fn f() {}\n"),
    ]);
    let found: Vec<String> = dead_files(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("crates/a/src/lib.rs:2: `mod gone`"), "{found:?}");
    assert!(found[1].starts_with("crates/a/src/b/c.rs:1: an empty file"), "{found:?}");
    assert!(found[2].starts_with("crates/a/src/dead.rs:1: no mod"), "{found:?}");
}
