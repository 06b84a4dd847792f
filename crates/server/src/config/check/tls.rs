//! Nothing in plaintext that leaves this machine; and certificates that can be used, before anybody comes.

use std::net::SocketAddr;
use std::path::PathBuf;

use trunkline_net::tls::{CertificateFiles, TlsError};

use super::super::{Api, Certificates, ClientCertificates, Config, Problems, Source, Tls, is_loopback};
use crate::tls;

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let entrances = config.entrances();
    let mut groups: Vec<Group<'_>> = entrances
        .iter()
        .map(|entrance| Group { section: &entrance.section, addresses: entrance.address, tls: entrance.tls })
        .collect();
    if let Api::Apart(api) = &config.listen.api {
        groups.push(Group { section: "listen.api", addresses: &api.address, tls: config.tls_of(api.tls) });
    }
    for group in &groups {
        group.check(config, problems);
    }
    let mut found = contradictions(&config.tls);
    let used = groups.iter().any(|group| group.tls == Tls::On && !group.addresses.is_empty());
    if config.tls.upgrade && !config.tls.are_there() {
        found.push(Found::new("tls.upgrade", "needs a certificate, which tls.cert and tls.key name"));
    }
    if found.is_empty() && config.tls.are_there() {
        if used || config.tls.upgrade {
            found = unusable(&config.tls);
        } else {
            let setting = if config.tls.acme.is_said() { "tls.acme.domains" } else { "tls.cert" };
            found.push(Found::new(setting, "no TCP listener uses it"));
        }
    }
    for Found { setting, text } in found {
        problems.push(place(config, setting), format!("{setting}: {text}"));
    }
}

/// Addresses of which one setting says who does TLS there.
struct Group<'a> {
    section: &'a str,
    addresses: &'a [SocketAddr],
    tls: Tls,
}

impl Group<'_> {
    /// The rule that keeps credentials off open wires.
    fn check(&self, config: &Config, problems: &mut Problems) {
        let (setting, tls_setting) = (format!("{}.address", self.section), format!("{}.tls", self.section));
        if self.tls == Tls::On && !config.tls.are_there() {
            let rule = format!("{tls_setting}: \"on\" needs a certificate, which tls.cert and tls.key name");
            problems.push(config.source(&tls_setting), rule);
        }
        let open = |address: &&SocketAddr| self.tls == Tls::Off && !is_loopback(**address);
        for address in self.addresses.iter().filter(open) {
            problems.push(
                config.source(&setting),
                format!(
                    "{setting}: {address} is not loopback, and off loopback plaintext is refused: give a certificate \
                     (tls.cert and tls.key, or --cert and --key), or put something that does TLS in front and say \
                     {tls_setting} = \"offloaded\""
                ),
            );
        }
    }
}

/// What is wrong with a setting.
struct Found {
    setting: &'static str,
    text: String,
}

impl Found {
    fn new(setting: &'static str, text: impl Into<String>) -> Self {
        Found { setting, text: text.into() }
    }
}

/// Where a setting was made; of one that is missing, where another of its table was.
fn place(config: &Config, setting: &str) -> Option<Source> {
    config.source(setting).or_else(|| {
        let (table, _) = setting.rsplit_once('.')?;
        let in_table = |path: &str| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        config.sources.iter().find(|(path, _)| in_table(path)).map(|(_, source)| source.clone())
    })
}

fn contradictions(said: &Certificates) -> Vec<Found> {
    let Certificates { offloaded, cert, key, client, client_ca, acme, .. } = said;
    let mut found = Vec::new();
    let mut problem = |setting, text: &str| found.push(Found::new(setting, text));
    if *offloaded && said.are_there() {
        problem("tls", "offloaded, and certificates of its own: one or the other");
    }
    if cert.len() != key.len() {
        problem(
            "tls.cert",
            &format!("certificates: {}, keys: {}; each needs its own", cert.len(), key.len()),
        );
    }
    match (client, client_ca) {
        (ClientCertificates::Off, Some(_)) => {
            problem("tls.client_ca", "of no use while tls.client is \"off\"")
        }
        (ClientCertificates::Optional | ClientCertificates::Required, None) => {
            problem("tls.client", "needs tls.client_ca, to tell good certificates from others");
        }
        (ClientCertificates::Optional | ClientCertificates::Required, Some(_)) if !said.are_there() => {
            problem(
                "tls.client",
                "there is no tls.cert: this server does no TLS itself and would ask nobody",
            );
        }
        _ => {}
    }
    if acme.is_said() {
        if !cert.is_empty() {
            problem("tls.acme.domains", "certificates come from files or by ACME, not both");
        }
        if acme.domains.is_empty() {
            problem("tls.acme.domains", "required with the other settings of [tls.acme]");
        }
        if acme.cache.is_none() {
            problem("tls.acme.cache", "required: without it every start would order certificates anew");
        }
    }
    found
}

/// Every file that cannot be used: each pair is read by itself, then all of it together.
fn unusable(said: &Certificates) -> Vec<Found> {
    let alone = |CertificateFiles { chain, key }| {
        tls::check(&Certificates { cert: vec![chain], key: vec![key], ..Certificates::default() })
    };
    let mut errors: Vec<TlsError> =
        tls::pairs(said).into_iter().filter_map(|pair| alone(pair).err()).collect();
    if errors.is_empty() {
        errors.extend(tls::check(said).err());
    }
    // What is wrong with none of them in particular, each would say.
    errors.dedup_by(|a, b| matches!((a, b), (TlsError::NoProvider, TlsError::NoProvider)));
    errors.into_iter().map(|error| Found::new(setting_of(said, &error), error.to_string())).collect()
}

/// Which setting has named the file that is the trouble.
fn setting_of(said: &Certificates, error: &TlsError) -> &'static str {
    let file = match error {
        TlsError::File { file, .. } => Some(file),
        _ => None,
    };
    let named = |paths: &[PathBuf]| paths.iter().any(|path| Some(&path.display().to_string()) == file);
    if named(&said.key) {
        "tls.key"
    } else if named(said.client_ca.as_slice()) {
        "tls.client_ca"
    } else if named(said.acme.directory_ca.as_slice()) {
        "tls.acme.directory_ca"
    } else if said.acme.is_said() {
        "tls.acme.domains"
    } else {
        "tls.cert"
    }
}

#[cfg(test)]
mod tests;
