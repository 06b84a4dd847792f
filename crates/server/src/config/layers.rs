//! How one value gets from a layer to its setting, and which setting was perhaps meant.

use super::given::Given;
use super::settings::{SETTINGS, Setting, VARIABLE_PREFIX};
use super::{Config, Override, Problems, Source};

pub(super) fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

/// Applies one value to `target` and, if it is not what the setting wants, says so.
pub(super) fn apply<T>(
    setting: &Setting<T>,
    target: &mut T,
    path: &str,
    given: &Given,
) -> Result<(), String> {
    (setting.apply)(target, given).map_err(|expected| match given {
        Given::Words(_) | Given::Text(_) => format!("{path}: expected {expected}"),
        _ => format!("{path}: expected {expected}, found {}", given.found()),
    })
}

pub(super) fn apply_variable(config: &mut Config, name: &str, value: &str, problems: &mut Problems) {
    if !name.starts_with(VARIABLE_PREFIX) {
        return;
    }
    let source = Source::Environment(name.to_owned());
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
        apply_words(config, setting, value, source, problems);
    } else if let Some(near) = nearest(name, SETTINGS.iter().map(Setting::variable)) {
        problems.push(Some(source), format!("no such setting; did you mean {near}?"));
    }
}

pub(super) fn apply_override(config: &mut Config, given: &Override, problems: &mut Problems) {
    let source = Source::Override(given.from.clone());
    match find(&given.setting) {
        Some(setting) => apply_words(config, setting, &given.value, source, problems),
        None => problems.push(Some(source), format!("{}: no such setting", given.setting)),
    }
}

fn apply_words(config: &mut Config, setting: &Setting, value: &str, source: Source, problems: &mut Problems) {
    match apply(setting, config, setting.path, &Given::Words(value.to_owned())) {
        Ok(()) => config.note(setting.path, &source),
        Err(message) => problems.push(Some(source), message),
    }
}

/// The candidate that a slip of the finger or two away from `word`, if there is one.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (distance(word, &candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
