//! Every listener has somewhere to listen and something to serve, and what it is told by a proxy comes from a listed one.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::super::{Api, Auth, Config, Entrance, Problems, ProxyProtocol, Source, Speaks, Tls, is_loopback};

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let entrances = config.entrances();
    somewhere(config, &entrances, problems);
    named_once(config, &entrances, problems);
    for entrance in &entrances {
        for Found { setting, text } in
            what_is_served(config, entrance).into_iter().chain(proxies(config, entrance))
        {
            problems.push(place(config, &entrance.section, setting), format!("{}.{text}", entrance.section));
        }
    }
    if let Api::Apart(api) = &config.listen.api
        && let Some(Found { setting, text }) =
            offloaded_by_nobody(config, &api.address, config.tls_of(api.tls))
    {
        problems.push(place(config, "listen.api", setting), format!("listen.api.{text}"));
    }
}

/// What is wrong, and the last part of the setting that says so.
struct Found {
    setting: &'static str,
    text: String,
}

impl Found {
    fn new(setting: &'static str, text: impl Into<String>) -> Found {
        Found { setting, text: text.into() }
    }
}

/// Where the setting was made; of one that is missing, where its table or another of its settings was.
fn place(config: &Config, section: &str, setting: &str) -> Option<Source> {
    config.source(&format!("{section}.{setting}")).or_else(|| config.source(section))
}

fn somewhere(config: &Config, entrances: &[Entrance<'_>], problems: &mut Problems) {
    let nowhere = |entrance: &Entrance<'_>| entrance.address.is_empty() && entrance.unix.is_none();
    let rule = "there is neither an address nor a unix socket to listen on";
    let (first, named) = entrances.split_at(1);
    if first.iter().all(nowhere) && named.is_empty() {
        problems.push(config.source("listen.address"), format!("listen: {rule}"));
    }
    for entrance in named.iter().filter(|entrance| nowhere(entrance)) {
        problems.push(config.source(&entrance.section), format!("{}: {rule}", entrance.section));
    }
    if let Api::Apart(api) = &config.listen.api
        && api.address.is_empty()
        && api.unix.is_none()
    {
        problems.push(config.source("listen.api.tls"), format!("listen.api: {rule}"));
    }
}

fn named_once(config: &Config, entrances: &[Entrance<'_>], problems: &mut Problems) {
    let mut all: Vec<_> = entrances.iter().map(|e| (e.section.as_str(), e.address, e.unix)).collect();
    if let Api::Apart(api) = &config.listen.api {
        all.push(("listen.api", &api.address, api.unix.as_deref()));
    }
    let (mut addresses, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (section, listed, unix) in all {
        for address in listed.iter().filter(|address| address.port() != 0) {
            if !addresses.insert(address) {
                let setting = config.source(&format!("{section}.address"));
                problems.push(setting, format!("{section}: {address} is named twice"));
            }
        }
        if let Some(path) = unix
            && !paths.insert(path)
        {
            let setting = config.source(&format!("{section}.unix"));
            problems.push(setting, format!("{section}: {} is named twice", path.display()));
        }
    }
}

fn what_is_served(config: &Config, entrance: &Entrance<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(doors) = entrance.doors {
        if *entrance.speaks != Speaks::Http {
            found.push(Found::new("doors", "doors: of no use where a door is spoken from the first byte"));
        } else if !doors.any() {
            found.push(Found::new("doors", "doors: an empty list; leave it out to open all"));
        }
    }
    if let Speaks::Stream(name) = entrance.speaks {
        match config.services().find(|(service, _)| service == name) {
            None => found.push(Found::new("speaks", format!("speaks: there is no service {name:?}"))),
            Some((_, service)) if service.auth() == Auth::Ticket => {
                let rule = format!(
                    "speaks: the service {name:?} asks for a ticket, and a bare stream has no place for it"
                );
                found.push(Found::new("speaks", rule));
            }
            Some(_) => {}
        }
    }
    found
}

fn proxies(config: &Config, entrance: &Entrance<'_>) -> Vec<Found> {
    let trusted = &config.listen.trusted;
    let mut found = Vec::new();
    if entrance.proxy_protocol == ProxyProtocol::Required {
        if !entrance.address.is_empty() && trusted.networks.is_empty() {
            let rule =
                "proxy_protocol: \"required\" needs listen.trusted, the networks that it may come from";
            found.push(Found::new("proxy_protocol", rule));
        }
        if entrance.unix.is_some() && !trusted.unix {
            let rule = "proxy_protocol: \"required\" on a unix socket needs \"unix\" in listen.trusted";
            found.push(Found::new("proxy_protocol", rule));
        }
    }
    found.extend(offloaded_by_nobody(config, entrance.address, entrance.tls));
    found
}

/// Off loopback somebody in particular does the TLS.
fn offloaded_by_nobody(config: &Config, addresses: &[SocketAddr], tls: Tls) -> Option<Found> {
    let open = addresses.iter().any(|address| !is_loopback(*address));
    let nobody = open && tls == Tls::Offloaded && config.listen.trusted.networks.is_empty();
    let rule = "tls: \"offloaded\" needs listen.trusted, the networks of what does the TLS";
    nobody.then(|| Found::new("tls", rule))
}
