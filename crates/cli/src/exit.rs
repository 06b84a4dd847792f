//! What the process ends with, and how a failure is told.

use std::fmt;
use std::process::ExitCode;

/// How a command ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: what was asked for was done, and every connection ended cleanly.
    Clean,
    /// 1: it could not be done, or a connection did not end cleanly.
    Unclean,
    /// 2: what was asked for makes no sense, so nothing was tried. Clap's own errors end with it too.
    Usage,
    /// 10: it works, and worse than it could.
    Degraded,
    /// 20: it does not work.
    Broken,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Unclean => 1,
            Exit::Usage => 2,
            Exit::Degraded => 10,
            Exit::Broken => 20,
        })
    }
}

/// What a command gives back.
pub(crate) type Outcome = Result<Exit, Failure>;

/// A command that could not do what it was asked for, and the words that say why.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    words: String,
}

impl Failure {
    /// To end with `exit`.
    pub(crate) fn new(exit: Exit, words: impl fmt::Display) -> Self {
        Self { exit, words: words.to_string() }
    }

    /// It was tried and did not work.
    pub(crate) fn unclean(words: impl fmt::Display) -> Self {
        Self::new(Exit::Unclean, words)
    }

    /// What was asked for makes no sense.
    pub(crate) fn usage(words: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, words)
    }

    /// What the process ends with because of it.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
