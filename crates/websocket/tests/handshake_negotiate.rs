//! The grammar of extensions and subprotocols, and how extensions are agreed on (RFC 6455 §9.1).

mod handshake_support;

use std::sync::Arc;

use handshake_support::{ACCEPT, example, set, speaks};
use http::{HeaderMap, HeaderValue, Response};
use proptest::prelude::*;
use trunkline_websocket::handshake::negotiate::{
    ExtensionOffer, Params, Rsv, parse_extensions, parse_subprotocols,
};
use trunkline_websocket::handshake::{
    self, AcceptPolicy, Attempt, ConnectOptions, Extension, Extensions, Misuse, Rejected, Rule,
};
use trunkline_websocket::url::WsUrl;

/// An extension with one parameter, a level: the server takes levels up to its own.
#[derive(Debug)]
struct Toy {
    name: &'static str,
    rsv: Rsv,
    levels: &'static [u8],
}

const TOY: Toy = Toy { name: "x-toy", rsv: Rsv::RSV2, levels: &[9, 3] };

impl Extension for Toy {
    fn name(&self) -> &str {
        self.name
    }

    fn rsv(&self) -> Rsv {
        self.rsv
    }

    fn offers(&self) -> Vec<Params> {
        self.levels.iter().map(|level| Params::new().value("level", level).flag("quiet")).collect()
    }

    fn accept(&self, offer: &Params) -> Option<Params> {
        let level = level(offer)?;
        self.levels.contains(&level).then(|| Params::new().value("level", level))
    }

    fn confirm(&self, answer: &Params) -> Result<(), String> {
        let level = level(answer).ok_or("there is no level")?;
        if self.levels.contains(&level) { Ok(()) } else { Err(format!("level {level} was not offered")) }
    }
}

/// The one level, if everything else is known too.
fn level(params: &Params) -> Option<u8> {
    let mut level = None;
    for (name, value) in params.iter() {
        match (name, value) {
            ("level", Some(value)) if level.is_none() => level = Some(value.parse().ok()?),
            ("quiet", None) => {}
            _ => return None,
        }
    }
    level
}

fn toys(toys: Vec<Toy>) -> Vec<Arc<dyn Extension>> {
    toys.into_iter().map(|toy| Arc::new(toy) as _).collect()
}

fn agreed(extensions: &Extensions) -> Vec<String> {
    extensions.iter().map(|agreed| agreed.extension.to_string()).collect()
}

/// What a server with these extensions answers to an offer.
fn select(ours: Vec<Toy>, offer: &str) -> Vec<String> {
    let policy = AcceptPolicy { extensions: toys(ours), ..AcceptPolicy::default() };
    let accepted = handshake::accept(&set(example(), "sec-websocket-extensions", &[offer]), &policy)
        .expect("acceptable");
    let header = accepted.response().headers().get("sec-websocket-extensions");
    let list = agreed(accepted.extensions());
    assert_eq!(header.map(|value| value.to_str().expect("ASCII")).unwrap_or_default(), list.join(", "));
    list
}

#[test]
fn the_server_takes_the_first_acceptable_offer_of_several() {
    assert_eq!(select(vec![TOY], "x-toy; level=3, x-toy; level=9"), ["x-toy; level=3"]);
    assert_eq!(
        select(vec![TOY], "x-toy; level=1, x-toy; level=9; quiet, x-toy; level=3"),
        ["x-toy; level=9"]
    );
    assert_eq!(select(vec![TOY], "x-other, x-toy; level=\"9\""), ["x-toy; level=9"]);
    let bitless = Toy { rsv: Rsv::NONE, ..TOY };
    assert_eq!(
        select(vec![bitless], "x-toy; level=3, x-toy; level=9"),
        ["x-toy; level=3"],
        "whatever it claims"
    );
}

#[test]
fn the_server_declines_in_silence_what_it_cannot_accept() {
    for offer in [
        "x-toy",
        "x-toy; level",
        "x-toy; level=1",
        "x-toy; level=9; loud",
        "x-toy; level=9; level=9",
        "X-Toy; level=9",
    ] {
        assert!(select(vec![TOY], offer).is_empty(), "{offer}");
    }
    assert!(select(vec![], "x-toy; level=9").is_empty());
}

#[test]
fn the_server_never_agrees_to_two_extensions_that_claim_one_bit() {
    let rival = || Toy { name: "x-rival", ..TOY };
    let friend = || Toy { name: "x-friend", rsv: Rsv::RSV3, ..TOY };
    assert_eq!(select(vec![TOY, rival()], "x-rival; level=9, x-toy; level=9"), ["x-rival; level=9"]);
    let both = select(vec![TOY, friend()], "x-friend; level=9, x-toy; level=3");
    assert_eq!(both, ["x-friend; level=9", "x-toy; level=3"], "in the client's order");
}

#[test]
fn an_extension_that_answers_what_no_header_can_say_has_declined() {
    #[derive(Debug)]
    struct Broken;
    impl Extension for Broken {
        fn name(&self) -> &str {
            "x-broken"
        }
        fn rsv(&self) -> Rsv {
            Rsv::NONE
        }
        fn offers(&self) -> Vec<Params> {
            vec![Params::new().value("a", "b\r\nSet-Cookie: c")]
        }
        fn accept(&self, _: &Params) -> Option<Params> {
            self.offers().pop()
        }
        fn confirm(&self, _: &Params) -> Result<(), String> {
            Ok(())
        }
    }
    let extensions: Vec<Arc<dyn Extension>> = vec![Arc::new(Broken)];
    let policy = AcceptPolicy { extensions: extensions.clone(), ..AcceptPolicy::default() };
    let accepted = handshake::accept(&set(example(), "sec-websocket-extensions", &["x-broken"]), &policy);
    assert!(accepted.expect("acceptable").extensions().is_empty());

    let url = WsUrl::parse("ws://example.com").expect("a URL");
    let options = ConnectOptions { extensions, ..ConnectOptions::default() };
    assert!(matches!(handshake::request(&url, &options, [0; 16]), Err(Misuse::Extension(_))));
}

/// A client with these extensions, whose key is that of the RFC's example.
fn attempt(ours: Vec<Toy>) -> Attempt {
    let url = WsUrl::parse("ws://example.com").expect("a URL");
    let options = ConnectOptions { extensions: toys(ours), ..ConnectOptions::default() };
    handshake::request(&url, &options, *b"the sample nonce").expect("a request")
}

fn confirm(ours: Vec<Toy>, answers: &[&str]) -> Result<Vec<String>, Rejected> {
    let mut response = Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-accept", ACCEPT)
        .body(())
        .expect("a response");
    for answer in answers {
        response.headers_mut().append("sec-websocket-extensions", answer.parse().expect("a value"));
    }
    attempt(ours).verify(&response).map(|established| agreed(established.extensions()))
}

#[test]
fn the_client_offers_every_way_in_one_list_best_first() {
    let attempt = attempt(vec![TOY, Toy { name: "x-friend", rsv: Rsv::RSV3, levels: &[1] }]);
    assert_eq!(
        attempt.request().headers()["sec-websocket-extensions"],
        "x-toy; level=9; quiet, x-toy; level=3; quiet, x-friend; level=1; quiet"
    );
}

#[test]
fn the_client_goes_by_the_servers_choice_among_its_offers() {
    let friend = || Toy { name: "x-friend", rsv: Rsv::RSV3, ..TOY };
    assert_eq!(confirm(vec![TOY], &[]).expect("none chosen"), [""; 0]);
    assert_eq!(confirm(vec![TOY], &["x-toy; level=3"]).expect("chosen"), ["x-toy; level=3"]);
    let joined = confirm(vec![TOY, friend()], &["x-friend; level=9", "x-toy; level=3"]);
    assert_eq!(joined.expect("two lines are one list"), ["x-friend; level=9", "x-toy; level=3"]);
}

#[test]
fn the_client_fails_on_what_it_did_not_offer_or_cannot_accept() {
    let rival = || Toy { name: "x-rival", ..TOY };
    let silent = || Toy { levels: &[], ..TOY };
    for (name, ours, answers, rule) in [
        ("an unknown extension", vec![TOY], &["permessage-deflate"] as &[_], Rule::UnofferedExtension),
        ("one known but not offered", vec![silent()], &["x-toy; level=3"], Rule::UnofferedExtension),
        ("one in another case", vec![TOY], &["X-TOY; level=3"], Rule::UnofferedExtension),
        ("the same twice", vec![TOY], &["x-toy; level=3, x-toy; level=3"], Rule::UnofferedExtension),
        ("the same on two lines", vec![TOY], &["x-toy; level=3", "x-toy; level=9"], Rule::UnofferedExtension),
        ("no parameter", vec![TOY], &["x-toy"], Rule::ExtensionParams),
        ("a parameter out of range", vec![TOY], &["x-toy; level=8"], Rule::ExtensionParams),
        ("a parameter twice", vec![TOY], &["x-toy; level=9; level=9"], Rule::ExtensionParams),
        ("two of one bit", vec![TOY, rival()], &["x-toy; level=9, x-rival; level=9"], Rule::ExtensionParams),
        ("an empty list", vec![TOY], &[""], Rule::ExtensionSyntax),
        ("half an extension", vec![TOY], &["x-toy; level="], Rule::ExtensionSyntax),
        ("anything where nothing was offered", vec![], &["x-toy; level=3"], Rule::UnofferedExtension),
    ] {
        assert_eq!(confirm(ours, answers).map_err(|rejected| rejected.rule()), Err(rule), "{name}");
    }
}

#[test]
fn the_reason_of_the_extension_is_in_the_error() {
    let rejected = confirm(vec![TOY], &["x-toy; level=8"]).expect_err("out of range");
    assert!(rejected.to_string().contains("level 8 was not offered"), "{rejected}");
}

#[test]
fn the_agreed_extensions_tell_which_rsv_bits_have_a_meaning() {
    let friend = Toy { name: "x-friend", rsv: Rsv::RSV1, ..TOY };
    let policy = AcceptPolicy { extensions: toys(vec![TOY, friend]), ..AcceptPolicy::default() };
    for (offer, bits) in [
        ("x-other", 0b000),
        ("x-toy; level=9", 0b010),
        ("x-friend; level=9", 0b100),
        ("x-toy; level=9, x-friend; level=9", 0b110),
    ] {
        let request = set(example(), "sec-websocket-extensions", &[offer]);
        let accepted = handshake::accept(&request, &policy).expect("acceptable");
        assert_eq!(accepted.extensions().rsv().bits(), bits, "{offer}");
    }
}

#[test]
fn both_roles_agree_through_a_whole_handshake() {
    let attempt = attempt(vec![TOY]);
    let policy =
        AcceptPolicy { extensions: toys(vec![Toy { levels: &[3], ..TOY }]), ..AcceptPolicy::default() };
    let accepted = handshake::accept(attempt.request(), &policy).expect("acceptable");
    let established = attempt.verify(accepted.response()).expect("verified");
    assert_eq!(accepted.extensions(), established.extensions());
    let toy = established.extensions().get("x-toy").expect("agreed");
    assert_eq!(
        toy.extension,
        ExtensionOffer { name: "x-toy".into(), params: Params::new().value("level", 3) }
    );
    assert_eq!(toy.rsv, Rsv::RSV2);
}

fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn extensions(values: &[&str]) -> Result<Vec<String>, Rule> {
    parse_extensions(&headers("sec-websocket-extensions", values))
        .map(|offer| offer.map(|offer| offer.to_string()).map_err(|rejected| rejected.rule()))
        .collect()
}

#[test]
fn lists_of_extensions_are_read_as_the_grammar_says() {
    for (values, expected) in [
        (&[] as &[_], &[] as &[&str]),
        (&["a"], &["a"]),
        (&["a, b;c ,d;e=f"], &["a", "b; c", "d; e=f"]),
        (&["a", "b", " c ; d "], &["a", "b", "c; d"]),
        (&[",, a ,,", ",", "b"], &["a", "b"]),
        (&["a;b=\"c\""], &["a; b=c"]),
        (&["a;b=\"\\c\\d\""], &["a; b=cd"]),
        (&["a ; b = c ; b"], &["a; b=c; b"]),
        (&["a;a=1;a=2"], &["a; a=1; a=2"]),
        (&["constructor; __proto__=1"], &["constructor; __proto__=1"]),
        (&["foo; bar; baz=2, permessage-deflate"], &["foo; bar; baz=2", "permessage-deflate"]),
    ] {
        assert_eq!(extensions(values).expect("well-formed"), expected, "{values:?}");
    }
}

#[test]
fn malformed_lists_of_extensions_are_refused() {
    for values in [
        &[""] as &[_],
        &[" ", ","],
        &["a;"],
        &["a;;b"],
        &["a;b="],
        &["a;b=c=d"],
        &["a;b c"],
        &["a b"],
        &[";a"],
        &["=a"],
        &["a;=b"],
        &["a;b=\"c"],
        &["a;b=\"c\\"],
        &["a;b=\"c\"d"],
        &["a;b=\"\""],
        &["a;b=\"c d\""],
        &["a;b=\"c,d\""],
        &["a;\"b\"=c"],
        &["\"a\""],
        &["a/b"],
        &["a", "b;"],
        &["a@b"],
        &["\u{e9}"],
    ] {
        assert_eq!(extensions(values), Err(Rule::ExtensionSyntax), "{values:?}");
    }
}

#[test]
fn the_iterator_over_extensions_ends_after_its_first_error() {
    let headers = headers("sec-websocket-extensions", &["a, ;, b"]);
    let results: Vec<bool> = parse_extensions(&headers).map(|offer| offer.is_ok()).collect();
    assert_eq!(results, [true, false]);
}

#[test]
fn megabytes_in_a_list_are_read_in_linear_time() {
    // Where the work grows with the square of this (CVE-2021-32640, CVE-2020-7662), these would not end within hours.
    const MIB: usize = 1 << 20;
    let long = |piece: &str| HeaderValue::from_str(&piece.repeat(MIB / piece.len())).expect("a value");
    let with = |name: &'static str, value| {
        let mut headers = HeaderMap::new();
        headers.append(name, value);
        headers
    };
    for piece in [" ", "\t", ",", " ,", ", \t"] {
        let value = long(piece);
        assert!(parse_subprotocols(&with("sec-websocket-protocol", value.clone())).is_err());
        assert_eq!(parse_extensions(&with("sec-websocket-extensions", value)).count(), 1, "an empty list");
    }
    for piece in ["a, ", "a;b=\"c\",", "a; b ,"] {
        let headers = with("sec-websocket-extensions", long(piece));
        let ok = parse_extensions(&headers).filter(Result::is_ok).count();
        assert!(ok >= MIB / piece.len() - 1, "{piece}");
    }
    // A quoted string that never ends, and one that is nothing but backslashes.
    for start in ["a;b=\"", "a;b=\"\\"] {
        let value = HeaderValue::from_str(&format!("{start}{}", "\\".repeat(MIB))).expect("a value");
        assert_eq!(
            parse_extensions(&with("sec-websocket-extensions", value)).filter(Result::is_err).count(),
            1
        );
    }
    let names: Vec<String> = (0..MIB / 8).map(|n| format!("p{n}")).collect();
    let value = HeaderValue::from_str(&names.join(",")).expect("a value");
    let headers = with("sec-websocket-protocol", value);
    assert_eq!(parse_subprotocols(&headers).expect("unique").len(), names.len());
}

#[test]
fn thirty_two_kibibytes_of_spaces_around_a_subprotocol_change_nothing() {
    let spaces = " ".repeat(32 << 10);
    let offered = format!("{spaces}chat{spaces},{spaces}superchat{spaces}");
    let request = set(example(), "sec-websocket-protocol", &[&offered]);
    let accepted = handshake::accept(&request, &speaks(&["superchat"])).expect("acceptable");
    assert_eq!(accepted.subprotocol(), Some("superchat"));
}

proptest! {
    #[test]
    fn any_list_of_extensions_is_read_back_as_it_was_written(
        offers in prop::collection::vec(
            ("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,8}", prop::collection::vec(("[a-z_]{1,8}", prop::option::of("[a-z0-9-]{1,4}")), 0..4)),
            1..6,
        ),
    ) {
        let offers: Vec<ExtensionOffer> = offers
            .into_iter()
            .map(|(name, params)| {
                let params = params.into_iter().fold(Params::new(), |params, (name, value)| match value {
                    Some(value) => params.value(&name, value),
                    None => params.flag(&name),
                });
                ExtensionOffer { name, params }
            })
            .collect();
        let list = offers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let read: Result<Vec<_>, _> = parse_extensions(&headers("sec-websocket-extensions", &[&list])).collect();
        prop_assert_eq!(read.expect("well-formed"), offers);
    }

    #[test]
    fn no_list_makes_the_parsers_panic(value in "[a-c\"\\\\;=, \t\u{80}-\u{ff}]{0,60}") {
        let read: Vec<_> = parse_extensions(&headers("sec-websocket-extensions", &[&value])).collect();
        prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "an error is the last element");
        let _ = parse_subprotocols(&headers("sec-websocket-protocol", &[&value]));
    }
}
