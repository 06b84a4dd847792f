//! What the path does to headers and addresses: those of a request that has some to lose.

use crate::facts::{Headers, Outcome};
use crate::near::changes::{compare, lowered};
use crate::near::http1::{Head, ask};
use crate::near::talk::{Asking, Talk};
use crate::near::target::Target;
use crate::wire::{self, Field, Hello};

/// An address for documentation (RFC 5737), which no client has.
const FORGED: &str = "203.0.113.77";

/// Headers that paths are known to drop, or to change.
const TRIED: &[(&str, &str)] = &[
    ("X-Forwarded-For", FORGED),
    ("Authorization", "Bearer probe"),
    ("X-Auth-Token", "probe"),
    ("X-Trunkline-Probe", "MiXed Case"),
    ("Origin", "https://probe.invalid"),
    ("User-Agent", "trunkline-probe"),
    ("Accept-Language", "en"),
];

pub(crate) async fn measure(target: &Target<'_>) -> Option<Headers> {
    let asking = Asking { fields: TRIED, ..Asking::default() };
    match Talk::websocket(target, asking).await {
        Ok(mut talk) => {
            let hello = talk.hello.take()?;
            let local =
                talk.pipe.stream().and_then(|stream| stream.get_ref().tcp_socket()?.local_addr().ok());
            let local = local.map(|address| address.ip().to_string());
            Some(compared(&talk.sent, &talk.answered, &hello, local))
        }
        Err(_) => plain(target).await.ok(),
    }
}

/// Where upgrades do not pass, a plain request tells of the rest.
async fn plain(target: &Target<'_>) -> Result<Headers, Outcome> {
    let mut head = Head::new("GET", target.path(), TRIED);
    head.fields.push(("Connection".to_owned(), "close".to_owned()));
    let answer = ask(target, &head, b"").await?;
    let answered = answer.fields.clone();
    let hello: Hello =
        wire::decode(&answer.whole(target.patience).await).map_err(|rule| Outcome::Violation { rule })?;
    let mut headers = compared(&head.all(target), &answered, &hello, None);
    // The library that answers adds what the service does not know of.
    headers.response = Default::default();
    Ok(headers)
}

fn compared(sent: &[Field], answered: &[Field], hello: &Hello, local: Option<String>) -> Headers {
    let sent = hidden(sent);
    let value = |name: &str| {
        let found = hello.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).reduce(|all, one| format!("{all}, {one}"))
    };
    Headers {
        request: compare(&sent, &hello.headers),
        response: compare(&hello.answered, answered),
        cased: if hello.case_kept { lowered(&sent, &hello.headers) } else { Vec::new() },
        version: hello.version.clone(),
        forged: FORGED.to_owned(),
        forwarded_for: value("x-forwarded-for"),
        remote: hello.remote.clone(),
        address: hello.address.clone(),
        address_by: hello.address_by.clone(),
        local,
    }
}

/// As the far end tells of them: without what may be a secret.
fn hidden(fields: &[Field]) -> Vec<Field> {
    let secret = ["authorization", "proxy-authorization", "cookie", "x-auth-token"];
    let hide = |(name, value): &Field| match secret.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
        true => (name.clone(), "...".to_owned()),
        false => (name.clone(), value.clone()),
    };
    fields.iter().map(hide).collect()
}
