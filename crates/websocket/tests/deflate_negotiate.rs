//! How permessage-deflate is agreed on (RFC 7692 sections 5 and 7.1), through the handshake as both ends make it.

mod deflate_support;
mod handshake_support;

use std::sync::Arc;

use deflate_support::agreed;
use handshake_support::{ACCEPT, example, set};
use http::{HeaderValue, Response};
use trunkline_websocket::deflate::{Agreed, BadConfig, DeflateConfig, Params, Variant};
use trunkline_websocket::handshake::{
    self, AcceptPolicy, Attempt, ConnectOptions, Established, Rejected, Rule,
};
use trunkline_websocket::url::WsUrl;

const EXTENSIONS: &str = "sec-websocket-extensions";

/// What a server with `config` answers to `offer`, and goes by; `None` if it declines.
fn answer(config: &DeflateConfig, offer: &str) -> Result<Option<(String, Agreed)>, Rejected> {
    let policy = AcceptPolicy { extensions: vec![Arc::new(config.clone())], ..AcceptPolicy::default() };
    let accepted = handshake::accept(&set(example(), EXTENSIONS, &[offer]), &policy)?;
    let header = accepted.response().headers().get(EXTENSIONS).map(text);
    let agreed = config.agreed(accepted.extensions(), true);
    assert_eq!(header.is_some(), agreed.is_some());
    Ok(header.zip(agreed))
}

/// The answer's parameters alone.
fn params_answered(config: &DeflateConfig, offer: &str) -> Option<String> {
    let (answer, _) = answer(config, offer).expect("well-formed")?;
    Some(answer.strip_prefix("permessage-deflate").expect("its name").to_owned())
}

fn attempt(config: &DeflateConfig) -> Attempt {
    let options = ConnectOptions { extensions: vec![Arc::new(config.clone())], ..ConnectOptions::default() };
    let url = WsUrl::parse("ws://server.example.com/chat").expect("a URL");
    // The bytes whose Base64 is the RFC's key.
    handshake::request(&url, &options, *b"the sample nonce").expect("valid options")
}

fn offered(config: &DeflateConfig) -> Option<String> {
    attempt(config).request().headers().get(EXTENSIONS).map(text)
}

/// What a client with `config` makes of the server's `answer`.
fn confirm(config: &DeflateConfig, answer: &str) -> Result<Established, Rejected> {
    let response = Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", ACCEPT)
        .header(EXTENSIONS, answer)
        .body(())
        .expect("a response");
    attempt(config).verify(&response)
}

fn confirmed(config: &DeflateConfig, answer: &str) -> Option<Agreed> {
    match confirm(config, answer) {
        Ok(established) => Some(config.agreed(established.extensions(), false).expect("in use")),
        Err(rejected) => {
            assert_eq!(rejected.rule(), Rule::ExtensionParams, "{answer}: {rejected}");
            None
        }
    }
}

fn text(value: &HeaderValue) -> String {
    value.to_str().expect("ASCII").to_owned()
}

fn with_bits(server_max_window_bits: u8, client_max_window_bits: u8) -> DeflateConfig {
    DeflateConfig { server_max_window_bits, client_max_window_bits, ..DeflateConfig::default() }
}

#[test]
fn a_client_offers_what_browsers_offer() {
    let offer = offered(&DeflateConfig::default());
    assert_eq!(offer.as_deref(), Some("permessage-deflate; client_max_window_bits"));
    let browser = include_str!("fixtures/request_chromium.http").to_lowercase();
    assert!(browser.contains(&format!("{EXTENSIONS}: {}\r\n", offer.expect("there is one"))));
}

#[test]
fn a_client_asks_for_what_its_configuration_says() {
    for (config, offer) in [
        (
            DeflateConfig::lean(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (with_bits(10, 15), "permessage-deflate; server_max_window_bits=10; client_max_window_bits"),
        (with_bits(15, 9), "permessage-deflate; client_max_window_bits=9"),
    ] {
        assert_eq!(offered(&config).as_deref(), Some(offer));
    }
}

#[test]
fn a_server_answers_an_offer_as_the_rfc_says() {
    let (plain, lean, small) = (DeflateConfig::default(), DeflateConfig::lean(), with_bits(11, 10));
    let cases: &[(&DeflateConfig, &str, Option<&str>)] = &[
        (&plain, "permessage-deflate", Some("")),
        (&plain, "permessage-deflate; client_max_window_bits", Some("")),
        (&plain, "permessage-deflate; server_no_context_takeover", Some("; server_no_context_takeover")),
        (&plain, "permessage-deflate; client_no_context_takeover", Some("; client_no_context_takeover")),
        (&plain, "permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
        (&plain, "permessage-deflate; server_max_window_bits=9", Some("; server_max_window_bits=9")),
        (&plain, "permessage-deflate; server_max_window_bits=\"9\"", Some("; server_max_window_bits=9")),
        (&plain, "permessage-deflate; client_max_window_bits=8", Some("; client_max_window_bits=8")),
        (&plain, "permessage-deflate; client_max_window_bits=15", Some("")),
        // What it wants itself it says unasked, but for what the client may not be able to do.
        (
            &lean,
            "permessage-deflate; client_max_window_bits",
            Some("; server_no_context_takeover; client_no_context_takeover"),
        ),
        (
            &small,
            "permessage-deflate; client_max_window_bits",
            Some("; server_max_window_bits=11; client_max_window_bits=10"),
        ),
        (
            &small,
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=10",
            Some("; server_max_window_bits=10; client_max_window_bits=9"),
        ),
        (&small, "permessage-deflate", Some("; client_no_context_takeover; server_max_window_bits=11")),
        // A window of 256 bytes is none that it can compress with: declined, and the next offer tried.
        (&plain, "permessage-deflate; server_max_window_bits=8", None),
        (&plain, "permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
        (
            &plain,
            "permessage-deflate; x, permessage-deflate; server_max_window_bits=12, permessage-deflate",
            Some("; server_max_window_bits=12"),
        ),
        // What has no meaning.
        (&plain, "permessage-deflate; server_max_window_bits", None),
        (&plain, "permessage-deflate; server_no_context_takeover=1", None),
        (&plain, "permessage-deflate; client_no_context_takeover=true", None),
        (&plain, "permessage-deflate; mem_level=8", None),
        (&plain, "permessage-deflate; Server_no_context_takeover", None),
        (&plain, "x-webkit-deflate-frame", None),
        (&plain, "Permessage-Deflate", None),
    ];
    for (config, offer, expected) in cases {
        assert_eq!(params_answered(config, offer).as_deref(), *expected, "{offer}");
    }
}

#[test]
fn a_parameter_that_comes_twice_declines_the_offer_and_fails_the_answer() {
    let config = DeflateConfig::default();
    for param in [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=10",
        "client_max_window_bits=10",
    ] {
        let (once, twice) =
            (format!("permessage-deflate; {param}"), format!("permessage-deflate; {param}; {param}"));
        assert!(params_answered(&config, &once).is_some(), "{once}");
        assert!(params_answered(&config, &twice).is_none(), "{twice}");
        assert!(confirmed(&config, &once).is_some(), "{once}");
        assert!(confirmed(&config, &twice).is_none(), "{twice}");
    }
    assert!(
        params_answered(&config, "permessage-deflate; client_max_window_bits; client_max_window_bits=9")
            .is_none()
    );
}

/// All numbers up to 999, quoted ones too, nothing at all, and what a lax parser of numbers lets through.
fn values() -> impl Iterator<Item = String> {
    let odd = [
        "",
        "\"\"",
        "08",
        "008",
        "015",
        "+8",
        "+9",
        "-9",
        "9.0",
        "0x9",
        "1e1",
        "8a",
        "a",
        "\"09\"",
        "\"+9\"",
        "\" 9\"",
        "264",
        "65545",
        "4294967305",
        "18446744073709551625",
        "99999999999999999999999999999999999999",
    ];
    let numbers = (0..=999).map(|number| number.to_string());
    let quoted = (0..=20).map(|number| format!("\"{number}\""));
    numbers.chain(quoted).chain(odd.map(str::to_owned))
}

/// The number that `value` is, by the grammar and section 7.1.2.
fn bits_of(value: &str) -> Option<u8> {
    let token = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (8..=15).find(|bits| bits.to_string() == token)
}

#[test]
fn of_all_values_only_8_to_15_are_window_bits_for_a_server() {
    let config = DeflateConfig::default();
    for value in values() {
        for (name, least) in [("server_max_window_bits", 9), ("client_max_window_bits", 8)] {
            let offer = format!("permessage-deflate; {name}={value}");
            let answered = answer(&config, &offer);
            match bits_of(&value).filter(|bits| *bits >= least) {
                Some(bits) => {
                    let (_, agreed) = answered.expect("well-formed").unwrap_or_else(|| panic!("{offer}"));
                    let params = agreed.params;
                    let got = if least == 9 {
                        params.server_max_window_bits
                    } else {
                        params.client_max_window_bits
                    };
                    assert_eq!(got, bits, "{offer}");
                }
                None => match answered {
                    Ok(answered) => assert_eq!(answered, None, "{offer}"),
                    Err(rejected) => assert_eq!(rejected.rule(), Rule::ExtensionSyntax, "{offer}"),
                },
            }
        }
    }
}

#[test]
fn of_all_values_only_8_to_15_are_window_bits_for_a_client() {
    let config = DeflateConfig::default();
    for value in values() {
        for (name, least) in [("server_max_window_bits", 8), ("client_max_window_bits", 9)] {
            let answer = format!("permessage-deflate; {name}={value}");
            match (confirm(&config, &answer), bits_of(&value).filter(|bits| *bits >= least)) {
                (Ok(established), Some(bits)) => {
                    let params = config.agreed(established.extensions(), false).expect("in use").params;
                    let got = if least == 8 {
                        params.server_max_window_bits
                    } else {
                        params.client_max_window_bits
                    };
                    assert_eq!(got, bits, "{answer}");
                }
                (Err(rejected), None) => {
                    let rules = [Rule::ExtensionParams, Rule::ExtensionSyntax, Rule::UnofferedExtension];
                    assert!(rules.contains(&rejected.rule()), "{answer}: {rejected}");
                }
                (result, expected) => panic!("{answer}: {result:?}, where {expected:?} is right"),
            }
        }
    }
}

#[test]
fn a_client_refuses_what_it_did_not_offer_or_cannot_do() {
    let (plain, lean, small) = (DeflateConfig::default(), DeflateConfig::lean(), with_bits(11, 10));
    let cases: &[(&DeflateConfig, &str, bool)] = &[
        (&plain, "", true),
        (&plain, "; server_no_context_takeover", true),
        // "A client MUST support it" (section 7.1.1.2), and was not asked.
        (&plain, "; client_no_context_takeover", true),
        (&plain, "; server_max_window_bits=8", true),
        (&plain, "; client_max_window_bits=9", true),
        (&plain, "; client_max_window_bits", false),
        (&plain, "; client_max_window_bits=8", false),
        (&plain, "; server_max_window_bits", false),
        (&plain, "; server_no_context_takeover=0", false),
        (&plain, "; x=1", false),
        // What was a condition must be met.
        (&lean, "", false),
        (&lean, "; client_no_context_takeover", false),
        (&lean, "; server_no_context_takeover", true),
        (&small, "", false),
        (&small, "; server_max_window_bits=12", false),
        (&small, "; server_max_window_bits=11", true),
        (&small, "; server_max_window_bits=8; client_max_window_bits=9", true),
    ];
    for (config, params, good) in cases {
        assert_eq!(confirmed(config, &format!("permessage-deflate{params}")).is_some(), *good, "{params}");
    }
    let twice = confirm(&plain, "permessage-deflate, permessage-deflate").expect_err("two answers");
    assert_eq!(twice.rule(), Rule::UnofferedExtension);
}

/// Every configuration of a server with every offer that has a meaning.
#[test]
fn whatever_a_server_answers_keeps_to_the_offer_and_to_its_own_configuration() {
    let bits = [None, Some(8), Some(9), Some(10), Some(14), Some(15)];
    for (ours_server, ours_client) in [(15, 15), (9, 9), (10, 14), (14, 9)] {
        for number in 0..16 {
            let flag = |bit: usize| number >> bit & 1 == 1;
            let config = DeflateConfig {
                server_no_context_takeover: flag(0),
                client_no_context_takeover: flag(1),
                ..with_bits(ours_server, ours_client)
            };
            for server_bits in bits {
                for client_bits in bits.map(Some).into_iter().chain([None]) {
                    let mut offer = String::from("permessage-deflate");
                    for (name, there) in [("server", flag(2)), ("client", flag(3))] {
                        offer += &if there { format!("; {name}_no_context_takeover") } else { String::new() };
                    }
                    offer += &server_bits
                        .map_or(String::new(), |bits: u8| format!("; server_max_window_bits={bits}"));
                    offer += &client_bits.map_or(String::new(), |bits: Option<u8>| {
                        bits.map_or("; client_max_window_bits".into(), |bits| {
                            format!("; client_max_window_bits={bits}")
                        })
                    });
                    let answered = answer(&config, &offer).expect("well-formed");
                    assert_eq!(answered.is_none(), server_bits == Some(8), "{offer}");
                    let Some((answer, Agreed { params, .. })) = answered else { continue };
                    assert!(params.server_no_context_takeover == (flag(0) || flag(2)), "{offer}: {answer}");
                    assert!(params.client_no_context_takeover || !(flag(1) || flag(3)), "{offer}: {answer}");
                    assert_eq!(params.server_max_window_bits, server_bits.unwrap_or(15).min(ours_server));
                    assert!(
                        server_bits.is_none() || answer.contains("server_max_window_bits"),
                        "{offer}: {answer}"
                    );
                    // Either it remembers no more than it wants to, or the client forgets.
                    assert!(
                        params.client_max_window_bits <= ours_client || params.client_no_context_takeover
                    );
                    assert!(params.client_max_window_bits <= client_bits.flatten().unwrap_or(15));
                    assert!(
                        client_bits.is_some() || !answer.contains("client_max_window_bits"),
                        "{offer}: {answer}"
                    );
                }
            }
        }
    }
}

/// What our client offers our server accepts, and what it answers our client confirms, and both go by the same.
#[test]
fn our_client_and_our_server_always_come_together() {
    let mut configs = vec![DeflateConfig::default(), DeflateConfig::lean()];
    for server in 9..=15 {
        for client in 9..=15 {
            configs.push(with_bits(server, client));
            configs.push(DeflateConfig { server_no_context_takeover: true, ..with_bits(server, client) });
        }
    }
    for ours in &configs {
        let offer = offered(ours).expect("an offer");
        for theirs in &configs {
            let (answer, agreed) = answer(theirs, &offer).expect("well-formed").expect("accepted");
            let confirmed =
                confirmed(ours, &answer).unwrap_or_else(|| panic!("{offer} was answered {answer}"));
            assert_eq!(confirmed.params, agreed.params, "{offer}: {answer}");
        }
    }
}

#[test]
fn a_client_that_wants_to_forget_does_so_unasked() {
    let config = DeflateConfig { client_no_context_takeover: true, ..DeflateConfig::default() };
    let agreed = confirmed(&config, "permessage-deflate").expect("confirmed");
    assert!(agreed.params.client_no_context_takeover);
    assert_eq!(agreed.variant(false), Some(Variant { window_bits: 15, level: config.level }));
}

#[test]
fn what_was_not_agreed_on_is_not_in_use() {
    let policy =
        AcceptPolicy { extensions: vec![Arc::new(DeflateConfig::default())], ..AcceptPolicy::default() };
    let accepted = handshake::accept(&example(), &policy).expect("acceptable");
    assert_eq!(DeflateConfig::default().agreed(accepted.extensions(), true), None);
    let answered =
        answer(&DeflateConfig { level: 7, threshold: 99, ..DeflateConfig::lean() }, "permessage-deflate");
    let (_, Agreed { params, level, threshold }) = answered.expect("well-formed").expect("accepted");
    let expected = Params { server_max_window_bits: 15, ..agreed(15, false).params };
    assert_eq!((params, level, threshold), (expected, 7, 99));
}

#[test]
fn a_configuration_out_of_range_says_so_and_agrees_to_nothing() {
    for level in 0..=u8::MAX {
        let config = DeflateConfig { level, ..DeflateConfig::default() };
        let good = (1..=9).contains(&level);
        assert_eq!(config.check(), if good { Ok(()) } else { Err(BadConfig::Level { got: level }) });
        assert_eq!(offered(&config).is_some(), good);
        assert_eq!(params_answered(&config, "permessage-deflate").is_some(), good);
    }
    for got in 0..=u8::MAX {
        for (name, config) in
            [("server_max_window_bits", with_bits(got, 15)), ("client_max_window_bits", with_bits(15, got))]
        {
            let good = (9..=15).contains(&got);
            assert_eq!(config.check(), if good { Ok(()) } else { Err(BadConfig::WindowBits { name, got }) });
            assert_eq!(offered(&config).is_some(), good);
            assert_eq!(
                params_answered(&config, "permessage-deflate; client_max_window_bits").is_some(),
                good
            );
        }
    }
}

/// Section 7.1.2.2: a server may make its decompressor by what the client offered, and not say so in its answer.
#[test]
fn a_client_goes_no_further_than_it_offered_whatever_the_server_answers() {
    let config = DeflateConfig {
        client_max_window_bits: 9,
        client_no_context_takeover: true,
        ..DeflateConfig::default()
    };
    for answer in ["permessage-deflate", "permessage-deflate; client_max_window_bits=15"] {
        let agreed = confirmed(&config, answer).expect("an answer to our offer");
        assert_eq!(agreed.params.client_max_window_bits, 9, "{answer}");
        assert!(agreed.params.client_no_context_takeover, "{answer}");
    }
}
