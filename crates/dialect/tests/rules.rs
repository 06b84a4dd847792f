//! The rules of reading that no short text can show: limits, sizes, bytes that are not text.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::fmt::Write;

use trunkline_dialect::command::{ClientInfo, Connect, Credential, Publish};
use trunkline_dialect::{
    BadCommand, BadJson, BadText, ChannelName, Code, Command, Disconnect, Epoch, ErrorBody, Incoming, Json,
    Limits, Publication, Push, Reconnect, Rule, Secret, ServerMessage, Subscribed, Verb, json,
};

#[test]
fn bytes_that_are_not_utf8_are_refused_at_their_place() {
    let rule = refused(b"{\"id\":1,\"ping\":{\"a\":\"\xff\"}}").rule;
    assert_eq!(rule, Rule::NotUtf8 { at: 21 });
}

#[test]
fn a_mebibyte_of_open_brackets_is_refused_before_a_parser_sees_it() {
    for byte in [b'[', b'{'] {
        let bad = refused(&vec![byte; 1 << 20]);
        assert_eq!(bad.rule, Rule::TooDeep { limit: 64, got: 1 << 20 });
        assert_eq!(bad.rule.code(), Code::BadRequest);
    }
}

#[test]
fn the_depth_of_a_command_is_limited_where_the_limit_says() {
    let limits = Limits { depth: 3, ..Limits::default() };
    let command = |data: &str| format!(r#"{{"id":1,"publish":{{"channel":"c","data":{data}}}}}"#);
    assert!(json::decode_command(command("[]").as_bytes(), &limits).is_ok());
    let bad = json::decode_command(command("[[]]").as_bytes(), &limits).unwrap_err();
    assert_eq!(bad, BadCommand { id: Some(1), rule: Rule::TooDeep { limit: 3, got: 4 } });
}

#[test]
fn an_escaped_quote_does_not_end_a_string_of_brackets() {
    let text = format!(r#"{{"id":1,"publish":{{"channel":"c","data":"\"{}\\"}}}}"#, "[".repeat(100));
    assert!(decode(text.as_bytes()).is_ok());
}

#[test]
fn publish_data_may_have_exactly_the_limit_and_not_one_byte_more() {
    let publish = |bytes: usize| {
        format!(r#"{{"id":9,"publish":{{"channel":"c","data":"{}"}}}}"#, "x".repeat(bytes - 2)).into_bytes()
    };
    assert!(decode(&publish(64 * 1024)).is_ok());
    let bad = refused(&publish(64 * 1024 + 1));
    assert_eq!(bad.id, Some(9), "the publisher waits for an answer");
    assert_eq!(bad.rule, Rule::TooLarge { what: "publish data", limit: 65536, got: 65537 });
    assert_eq!(bad.rule.code(), Code::TooLarge);
}

#[test]
fn a_credential_longer_than_its_limit_is_too_large() {
    for verb in ["connect", "refresh"] {
        for field in ["ticket", "token"] {
            let text = format!(r#"{{"id":1,"{verb}":{{"{field}":"{}"}}}}"#, "x".repeat(16 * 1024 + 1));
            assert_eq!(refused(text.as_bytes()).rule.code(), Code::TooLarge, "{verb} {field}");
        }
    }
}

#[test]
fn a_hundred_thousand_keys_are_refused_by_the_first_two() {
    let mut text = String::from(r#"{"id":1"#);
    for key in 0..100_000 {
        write!(text, r#","k{key}":0"#).unwrap();
    }
    text.push('}');
    assert_eq!(refused(text.as_bytes()).rule, Rule::TwoVerbs("k0".into(), "k1".into()));
}

#[test]
fn an_error_repeats_no_more_than_a_little_of_what_came() {
    let long = "\u{fc}".repeat(100_000);
    for text in [
        format!(r#"{{"id":1,"{long}":{{}}}}"#),
        format!(r#"{{"id":1,"{long}":0,"b{long}":0}}"#),
        format!(r#"{{"id":1,"{long}":0,"{long}":0}}"#),
        format!(r#"{{"id":"{long}","ping":{{}}}}"#),
        format!(r#"{{"id":1,"ping":"{long}"}}"#),
        format!(r#"{{"pong":"{long}"}}"#),
    ] {
        let bad = refused(text.as_bytes());
        assert!(bad.error().message.len() <= 512, "{}", bad.error().message.len());
        assert!(bad.encode().len() < 1024);
    }
}

#[test]
fn a_bad_command_is_answered_with_its_id_where_there_is_one() {
    assert_eq!(
        refused(br#"{"id":7}"#).encode(),
        r#"{"id":7,"error":{"code":"bad_request","message":"a command has one verb beside its id, got none","retry":false}}"#
    );
    assert_eq!(
        refused(br#"{"ping":{}}"#).encode(),
        r#"{"error":{"code":"bad_request","message":"a command has an id, got none","retry":false}}"#
    );
}

#[test]
fn the_namespace_is_what_stands_before_the_first_colon() {
    for (name, namespace) in [
        ("room:1", "room"),
        ("room:a:b", "room"),
        ("lobby", "lobby"),
        (":x", ""),
        ("room:", "room"),
        ("ä:b", "ä"),
    ] {
        assert_eq!(ChannelName::new(name).unwrap().namespace(), namespace, "{name}");
    }
}

#[test]
fn texts_are_measured_in_bytes_and_have_no_control_characters() {
    assert_eq!(ChannelName::new(""), Err(BadText::Empty { what: "a channel name" }));
    assert!(ChannelName::new(&"ä".repeat(127)).is_ok());
    assert_eq!(
        ChannelName::new(&"ä".repeat(128)),
        Err(BadText::TooLong { what: "a channel name", limit: 255, got: 256 })
    );
    for control in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
        let name = format!("ä{control}");
        assert_eq!(
            ChannelName::new(&name),
            Err(BadText::ControlCharacter { what: "a channel name", at: 2 }),
            "{control:?}"
        );
    }
    assert!(ChannelName::new("with space \u{a0}\u{2028}").is_ok(), "spaces are no control characters");
    assert!(Epoch::new(&"e".repeat(64)).is_ok());
    assert!(Epoch::new(&"e".repeat(65)).is_err());
}

#[test]
fn data_deeper_than_fits_into_a_command_is_refused_where_it_is_made() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let data = Json::parse(&nested(62)).unwrap();
    let channel = ChannelName::new("c").unwrap();
    let command = Command { id: 1, verb: Publish { channel, data, exclude_self: false }.into() };
    assert!(decode(command.encode().as_bytes()).is_ok(), "what can be made can be sent");
    assert_eq!(Json::parse(&nested(63)), Err(BadJson::TooDeep { limit: 62, got: 63 }));
    assert!(matches!(Json::parse("[1,]"), Err(BadJson::Syntax(_))));
    assert!(matches!(Json::parse("1 2"), Err(BadJson::Syntax(_))));
}

#[test]
fn the_deepest_data_survives_every_message_that_carries_it() {
    let data = Json::parse(&("[".repeat(62) + &"]".repeat(62))).unwrap();
    let publication = Publication { offset: 1, data, user: None, at: 0 };
    let reply = trunkline_dialect::Reply::ok(
        1,
        Subscribed {
            epoch: Epoch::new("e").unwrap(),
            offset: 1,
            recovered: true,
            publications: vec![publication.clone()],
            members: None,
        },
    );
    let ServerMessage::Ok { body, .. } = json::decode_message(reply.encode().as_bytes()).unwrap() else {
        panic!("a good reply")
    };
    assert_eq!(body.read::<Subscribed>().unwrap().publications, [publication]);
}

#[test]
fn a_client_does_not_follow_a_hub_into_any_depth() {
    let text = format!(r#"{{"weather":{}{}}}"#, "[".repeat(1 << 16), "]".repeat(1 << 16));
    assert!(json::decode_message(text.as_bytes()).unwrap_err().what.contains("72"));
}

#[test]
fn json_is_on_one_line_whatever_came() {
    let json = Json::parse("{\n \"a\" : [ 1 ,\r\n\t\"x \\\" y\\\\\" ] }").unwrap();
    assert_eq!(json.get(), r#"{"a":[1,"x \" y\\"]}"#);
    let spaced = Json::parse(r#"{ "a" : 1 }"#).unwrap();
    assert_eq!(spaced.get(), r#"{ "a" : 1 }"#, "without a newline its bytes are kept");
    assert_eq!(Json::of(&["a\nb"]).unwrap().get(), r#"["a\nb"]"#);
}

#[test]
fn secrets_do_not_show_themselves() {
    let command = Command {
        id: 1,
        verb: Verb::Connect(Connect {
            credential: Credential::Ticket(Secret::new("hunter2")),
            client: Some(ClientInfo { name: "n".into(), version: "v".into() }),
        }),
    };
    assert!(!format!("{command:?}").contains("hunter2"));
    assert!(command.encode().contains("hunter2"), "the wire needs it");
}

#[test]
fn every_code_is_found_by_its_name_and_by_its_close_code() {
    for &code in Code::ALL {
        assert_eq!(Code::from_name(code.name()), Some(code));
        assert_eq!(Code::from_close_code(code.close_code()), Some(code));
        assert!((4400..4500).contains(&code.close_code()), "{code}");
        let disconnect = Disconnect::new(code, "m");
        assert_eq!(disconnect.reconnect, code.reconnect() != Reconnect::No);
        let text = Push::Disconnect(disconnect.clone()).encode();
        let Ok(ServerMessage::Push(Push::Disconnect(read))) = json::decode_message(text.as_bytes()) else {
            panic!("{text}")
        };
        assert_eq!(read, disconnect);
    }
    assert_eq!(Code::from_name("teapot"), None);
    assert_eq!(Code::from_close_code(4418), None);
}

#[test]
fn an_error_takes_the_advice_of_its_code() {
    for &code in Code::ALL {
        assert_eq!(ErrorBody::new(code, "").retry, code.retry());
    }
}

fn decode(text: &[u8]) -> Result<Incoming, BadCommand> {
    json::decode_command(text, &Limits::default())
}

fn refused(text: &[u8]) -> BadCommand {
    decode(text).expect_err("it breaks a rule")
}
