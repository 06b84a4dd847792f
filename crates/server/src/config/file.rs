//! A `trunkline.toml`, walked with its spans so that every problem has its line.

use std::path::Path;

use toml_edit::{Document, Item, TableLike, Value};

use super::given::Given;
use super::layers;
use super::listener::{LISTENER_SETTINGS, NAME_LENGTH, is_name};
use super::namespace::NAMESPACE_SETTINGS;
use super::service::SERVICE_SETTINGS;
use super::settings::{SETTINGS, Setting};
use super::{Config, Problems, Source};

const NAMESPACES: &str = "namespaces";
const LISTENERS: &str = "listener";
const SERVICES: &str = "service";

/// Applies every setting of the text; what cannot be applied becomes a problem and the rest goes on.
pub(super) fn apply(config: &mut Config, path: &Path, text: &str, problems: &mut Problems) {
    let file = File { path, text };
    match Document::parse(text) {
        Ok(document) => file.section(config, "", document.as_table(), problems),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            problems
                .push(Some(file.source(at)), format!("not TOML: {}", error.message().replace('\n', ", ")));
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// One table, the root included: `section` is its path with a dot at the end, or nothing.
    fn section(&self, config: &mut Config, section: &str, table: &dyn TableLike, problems: &mut Problems) {
        for (key, item) in table.iter() {
            let path = format!("{section}{key}");
            let source = self.source_of(table, key);
            let inner = format!("{path}.");
            let is_section = SETTINGS.iter().any(|setting| setting.path.starts_with(&inner));
            match item.as_table_like() {
                Some(inner) if path == NAMESPACES => self.namespaces(config, inner, problems),
                Some(inner) if path == LISTENERS => self.listeners(config, inner, problems),
                Some(inner) if path == SERVICES => self.services(config, inner, problems),
                Some(table) if is_section => self.section(config, &inner, table, problems),
                _ => match layers::find(&path) {
                    Some(setting) => match layers::apply(setting, config, &path, &given(item)) {
                        Ok(()) => config.note(&path, &source),
                        Err(message) => problems.push(Some(source), message),
                    },
                    None if is_section || [NAMESPACES, LISTENERS, SERVICES].contains(&path.as_str()) => {
                        problems.push(Some(source), format!("{path}: expected a table, [{path}]"));
                    }
                    None => problems.push(Some(source), unknown(&path, section)),
                },
            }
        }
    }

    /// `[namespaces.<name>]`: those named are all there are.
    fn namespaces(&self, config: &mut Config, table: &dyn TableLike, problems: &mut Problems) {
        config.namespaces.0.clear();
        for (name, item) in table.iter() {
            let path = format!("{NAMESPACES}.{name}");
            let source = self.source_of(table, name);
            if name.is_empty() || name.len() > 64 || name.contains(|c: char| c == ':' || c.is_control()) {
                let rule = "a namespace's name has 1 to 64 bytes, no colon and no control character";
                problems.push(Some(source.clone()), format!("{path}: {rule}"));
            }
            match item.as_table_like() {
                Some(table) => {
                    let namespace = self.table_of(&path, table, NAMESPACE_SETTINGS, config, problems);
                    config.namespaces.0.insert(name.to_owned(), namespace);
                    config.note(&path, &source);
                }
                None => problems.push(Some(source), format!("{path}: expected a table, [{path}]")),
            }
        }
    }

    /// `[listener.<name>]`.
    fn listeners(&self, config: &mut Config, table: &dyn TableLike, problems: &mut Problems) {
        for (name, path, table) in self.named(LISTENERS, config, table, problems) {
            let listener = self.table_of(&path, table, LISTENER_SETTINGS, config, problems);
            config.listeners.insert(name.to_owned(), listener);
        }
    }

    /// `[service.<name>]`.
    fn services(&self, config: &mut Config, table: &dyn TableLike, problems: &mut Problems) {
        for (name, path, table) in self.named(SERVICES, config, table, problems) {
            let service = self.table_of(&path, table, SERVICE_SETTINGS, config, problems);
            config.services.insert(name.to_owned(), service);
        }
    }

    /// The tables of a section whose names are the user's, each with its name and its path.
    fn named<'t>(
        &self,
        section: &str,
        config: &mut Config,
        table: &'t dyn TableLike,
        problems: &mut Problems,
    ) -> Vec<(&'t str, String, &'t dyn TableLike)> {
        let mut named = Vec::new();
        for (name, item) in table.iter() {
            let path = format!("{section}.{name}");
            let source = self.source_of(table, name);
            if !is_name(name) {
                let rule = format!(
                    "a {section}'s name has 1 to {NAME_LENGTH} letters, digits, dots, hyphens and underscores"
                );
                problems.push(Some(source.clone()), format!("{path}: {rule}"));
            }
            match item.as_table_like() {
                Some(table) => {
                    config.note(&path, &source);
                    named.push((name, path, table));
                }
                None => problems.push(Some(source), format!("{path}: expected a table, [{path}]")),
            }
        }
        named
    }

    /// One table whose name is the user's, with settings of its own on top of the defaults.
    fn table_of<T: Default>(
        &self,
        path: &str,
        table: &dyn TableLike,
        settings: &'static [Setting<T>],
        config: &mut Config,
        problems: &mut Problems,
    ) -> T {
        let mut target = T::default();
        for (key, item) in table.iter() {
            let source = self.source_of(table, key);
            let path = format!("{path}.{key}");
            match settings.iter().find(|setting| setting.path == key) {
                Some(setting) => match layers::apply(setting, &mut target, &path, &given(item)) {
                    Ok(()) => config.note(&path, &source),
                    Err(message) => problems.push(Some(source), message),
                },
                None => {
                    let names = settings.iter().map(|setting| setting.path.to_owned());
                    problems.push(Some(source), unknown_among(&path, key, names));
                }
            }
        }
        target
    }

    fn source_of(&self, table: &dyn TableLike, key: &str) -> Source {
        let span = table.key(key).and_then(toml_edit::Key::span);
        self.source(span.map_or(0, |span| span.start))
    }

    fn source(&self, offset: usize) -> Source {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Source::File { path: self.path.to_owned(), line }
    }
}

/// An unknown key, with the nearest known one of the same section, or of anywhere.
fn unknown(path: &str, section: &str) -> String {
    let names = |prefix: &'static str| {
        SETTINGS.iter().map(|setting| setting.path).filter(move |p| p.starts_with(prefix))
    };
    let sections = names("").filter_map(|path| path.split_once('.')).map(|(section, _)| section);
    let here = names("").filter(|path| path.starts_with(section)).map(str::to_owned);
    let candidates =
        here.chain(sections.map(str::to_owned)).chain([NAMESPACES, LISTENERS, SERVICES].map(str::to_owned));
    unknown_among(path, path, candidates)
}

fn unknown_among(path: &str, word: &str, candidates: impl Iterator<Item = String>) -> String {
    match layers::nearest(word, candidates) {
        Some(near) => format!("{path}: no such setting; did you mean {near}?"),
        None => format!("{path}: no such setting"),
    }
}

fn given(item: &Item) -> Given {
    match item {
        Item::Value(value) => given_value(value),
        Item::None => Given::Other("nothing"),
        Item::Table(_) => Given::Other("a table"),
        Item::ArrayOfTables(_) => Given::Other("a list of tables"),
    }
}

fn given_value(value: &Value) -> Given {
    match value {
        Value::String(text) => Given::Text(text.value().clone()),
        Value::Integer(number) => Given::Integer(*number.value()),
        Value::Float(number) => Given::Float(*number.value()),
        Value::Boolean(value) => Given::Bool(*value.value()),
        Value::Array(items) => Given::List(items.iter().map(given_value).collect()),
        Value::Datetime(_) => Given::Other("a date"),
        Value::InlineTable(_) => Given::Other("a table"),
    }
}
