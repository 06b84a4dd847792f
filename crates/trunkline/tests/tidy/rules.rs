//! Words that must not stand where they would mean the design is broken.

use crate::lexer::{code_only, lines_with, shipped_code};
use crate::tree::{File, Tree, Violation};

const PURE_CRATES: &[&str] = &["websocket", "trunk", "dialect"];

/// What a pure crate may not say, and what it should do instead.
const IMPURE: &[(&[&str], &str)] = &[
    // Addresses are data and may be named; a socket cannot be had without its name, or all names at once.
    (
        &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "ToSocketAddrs", "net::*"],
        "a pure crate has no socket",
    ),
    (&["std::fs", "std::env", "std::process", "println!", "eprintln!"], "a pure crate has no I/O"),
    (
        &["Instant::now", "SystemTime::now", ".elapsed()"],
        "a pure crate has no clock: take `now` as an argument",
    ),
    (
        &["rand", "getrandom", "thread_rng"],
        "a pure crate has no randomness: take bytes or a source as an argument",
    ),
    (&["tokio", "async", ".await", "std::thread"], "a pure crate has no task: it is driven"),
    (&["Mutex", "RwLock", "Condvar"], "a pure crate has no lock: one owner drives it"),
];

const MACHINES_OF_THE_SERVER: &[&str] = &["hub", "channel", "presence", "peer", "ticket", "policy"];

pub(crate) fn impurities(tree: &Tree) -> Vec<Violation> {
    let pure = |file: &&File| PURE_CRATES.iter().any(|name| file.is_source_of(name)) && !file.is_test();
    let files = tree.rust().filter(pure);
    files
        .flat_map(|file| {
            let code = shipped_code(&file.text);
            let broken = IMPURE.iter().flat_map(|(words, why)| words.iter().map(move |word| (*word, *why)));
            let found = broken.flat_map(|(word, why)| {
                lines_with(&code, word)
                    .into_iter()
                    .map(move |line| file.violation(line, format!("`{word}`: {why}")))
            });
            found.collect::<Vec<_>>()
        })
        .collect()
}

pub(crate) fn async_in_machines(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust().filter(|file| is_machine_of_the_server(file)) {
        let code = shipped_code(&file.text);
        for word in ["async", ".await"] {
            for line in lines_with(&code, word) {
                let words =
                    format!("`{word}`: this module is pure; wait in the door or the driver that calls it");
                violations.push(file.violation(line, words));
            }
        }
    }
    violations
}

fn is_machine_of_the_server(file: &File) -> bool {
    let Some(path) = file.path.strip_prefix("crates/server/src/") else { return false };
    let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    MACHINES_OF_THE_SERVER.contains(&module) && !file.is_test()
}

/// Where measured speed needed `unsafe`; each has its argument and a safe twin that it is tested against.
const UNSAFE: &[&str] =
    &["crates/cli/src/allocator.rs", "crates/websocket/src/mask/wide.rs", "crates/websocket/src/text.rs"];

pub(crate) fn unsafe_elsewhere(tree: &Tree) -> Vec<Violation> {
    let elsewhere = tree.rust().filter(|file| !UNSAFE.contains(&file.path.as_str()));
    let found = elsewhere.flat_map(|file| {
        let code = code_only(&file.text);
        let words = [
            concat!("unsafe", " {"),
            concat!("unsafe", " fn"),
            concat!("unsafe", " impl"),
            concat!("allow(unsafe", "_code)"),
        ];
        let lines = words.iter().flat_map(|word| lines_with(&code, word)).collect::<Vec<_>>();
        lines
            .into_iter()
            .map(|line| file.violation(line, "unsafe belongs into a module of its own that this rule names"))
    });
    found.collect()
}

pub(crate) fn leftovers(tree: &Tree) -> Vec<Violation> {
    // Put together here, so that this file does not find itself.
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut violations = Vec::new();
    for file in tree.rust() {
        let code = code_only(&file.text);
        for word in ["todo!", "unimplemented!", "dbg!"] {
            let found = lines_with(&code, word).into_iter();
            violations.extend(
                found.map(|line| file.violation(line, format!("`{word}`: finish it or take it out"))),
            );
        }
        for attribute in ["#[ignore", "#![ignore"] {
            let found = lines_with(&code, attribute).into_iter();
            violations.extend(found.map(|line| file.violation(line, "an ignored test checks nothing")));
        }
    }
    for file in tree.files.iter().filter(|file| is_ours(file)) {
        for word in notes {
            let found = lines_with(&file.text, word).into_iter();
            violations.extend(
                found.map(|line| file.violation(line, format!("`{word}`: do it, or record it as an issue"))),
            );
        }
    }
    violations
}

pub(crate) fn foreign_places(tree: &Tree) -> Vec<Violation> {
    let hosts = [
        concat!("registry.npm", "js"),
        concat!("registry.yarn", "pkg"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("static.crates", ".io"),
        concat!("index.crates", ".io"),
        concat!("proxy.golang", ".org"),
    ];
    let homes = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut violations = Vec::new();
    for file in tree.files.iter().filter(|file| is_ours(file)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(host) = hosts.iter().find(|host| line.contains(**host)) {
                violations.push(file.violation(index + 1, format!("names the package registry {host}")));
            }
            if let Some(home) = homes.iter().find(|home| starts_a_path(line, home)) {
                violations
                    .push(file.violation(index + 1, format!("names {home}, a path outside the project")));
            }
        }
    }
    violations
}

/// Whether `prefix` stands in `line` at the start of a path rather than inside a longer one.
fn starts_a_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '}' | '*')))
    })
}

/// Lock files are written by tools, and licences by others.
fn is_ours(file: &File) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    !(name == "Cargo.lock"
        || name == "package-lock.json" && !file.text.contains("resolved")
        || name.starts_with("LICENSE"))
}

#[test]
fn impure_words_are_found_in_pure_crates_and_nowhere_else() {
    let source = "//! std::net is a word here\nuse std::time::Instant;\nfn f() { Instant::now(); }\n";
    let tree = Tree::invented(&[
        ("crates/websocket/src/a.rs", source),
        ("crates/websocket/tests/a.rs", source),
        ("crates/net/src/a.rs", source),
    ]);
    let found: Vec<String> = impurities(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("crates/websocket/src/a.rs:3: `Instant::now`"), "{found:?}");
}

#[test]
fn waiting_is_found_in_the_servers_machines_and_not_in_its_doors() {
    let source = "async fn f() {\n  g().await\n}\n";
    let tree = Tree::invented(&[
        ("crates/server/src/hub/fan_out.rs", source),
        ("crates/server/src/door/mod.rs", source),
    ]);
    assert_eq!(async_in_machines(&tree).len(), 2);
}

#[test]
fn leftovers_and_foreign_places_are_found() {
    let source = format!("fn f() {{ {}!() }} // {}: later\n", "todo", concat!("TO", "DO"));
    assert_eq!(leftovers(&Tree::invented(&[("crates/net/src/a.rs", &source)])).len(), 2);
    let script = format!(
        "cd {}me/somebody\ncurl https://{}.org/x\ncat a{}me/b\n",
        "/ho",
        concat!("registry.npm", "js"),
        "/ho"
    );
    assert_eq!(foreign_places(&Tree::invented(&[("compliance/run", &script)])).len(), 2);
}
