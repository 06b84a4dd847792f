//! What the path does to headers and addresses.

use super::{Finding, Severity, find};
use crate::facts::{Facts, Headers};

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(headers) = &facts.headers else { return };
    host(headers, found);
    version(headers, found);
    dropped(headers, found);
    addresses(headers, found);
    if !headers.cased.is_empty() {
        let what = format!("Names of headers arrive in lower case ({}).", headers.cased.join(", "));
        find(
            found,
            Severity::Note,
            "names_lowered",
            what,
            "Compare names of headers without case, in both directions.",
        );
    }
}

fn host(headers: &Headers, found: &mut Vec<Finding>) {
    let changed = headers.request.changed.iter().find(|(name, ..)| name == "host");
    if let Some((_, sent, arrived)) = changed {
        let what = format!(
            "Host arrives as {arrived:?} where {sent:?} was sent: browsers' pages are then of another origin and are refused."
        );
        let advice = "Pass it on as it is: in nginx `proxy_set_header Host $http_host`. Or list the pages' origin in the setting `origins`.";
        find(found, Severity::Degraded, "host_changed", what, advice);
    }
}

fn version(headers: &Headers, found: &mut Vec<Finding>) {
    if headers.version == "HTTP/1.0" {
        let what = "The request arrives as HTTP/1.0: a proxy speaks the old version to the server, in which nothing can be upgraded and answers may be held.";
        find(found, Severity::Degraded, "http_1_0", what, "In nginx: `proxy_http_version 1.1`.");
    }
}

fn dropped(headers: &Headers, found: &mut Vec<Finding>) {
    let dropped = |name: &str| headers.request.dropped.iter().any(|(other, _)| other == name);
    if dropped("authorization") {
        let what = "The Authorization header does not arrive.";
        find(
            found,
            Severity::Degraded,
            "authorization_dropped",
            what,
            "Send tickets as ?ticket= or X-Auth-Token. In Squid: `login=PASSTHRU`.",
        );
    }
    if dropped("x-auth-token") {
        find(
            found,
            Severity::Degraded,
            "token_dropped",
            "X-Auth-Token does not arrive.",
            "Send tickets as ?ticket= in the URL.",
        );
    }
    let rest: Vec<&str> = headers.request.dropped.iter().map(|(name, _)| name.as_str()).collect();
    let rest: Vec<&str> = rest
        .into_iter()
        .filter(|name| {
            !matches!(
                *name,
                "authorization"
                    | "x-auth-token"
                    | "x-forwarded-for"
                    | "connection"
                    | "upgrade"
                    | "keep-alive"
            )
        })
        .collect();
    if !rest.is_empty() {
        let what = format!("Headers that do not arrive: {}.", rest.join(", "));
        find(found, Severity::Note, "headers_dropped", what, "Do not depend on them.");
    }
    if headers.response.dropped.iter().any(|(name, _)| name == "trunkline") {
        let what = "The server's own marker header is dropped from answers.";
        find(
            found,
            Severity::Note,
            "marker_dropped",
            what,
            "Read the body of an answer rather than its headers.",
        );
    }
}

/// What became of an `X-Forwarded-For` that anybody could have written.
fn addresses(headers: &Headers, found: &mut Vec<Finding>) {
    let forged = headers.forged.as_str();
    let believed = !forged.is_empty() && headers.address.as_deref() == Some(forged);
    if believed {
        let what = format!(
            "The server believes a forged X-Forwarded-For: it takes {forged} for the client's address."
        );
        let advice = "Let the proxy append or replace the header, and list nothing in `listen.trusted` but your own proxies.";
        find(found, Severity::Broken, "forged_address_believed", what, advice);
        return;
    }
    let what = match headers.forwarded_for.as_deref() {
        None => return,
        // On a path without a proxy it has to arrive as it was sent.
        Some(arrived) if arrived == forged && !through_proxy(headers) => return,
        Some(arrived) if arrived == forged => {
            "A proxy passes X-Forwarded-For on as the client wrote it, and adds nothing: it says nothing of the client.".to_owned()
        }
        Some(arrived) if arrived.starts_with(forged) && !forged.is_empty() => {
            format!("A proxy appends to X-Forwarded-For: {arrived}. Only what stands right of the client's own entry is true.")
        }
        Some(arrived) => format!("A proxy writes X-Forwarded-For itself: {arrived}."),
    };
    let seen = headers.address.as_deref().unwrap_or("none");
    let advice = format!(
        "The server sees the address {seen} ({}). To see the client's, list the proxy's network in `listen.trusted` and let the proxy write the header or speak the PROXY protocol.",
        headers.address_by
    );
    find(found, Severity::Note, "forwarded_for", what, advice);
}

fn through_proxy(headers: &Headers) -> bool {
    let traces =
        ["via", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded", "x-forwarded-server"];
    headers.request.added.iter().any(|(name, _)| traces.contains(&name.as_str()))
        || headers.request.changed.iter().any(|(name, ..)| name == "connection" || name == "host")
        || !headers.cased.is_empty()
        || headers.version == "HTTP/1.0"
}
