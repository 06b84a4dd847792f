//! Every limit of the dialect: what has exactly as much passes, what has one more does not.

use trunkline_dialect::command::{ClientInfo, Connect, Credential};
use trunkline_dialect::{ChannelName, Code, Epoch, Incoming, Limits, Secret, json};

fn decode(text: &str) -> Result<Incoming, Code> {
    json::decode_command(text.as_bytes(), &Limits::default()).map_err(|bad| bad.rule.code())
}

#[test]
fn a_credential_may_have_exactly_the_limit_and_not_one_byte_more() {
    let most = Limits::default().credential;
    for (verb, field) in [
        ("connect", "ticket"),
        ("connect", "token"),
        ("connect", "session"),
        ("refresh", "ticket"),
        ("refresh", "token"),
    ] {
        let text = |bytes: usize| format!(r#"{{"id":1,"{verb}":{{"{field}":"{}"}}}}"#, "x".repeat(bytes));
        assert!(decode(&text(most)).is_ok(), "{verb} {field}");
        assert_eq!(decode(&text(most + 1)).err(), Some(Code::TooLarge), "{verb} {field}");
    }
}

#[test]
fn the_name_and_version_of_a_client_may_have_exactly_the_limit_and_not_one_byte_more() {
    let most = Limits::default().client;
    let connect = |name: usize, version: usize| {
        let client = ClientInfo { name: "n".repeat(name), version: "v".repeat(version) };
        let connect = Connect { credential: Credential::Ticket(Secret::new("t")), client: Some(client) };
        trunkline_dialect::Command { id: 1, verb: connect.into() }.encode()
    };
    assert!(decode(&connect(most, most)).is_ok());
    assert_eq!(decode(&connect(most + 1, most)).err(), Some(Code::TooLarge));
    assert_eq!(decode(&connect(most, most + 1)).err(), Some(Code::TooLarge));
}

#[test]
fn names_of_channels_and_epochs_may_have_exactly_their_limit_in_bytes_and_not_one_more() {
    for bytes in [1, ChannelName::MAX_BYTES] {
        assert!(ChannelName::new(&"c".repeat(bytes)).is_ok());
    }
    assert!(ChannelName::new(&"c".repeat(ChannelName::MAX_BYTES + 1)).is_err());
    assert!(ChannelName::new("").is_err());
    assert!(Epoch::new(&"e".repeat(Epoch::MAX_BYTES)).is_ok());
    assert!(Epoch::new(&"e".repeat(Epoch::MAX_BYTES + 1)).is_err());
}

#[test]
fn an_id_may_be_as_large_as_every_json_reader_can_hold_and_not_one_more() {
    let ping = |id: u64| decode(&format!(r#"{{"id":{id},"ping":{{}}}}"#));
    let most = (1 << 53) - 1;
    assert!(ping(1).is_ok() && ping(most).is_ok());
    assert_eq!((ping(0).err(), ping(most + 1).err()), (Some(Code::BadRequest), Some(Code::BadRequest)));
}

#[test]
fn what_the_hub_sends_may_nest_exactly_as_deep_as_a_client_follows_and_not_one_deeper() {
    // The message is one level, and a body that a newer hub may send is the rest.
    let message =
        |depth: usize| format!(r#"{{"weather":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let too_deep = |text: String| {
        json::decode_message(text.as_bytes()).err().is_some_and(|bad| bad.to_string().contains("72"))
    };
    assert!(!too_deep(message(72)));
    assert!(too_deep(message(73)));
}
