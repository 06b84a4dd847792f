//! What `serve` and `check` go by: file, environment and flags, put together by the server's own rules.

use std::path::{Path, PathBuf};

use trunkline_server::config::{Override, Source};
use trunkline_server::{Config, Problems};

use crate::args::ConfigFile;
use crate::exit::Exit;

/// Read if it is there and no other file is named.
const DEFAULT_FILE: &str = "trunkline.toml";

/// Variables of this command, which are no settings of the server.
const NOT_SETTINGS: &[&str] = &["TRUNKLINE_CONFIG", "TRUNKLINE_LOG"];

/// The file to go by, if there is one.
pub(crate) fn file(args: ConfigFile) -> Option<PathBuf> {
    args.path.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

/// File, then environment, then flags: the later one wins.
///
/// # Errors
///
/// Every problem of all of them at once.
pub(crate) fn load(file: Option<&Path>, flags: &[Flag<'_>]) -> Result<Config, Problems> {
    // Settings are text: what is not is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()));
    let overrides = flags.iter().filter(|flag| !flag.values.is_empty()).map(|flag| Override {
        setting: flag.setting.to_owned(),
        value: flag.values.join(","),
        from: flag.name.to_owned(),
    });
    Config::load(file, environment, overrides)
}

/// A flag that stands for a setting, with all that it was given.
pub(crate) struct Flag<'a> {
    pub(crate) name: &'static str,
    pub(crate) setting: &'static str,
    pub(crate) values: &'a [String],
}

/// A flag that cannot be is usage; a file that cannot be is something to repair.
pub(crate) fn exit(problems: &Problems) -> Exit {
    let from_flag = |source: &Option<Source>| matches!(source, Some(Source::Override(_)));
    let usage = problems.iter().any(|problem| from_flag(&problem.source));
    if usage { Exit::Usage } else { Exit::Unclean }
}
