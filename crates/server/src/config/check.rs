//! What contradicts itself, and what must not be started.

mod listeners;
mod tls;

use std::collections::BTreeSet;

use super::{Auth, BUILT_IN, Config, Origins, Probe, Problems, UpstreamAddress};
use crate::policy::SlowReader;

/// The shortest API key that is taken where anybody can try one.
const API_KEY_LENGTH: usize = 16;

pub(super) fn check(config: &Config) -> Problems {
    let mut problems = Problems::default();
    listeners::check(config, &mut problems);
    // The probe alone keeps no secret: what it is for is to see what a path does, in plaintext too.
    if config.probe != Probe::Alone {
        tls::check(config, &mut problems);
        secrets(config, &mut problems);
    }
    dev(config, &mut problems);
    limits(config, &mut problems);
    namespaces(config, &mut problems);
    services(config, &mut problems);
    problems
}

fn secrets(config: &Config, problems: &mut Problems) {
    if config.is_local() {
        return;
    }
    match &config.api_key {
        None => problems.push(
            None,
            "api.key: required when a listener is not loopback (TRUNKLINE_API_KEY, or [api] key)",
        ),
        Some(key) if key.reveal().len() < API_KEY_LENGTH => {
            let rule = format!(
                "api.key: at least {API_KEY_LENGTH} characters are required when a listener is not loopback"
            );
            problems.push(config.source("api.key"), rule);
        }
        Some(_) => {}
    }
    if config.session.key.is_none() {
        let rule =
            "session.key: required when a listener is not loopback (TRUNKLINE_SESSION_KEY, or [session] key)";
        problems.push(None, rule);
    }
}

fn dev(config: &Config, problems: &mut Problems) {
    if config.dev == Some(true) && !config.is_local() {
        problems.push(
            config.source("dev"),
            "dev: hands tickets to whoever asks, so every listener must be loopback",
        );
    }
}

fn limits(config: &Config, problems: &mut Problems) {
    let limits = &config.limits;
    if limits.publication > limits.message {
        let rule =
            "limits.publication_bytes: larger than limits.message_bytes, so that it can never be reached";
        problems.push(config.source("limits.publication_bytes"), rule);
    }
    if limits.publication > limits.outbox {
        let rule =
            "limits.publication_bytes: larger than limits.outbox_bytes, so that it could never be delivered";
        problems.push(config.source("limits.publication_bytes"), rule);
    }
    if limits.outbox > limits.outbox_total {
        let rule =
            "limits.outbox_total: less than limits.outbox_bytes, so that not one client could have that much";
        problems.push(config.source("limits.outbox_total"), rule);
    }
    if limits.publication > limits.request {
        let rule = "limits.publication_bytes: larger than limits.request_bytes, so that the API could never publish it";
        problems.push(config.source("limits.publication_bytes"), rule);
    }
    if limits.command_burst < limits.command_rate {
        let rule =
            "limits.commands_burst: less than limits.commands_per_s, so that the rate can never be reached";
        problems.push(config.source("limits.commands_burst"), rule);
    }
    if config.origins == Origins::Listed(Vec::new()) {
        problems.push(
            config.source("origins"),
            "origins: an empty list; leave it out to admit the request's own host alone",
        );
    }
}

fn namespaces(config: &Config, problems: &mut Problems) {
    if config.namespaces.0.is_empty() {
        problems
            .push(config.source("namespaces"), "namespaces: there is none, so that no channel could be used");
    }
    for (name, namespace) in &config.namespaces.0 {
        let path = format!("namespaces.{name}");
        let mut problem = |text: &str| problems.push(config.source(&path), format!("{path}.{text}"));
        if namespace.slow_reader == Some(SlowReader::CatchUp) && namespace.history.size == 0 {
            problem("slow_reader: catch-up needs a history, and history_size is 0");
        }
        if let Some(rate) = &namespace.publish_rate
            && rate.burst < rate.per_second
        {
            problem("publish_burst: less than publish_per_s, so that the rate can never be reached");
        }
    }
}

fn services(config: &Config, problems: &mut Problems) {
    let mut places = BTreeSet::new();
    for (name, service) in config.services() {
        let path = format!("service.{name}");
        let mut problem = |text: String| problems.push(config.source(&path), format!("{path}{text}"));
        let built_in = BUILT_IN.contains(&name);
        match &service.upstream {
            None if !built_in => {
                problem(format!(": it has no upstream, and what is built in is {}", BUILT_IN.join(", ")))
            }
            Some(_) if built_in => {
                problem(".upstream: what is built in has none; choose another name".into())
            }
            Some(UpstreamAddress::Http(_)) if service.proxy_protocol => {
                problem(
                    ".proxy_protocol: an HTTP upstream is told the client's address by header fields".into(),
                );
            }
            None if service.proxy_protocol => {
                problem(".proxy_protocol: there is no upstream to tell the client's address to".into());
            }
            None if service.auth() == Auth::Upstream => {
                problem(".auth: there is no upstream to let clients in".into());
            }
            _ => {}
        }
        if service.origins == Some(Origins::Listed(Vec::new())) {
            problem(".origins: an empty list; leave it out to have those of every door".into());
        }
        let on = |host: &str| -> Vec<_> { service.path.iter().map(|path| format!("{host}{path}")).collect() };
        let mut mine: Vec<String> = match (service.host.as_slice(), service.path.as_slice()) {
            ([], _) => on(""),
            (hosts, []) => hosts.to_vec(),
            (hosts, _) => hosts.iter().flat_map(|host| on(host)).collect(),
        };
        mine.retain(|place| !places.insert(place.clone()));
        if let [place, ..] = mine.as_slice() {
            problem(format!(": {place} belongs to another service already"));
        }
    }
}
