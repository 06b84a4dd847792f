//! The files of the project, and places in them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All text files that are tracked or would be, by their path from the root.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

pub(crate) struct File {
    /// From the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One place that breaks a rule.
pub(crate) struct Violation {
    path: String,
    line: usize,
    words: String,
}

impl Tree {
    pub(crate) fn of_the_project() -> Self {
        let root = root();
        // Git knows what belongs to the project: build output and installed packages are ignored there already.
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .expect("git is installed");
        assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        let names = String::from_utf8(listed.stdout).expect("the project's file names are UTF-8");
        let files: Vec<File> =
            names.split_terminator('\0').filter_map(|name| File::read(&root, name)).collect();
        assert!(
            files.iter().any(|file| file.path == "Cargo.toml"),
            "not the root of the project: {}",
            root.display()
        );
        Self { files }
    }

    /// A tree made up for a test of a rule.
    #[cfg(test)]
    pub(crate) fn invented(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() });
        Self { files: files.collect() }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    fn read(root: &Path, name: &str) -> Option<Self> {
        // A picture is no text, and a file deleted but still tracked is none at all.
        let text = std::fs::read_to_string(root.join(name)).ok()?;
        Some(Self { path: name.to_owned(), text })
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs" || part == "benches")
    }

    /// Whether the file belongs to the library or binary of crate `name`.
    pub(crate) fn is_source_of(&self, name: &str) -> bool {
        let source = self.path.strip_prefix("crates/").and_then(|path| path.strip_prefix(name));
        source.is_some_and(|path| path.starts_with("/src/"))
    }

    pub(crate) fn violation(&self, line: usize, words: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, words: words.into() }
    }
}

impl Violation {
    pub(crate) fn new(path: &str, line: usize, words: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, words: words.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.words)
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate stands two folders below the root").to_owned()
}
