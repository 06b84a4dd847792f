//! Whatever can be said is understood as it was meant; whatever cannot is refused without a panic.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trunkline_dialect::command::{
    self, ClientInfo, Connect, Credential, Ping, Publish, Refresh, Subscribe, Unsubscribe,
};
use trunkline_dialect::{
    ChannelName, ChannelPush, Code, Command, Connected, Disconnect, Epoch, ErrorBody, Expiring, Gap, GoAway,
    History, Incoming, Join, Json, Leave, Limits, Member, OkBody, Pong, Position, Presence, Publication,
    Published, Push, RawBody, Refreshed, Removed, Reply, Secret, ServerMessage, SessionLimits, Subscribed,
    Unsubscribed, UserId, Verb, json,
};

proptest! {
    #[test]
    fn a_command_is_read_as_it_was_written(command in command()) {
        let text = command.encode();
        prop_assert!(!text.contains(['\n', '\r']));
        let read = json::decode_command(text.as_bytes(), &Limits::default());
        prop_assert_eq!(read, Ok(Incoming::Command(command)));
    }

    #[test]
    fn a_pong_is_read_as_it_was_written(number in integer()) {
        let text = Incoming::Pong(number).encode();
        prop_assert_eq!(json::decode_command(text.as_bytes(), &Limits::default()), Ok(Incoming::Pong(number)));
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(reply in reply()) {
        let text = reply.encode();
        prop_assert!(!text.contains(['\n', '\r']));
        let read = match json::decode_message(text.as_bytes()).unwrap() {
            ServerMessage::Ok { id, body } => {
                let Reply::Ok { body: meant, .. } = &reply else { panic!("an error became a good reply") };
                Reply::Ok { id, body: read_like(meant, &body) }
            }
            ServerMessage::Error { id, error } => Reply::Error { id, error },
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(read, reply);
    }

    #[test]
    fn a_push_is_read_as_it_was_written(push in push()) {
        let text = push.encode();
        prop_assert!(!text.contains(['\n', '\r']));
        let ServerMessage::Push(read) = json::decode_message(text.as_bytes()).unwrap() else { panic!("{text}") };
        prop_assert_eq!(read, push);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..256)) {
        read_or_refuse(&bytes)?;
    }

    #[test]
    fn bytes_that_look_like_json_are_read_or_refused(text in r#"([{}\[\],:"\\ ]|id|ping|publish|channel|data|pong|[0-9]|-|\.|e|null){0,60}"#) {
        read_or_refuse(text.as_bytes())?;
    }

    #[test]
    fn a_command_with_a_byte_changed_is_read_or_refused(
        command in command(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = command.encode().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_or_refuse(&bytes)?;
    }

    #[test]
    fn half_a_command_is_refused(command in command(), at in any::<prop::sample::Index>()) {
        let text = command.encode();
        let half = &text.as_bytes()[..at.index(text.len())];
        prop_assert!(json::decode_command(half, &Limits::default()).is_err());
    }

    #[test]
    fn the_measured_depth_is_the_depth(value in value()) {
        let text = value.to_string();
        let depth = depth(&value);
        let limits = Limits { depth: depth + 2, ..Limits::default() };
        let command = format!(r#"{{"id":1,"publish":{{"channel":"c","data":{text}}}}}"#);
        prop_assert!(json::decode_command(command.as_bytes(), &limits).is_ok());
        let limits = Limits { depth: depth + 1, ..limits };
        prop_assert!(json::decode_command(command.as_bytes(), &limits).is_err());
    }
}

/// What is read can be written and read again; what is refused has an answer that a client can read.
fn read_or_refuse(bytes: &[u8]) -> Result<(), TestCaseError> {
    match json::decode_command(bytes, &Limits::default()) {
        Ok(incoming) => {
            let again = json::decode_command(incoming.encode().as_bytes(), &Limits::default());
            prop_assert_eq!(again, Ok(incoming));
        }
        Err(bad) => {
            let answer = bad.encode();
            let read = json::decode_message(answer.as_bytes()).unwrap();
            match (read, bad.id) {
                (ServerMessage::Error { id, error }, Some(meant)) => {
                    prop_assert_eq!((id, error), (meant, bad.error()));
                }
                (ServerMessage::Push(Push::Error(error)), None) => prop_assert_eq!(error, bad.error()),
                (other, _) => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }
    let _read_or_refused = json::decode_message(bytes);
    Ok(())
}

fn read_like(meant: &OkBody, body: &RawBody) -> OkBody {
    match meant {
        OkBody::Connected(_) => body.read::<Connected>().unwrap().into(),
        OkBody::Refreshed(_) => body.read::<Refreshed>().unwrap().into(),
        OkBody::Subscribed(_) => body.read::<Subscribed>().unwrap().into(),
        OkBody::Unsubscribed(_) => body.read::<Unsubscribed>().unwrap().into(),
        OkBody::Published(_) => body.read::<Published>().unwrap().into(),
        OkBody::Presence(_) => body.read::<Presence>().unwrap().into(),
        OkBody::History(_) => body.read::<History>().unwrap().into(),
        OkBody::Pong(_) => body.read::<Pong>().unwrap().into(),
        other => panic!("{other:?}"),
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![0..(1_u64 << 53), 0..10_u64, Just((1 << 53) - 1)]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn data() -> impl Strategy<Value = Json> {
    (value(), any::<bool>()).prop_map(|(value, pretty)| {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        Json::parse(&text).unwrap()
    })
}

fn channel() -> impl Strategy<Value = ChannelName> {
    r#"[^\pC]{1,60}"#.prop_map(|text| ChannelName::new(&text).unwrap())
}

fn user() -> impl Strategy<Value = UserId> {
    r#"[^\pC]{1,60}"#.prop_map(|text| UserId::new(&text).unwrap())
}

fn epoch() -> impl Strategy<Value = Epoch> {
    "[a-zA-Z0-9_-]{1,64}".prop_map(|text| Epoch::new(&text).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), integer()).prop_map(|(epoch, offset)| Position::new(epoch, offset))
}

fn secret() -> impl Strategy<Value = Secret> {
    any::<String>().prop_map(Secret::new)
}

fn code() -> impl Strategy<Value = Code> {
    prop::sample::select(Code::ALL)
}

fn command() -> impl Strategy<Value = Command> {
    let credential = prop_oneof![
        secret().prop_map(Credential::Ticket),
        secret().prop_map(Credential::Token),
        secret().prop_map(Credential::Session),
        Just(Credential::Anonymous),
    ];
    let client = ("\\PC{0,20}", "\\PC{0,20}").prop_map(|(name, version)| ClientInfo { name, version });
    let since = option::of(position()).boxed();
    let verb = prop_oneof![
        (credential, option::of(client))
            .prop_map(|(credential, client)| Connect { credential, client }.into()),
        secret().prop_map(|secret| Refresh::Ticket(secret).into()),
        secret().prop_map(|secret| Refresh::Token(secret).into()),
        (channel(), since.clone(), any::<bool>()).prop_map(|(channel, since, presence)| Subscribe {
            channel,
            since,
            presence
        }
        .into()),
        channel().prop_map(|channel| Unsubscribe { channel }.into()),
        (channel(), data(), any::<bool>()).prop_map(|(channel, data, exclude_self)| Publish {
            channel,
            data,
            exclude_self
        }
        .into()),
        channel().prop_map(|channel| command::Presence { channel }.into()),
        (channel(), since, any::<u32>(), any::<bool>()).prop_map(|(channel, since, limit, reverse)| {
            command::History { channel, since, limit, reverse }.into()
        }),
        Just(Verb::from(Ping {})),
    ];
    (1..(1_u64 << 53), verb).prop_map(|(id, verb)| Command { id, verb })
}

fn publication() -> impl Strategy<Value = Publication> {
    (integer(), data(), option::of(user()), integer()).prop_map(|(offset, data, user, at)| Publication {
        offset,
        data,
        user,
        at,
    })
}

/// Without `null`, which on the wire is the same as nothing.
fn info() -> impl Strategy<Value = Option<Json>> {
    option::of(data()).prop_map(|info| info.filter(|info| info.get() != "null"))
}

fn member() -> impl Strategy<Value = Member> {
    (user(), info(), any::<u32>()).prop_map(|(user, info, sessions)| Member { user, info, sessions })
}

fn connected() -> impl Strategy<Value = Connected> {
    let limit = || option::of(integer());
    let limits = (limit(), limit(), limit(), limit(), limit()).prop_map(
        |(message, data, commands_per_s, burst, channels)| SessionLimits {
            message,
            data,
            commands_per_s,
            burst,
            channels,
        },
    );
    (secret(), option::of(user()), any::<String>(), option::of(integer()), integer(), limits).prop_map(
        |(session, user, node, expires, heartbeat_ms, limits)| Connected {
            session,
            user,
            node,
            expires,
            heartbeat_ms,
            limits,
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    let publications = vec(publication(), 0..4).boxed();
    let members = vec(member(), 0..4).boxed();
    let subscribed = (position(), any::<bool>(), publications.clone(), option::of(members.clone())).prop_map(
        |(Position { epoch, offset }, recovered, publications, members)| Subscribed {
            epoch,
            offset,
            recovered,
            publications,
            members,
        },
    );
    let body = prop_oneof![
        connected().prop_map(OkBody::from),
        option::of(integer()).prop_map(|expires| Refreshed { expires }.into()),
        subscribed.prop_map(OkBody::from),
        Just(OkBody::from(Unsubscribed {})),
        position().prop_map(|position| Published { position }.into()),
        (members, integer()).prop_map(|(members, count)| Presence { members, count }.into()),
        (publications, position()).prop_map(|(publications, Position { epoch, offset })| {
            History { publications, epoch, offset }.into()
        }),
        integer().prop_map(|time| Pong { time }.into()),
    ];
    prop_oneof![
        3 => (1..(1_u64 << 53), body).prop_map(|(id, body)| Reply::ok(id, body)),
        1 => (1..(1_u64 << 53), error()).prop_map(|(id, error)| Reply::error(id, error)),
    ]
}

fn error() -> impl Strategy<Value = ErrorBody> {
    (code(), any::<String>()).prop_map(|(code, message)| ErrorBody::new(code, message))
}

fn push() -> impl Strategy<Value = Push> {
    let in_channel = prop_oneof![
        publication().prop_map(ChannelPush::Publication),
        (user(), info()).prop_map(|(user, info)| ChannelPush::Join(Join { user, info })),
        user().prop_map(|user| ChannelPush::Leave(Leave { user })),
        (integer(), integer()).prop_map(|(from, to)| ChannelPush::Gap(Gap { from, to })),
        (code(), any::<String>())
            .prop_map(|(code, message)| ChannelPush::Unsubscribed(Removed { code, message })),
    ];
    prop_oneof![
        connected().prop_map(Push::Connected),
        (channel(), in_channel).prop_map(|(channel, push)| Push::Channel(channel, push)),
        integer().prop_map(|in_ms| Push::Expiring(Expiring { in_ms })),
        integer().prop_map(Push::Ping),
        (integer(), integer(), option::of(any::<String>()), code()).prop_map(
            |(leave_ms, return_ms, to, code)| Push::GoAway(GoAway { leave_ms, return_ms, to, code })
        ),
        (code(), any::<String>(), any::<bool>())
            .prop_map(|(code, message, reconnect)| Push::Disconnect(Disconnect { code, message, reconnect })),
        error().prop_map(Push::Error),
    ]
}
