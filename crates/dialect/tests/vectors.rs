//! The vectors that Rust and TypeScript share: `vectors/dialect.json` and `vectors/codes.json`.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use serde_json::Value;
use trunkline_dialect::{
    ChannelPush, Code, Connected, History, Incoming, Limits, Pong, Presence, Published, Push, RawBody,
    Refreshed, Reply, ReplyBody, ServerMessage, Subscribed, Unsubscribed, json,
};

const DIALECT: &str = include_str!("../../../vectors/dialect.json");
const CODES: &str = include_str!("../../../vectors/codes.json");

#[test]
fn every_vector_of_a_client_is_read_as_it_says() {
    for vector in vectors("client_to_hub") {
        let name = &vector["name"];
        let result = json::decode_command(text(&vector["text"]).as_bytes(), &Limits::default());
        match (result, &vector["error"]) {
            (Ok(incoming), Value::Null) => {
                let kind = match &incoming {
                    Incoming::Command(command) => command.verb.name(),
                    Incoming::Pong(_) => "pong",
                };
                assert_eq!(kind, vector["meaning"]["kind"], "{name}");
                assert_eq!(incoming.encode(), vector["meaning"]["encoded"], "{name}");
            }
            (Err(bad), error @ Value::Object(_)) => {
                assert_eq!(bad.rule.code().name(), error["code"], "{name}: {bad}");
                assert_eq!(bad.id, error["id"].as_u64(), "{name}: {bad}");
                assert_says(&bad.to_string(), &error["says"], name);
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn every_vector_of_the_hub_is_read_as_it_says() {
    for vector in vectors("hub_to_client") {
        let name = &vector["name"];
        let verb = vector["meaning"]["verb"].as_str().or(vector["error"]["verb"].as_str());
        let result = json::decode_message(text(&vector["text"]).as_bytes())
            .map_err(|bad| bad.to_string())
            .and_then(|message| kind_and_encoded(message, verb));
        match (result, &vector["error"]) {
            (Ok((kind, encoded)), Value::Null) => {
                assert_eq!(kind, vector["meaning"]["kind"], "{name}");
                assert_eq!(encoded, vector["meaning"]["encoded"], "{name}");
            }
            (Err(what), error @ Value::Object(_)) => assert_says(&what, &error["says"], name),
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn the_table_of_codes_is_the_published_one() {
    let published: Vec<Value> = serde_json::from_str(CODES).unwrap();
    let ours: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            serde_json::json!({
                "name": code.name(),
                "close": code.close_code(),
                "retry": code.retry(),
                "reconnect": code.reconnect().name(),
            })
        })
        .collect();
    assert_eq!(published, ours);
}

fn vectors(direction: &str) -> impl Iterator<Item = Value> {
    let all: Vec<Value> = serde_json::from_str(DIALECT).unwrap();
    let count = all.len();
    let (chosen, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|vector| vector["direction"] == direction);
    assert!(chosen.len() > 30 && others.len() < count, "{direction} has its vectors");
    chosen.into_iter()
}

fn kind_and_encoded(message: ServerMessage, verb: Option<&str>) -> Result<(&'static str, String), String> {
    Ok(match message {
        ServerMessage::Ok { id, body } => ("reply", reply(id, &body, verb)?.encode()),
        ServerMessage::Error { id, error } => ("error", Reply::error(id, error).encode()),
        ServerMessage::Push(push) => (kind_of_push(&push), push.encode()),
        ServerMessage::Unknown => ("unknown", String::new()),
    })
}

fn reply(id: u64, body: &RawBody, verb: Option<&str>) -> Result<Reply, String> {
    fn read<T: ReplyBody>(id: u64, body: &RawBody) -> Result<Reply, String> {
        body.read::<T>().map(|body| Reply::ok(id, body)).map_err(|bad| bad.to_string())
    }
    match verb.expect("the vector of a good reply names its verb") {
        "connect" => read::<Connected>(id, body),
        "refresh" => read::<Refreshed>(id, body),
        "subscribe" => read::<Subscribed>(id, body),
        "unsubscribe" => read::<Unsubscribed>(id, body),
        "publish" => read::<Published>(id, body),
        "presence" => read::<Presence>(id, body),
        "history" => read::<History>(id, body),
        "ping" => read::<Pong>(id, body),
        other => panic!("no verb is called {other}"),
    }
}

fn kind_of_push(push: &Push) -> &'static str {
    match push {
        Push::Connected(_) => "push.connected",
        Push::Channel(_, ChannelPush::Publication(_)) => "push.pub",
        Push::Channel(_, ChannelPush::Join(_)) => "push.join",
        Push::Channel(_, ChannelPush::Leave(_)) => "push.leave",
        Push::Channel(_, ChannelPush::Gap(_)) => "push.gap",
        Push::Channel(_, ChannelPush::Unsubscribed(_)) => "push.unsubscribed",
        Push::Expiring(_) => "push.expiring",
        Push::Ping(_) => "push.ping",
        Push::GoAway(_) => "push.go_away",
        Push::Disconnect(_) => "push.disconnect",
        Push::Error(_) => "push.error",
        other => panic!("no vector names {other:?}"),
    }
}

fn assert_says(message: &str, words: &Value, name: &Value) {
    for word in words.as_array().expect("says is an array") {
        assert!(message.contains(text(word)), "{name}: {message:?} does not say {word}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
