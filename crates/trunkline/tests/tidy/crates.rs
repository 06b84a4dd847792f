//! Which crate may use which, and where versions stand. Reads manifests line by line: the shapes allowed are that simple.

use crate::tree::{File, Tree, Violation};

/// Crate folder, and the folders of the crates of ours that its library or binary may use.
const FLOORS: &[(&str, &[&str])] = &[
    ("websocket", &[]),
    ("trunk", &[]),
    ("dialect", &[]),
    ("net", &["websocket", "trunk"]),
    ("probe", &["net"]),
    ("server", &["net", "dialect", "probe"]),
    ("client", &["net", "dialect"]),
    ("cli", &["server", "client", "probe", "net", "dialect"]),
    ("trunkline", &["net", "server", "client"]),
    // For tests only; nothing that ships uses them.
    ("sim", &[]),
    ("fuzzing", &["websocket", "dialect", "net"]),
];

/// Pure crates may not pull in by dependency what they may not say in their source.
const PURE_CRATES: &[&str] = &["websocket", "trunk", "dialect"];
const IMPURE_PACKAGES: &[&str] = &[
    "tokio",
    "async-",
    "futures",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "rand",
    "getrandom",
    "fastrand",
    "parking_lot",
    "chrono",
    "time",
    "tracing",
];

struct Dependency<'a> {
    package: &'a str,
    line: usize,
    from_workspace: bool,
    dev: bool,
}

pub(crate) fn floors(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (folder, manifest) in manifests_of_crates(tree) {
        let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == folder) else {
            violations.push(manifest.violation(1, format!("crate {folder} has no floor: add it to FLOORS")));
            continue;
        };
        let pure = PURE_CRATES.contains(&folder);
        for dependency in dependencies(manifest).iter().filter(|dependency| !dependency.dev) {
            let package = dependency.package;
            let ours = package.strip_prefix("trunkline-").or((package == "trunkline").then_some(package));
            if let Some(used) = ours.filter(|used| !below.contains(used)) {
                violations.push(manifest.violation(
                    dependency.line,
                    format!("{folder} may not use {used}: {below:?} stand below it"),
                ));
            }
            if pure && IMPURE_PACKAGES.iter().any(|prefix| package.starts_with(prefix)) {
                violations.push(
                    manifest
                        .violation(dependency.line, format!("{folder} is pure and may not use {package}")),
                );
            }
        }
    }
    violations
}

pub(crate) fn manifests(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (folder, manifest) in manifests_of_crates(tree) {
        if !manifest.text.replace(' ', "").contains("[lints]\nworkspace=true") {
            violations.push(manifest.violation(1, "no `[lints] workspace = true`"));
        }
        let name = if folder == "trunkline" { folder.to_owned() } else { format!("trunkline-{folder}") };
        if !manifest.text.contains(&format!("name = \"{name}\"")) {
            violations.push(manifest.violation(1, format!("the package of this folder is called {name}")));
        }
        for dependency in dependencies(manifest).iter().filter(|dependency| !dependency.from_workspace) {
            let words =
                format!("{}: write `workspace = true` and put the version into the root", dependency.package);
            violations.push(manifest.violation(dependency.line, words));
        }
    }
    violations
}

fn manifests_of_crates(tree: &Tree) -> impl Iterator<Item = (&str, &File)> {
    tree.files.iter().filter_map(|file| {
        let folder = file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
        Some((folder, file))
    })
}

fn dependencies(manifest: &File) -> Vec<Dependency<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            continue;
        }
        let listed = ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .any(|kind| section.ends_with(kind));
        let Some((key, value)) =
            line.split_once('=').filter(|_| listed && !line.trim_start().starts_with('#'))
        else {
            continue;
        };
        let key = key.trim();
        let package = key.strip_suffix(".workspace").unwrap_or(key);
        let from_workspace = key.ends_with(".workspace") || value.contains("workspace = true");
        found.push(Dependency {
            package,
            line: index + 1,
            from_workspace,
            dev: section.ends_with("dev-dependencies"),
        });
    }
    found
}

#[test]
fn a_dependency_upwards_sideways_or_with_its_own_version_is_found() {
    let manifest = "[package]\nname = \"trunkline-websocket\"\n[dependencies]\ntrunkline-net.workspace = true\nbytes = \"1\"\n\
        tokio = { workspace = true, features = [\"rt\"] }\n[dev-dependencies]\ntrunkline-sim.workspace = true\n";
    let tree = Tree::invented(&[("crates/websocket/Cargo.toml", manifest)]);
    let found: Vec<String> = floors(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("crates/websocket/Cargo.toml:4: websocket may not use net"), "{found:?}");
    assert!(found[1].starts_with("crates/websocket/Cargo.toml:6: websocket is pure"), "{found:?}");
    let found: Vec<String> = manifests(&tree).iter().map(Violation::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("no `[lints]") && found[1].contains(":5: bytes"), "{found:?}");
}
