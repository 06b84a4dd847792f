//! How the settings are read that want more than one kind of value.

use trunkline_net::handshake::OriginPolicy;

use super::given::{Expected, Given};
use super::{Api, ApiListen, ClientCertificates, Config, Origins, Secret, SessionKey, Tls};

/// The API's own listeners, made if nothing has spoken of them yet.
pub(super) fn apart(config: &mut Config) -> &mut ApiListen {
    if !matches!(config.listen.api, Api::Apart(_)) {
        config.listen.api = Api::Apart(ApiListen::default());
    }
    match &mut config.listen.api {
        Api::Apart(api) => api,
        _ => unreachable!("it was just made"),
    }
}

/// `true` and `false` are words for it too.
pub(super) fn tls(given: &Given) -> Result<Tls, Expected> {
    match given {
        Given::Bool(true) => Ok(Tls::On),
        Given::Bool(false) => Ok(Tls::Off),
        _ => given.choice(&[("on", Tls::On), ("off", Tls::Off), ("offloaded", Tls::Offloaded)]),
    }
}

pub(super) fn client_certificates(given: &Given) -> Result<ClientCertificates, Expected> {
    given.choice(&[
        ("off", ClientCertificates::Off),
        ("optional", ClientCertificates::Optional),
        ("required", ClientCertificates::Required),
    ])
}

pub(super) fn origins(given: &Given) -> Result<Origins, Expected> {
    let list = given.list()?;
    if list == ["*"] {
        return Ok(Origins::Any);
    }
    let origins: Vec<String> = list.into_iter().map(str::to_owned).collect();
    match OriginPolicy::List(origins.clone()).check().first() {
        None => Ok(Origins::Listed(origins)),
        Some(misuse) => Err(format!("origins such as https://example.org: {misuse}")),
    }
}

/// A token (RFC 9110 §5.6.2) that no other protocol has.
pub(super) fn upgrade_token(given: &Given) -> Result<String, Expected> {
    const TAKEN: &[&str] = &["websocket", "stream", "trunk", "h2c", "http", "tls"];
    let text = given.text()?;
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let free = !TAKEN.iter().any(|taken| text.eq_ignore_ascii_case(taken));
    let token = !text.is_empty() && text.bytes().all(in_token);
    (free && token).then(|| text.to_owned()).ok_or_else(|| {
        format!("a token such as firepresence, without a version, and none of {}", TAKEN.join(", "))
    })
}

pub(super) fn secret(given: &Given) -> Result<Secret, Expected> {
    let text = given.text()?;
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    visible
        .then(|| Secret::new(text))
        .ok_or_else(|| "a key of visible ASCII characters without blanks".into())
}

pub(super) fn session_key(given: &Given) -> Result<SessionKey, Expected> {
    let expected = || String::from("64 hexadecimal digits, as from `openssl rand -hex 32`");
    let text = given.text()?;
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(expected());
    }
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| expected())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| expected())?;
    }
    Ok(SessionKey(key))
}

pub(super) fn node_name(given: &Given) -> Result<String, Expected> {
    let text = given.text()?;
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| "1 to 64 visible ASCII characters".into())
}
