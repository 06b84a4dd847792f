//! A message to a client, encoded once, framed once, and compressed once for each way its receivers agreed on.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use trunkline_dialect::{BadCommand, ChannelName, ChannelPush, Code, OkBody, Position, Push, Reply, Secret};
use trunkline_net::deflate::{Shelf, Variant};
use trunkline_net::{Prepared, WebSocket, shelf};

use crate::cells::lock;

/// Ways of compressing that are kept for one message: a server has one level, and windows are the largest or, for
/// everybody who asked for a smaller one, the smallest.
const VARIANTS: usize = 2;
const LARGEST: u8 = 15;
const SMALLEST: u8 = 9;

/// What a socket wants to be done with a message before it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    threshold: Option<usize>,
    variant: Option<Variant>,
}

impl Form {
    /// What this socket agreed on.
    pub(crate) fn of<S>(socket: &WebSocket<S>) -> Form {
        Form { threshold: socket.deflate_threshold(), variant: socket.deflate_variant() }
    }
}

/// One message: a JSON object on one line, framed as a WebSocket text message. A clone shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Encoded(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    plain: Prepared,
    mark: Mark,
    /// For each variant that a receiver asked for: the message with a compressed frame, or that it gains nothing.
    deflated: Mutex<Vec<(Variant, Option<Prepared>)>>,
}

/// What a message says about where its receiver is, for a door that has to tell (the ids of server-sent events) without reading
/// its own messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    None,
    /// The session has this token.
    Session(Secret),
    /// The subscribe with this id has brought the client here.
    Subscribed(u64, Position),
    /// In this channel all up to this offset was sent, or is lost.
    At(ChannelName, u64),
    /// The subscription has ended.
    Unsubscribed(Code),
    /// The connection ends; whether to come back.
    Disconnected(bool),
    /// What was asked is not done.
    Refused(Code),
}

impl Encoded {
    /// One JSON object, on one line.
    #[cfg(test)]
    pub(crate) fn new(json: &str) -> Encoded {
        Encoded::of(json, false, Mark::None)
    }

    /// One with a session token is never compressed: who can choose a part of a message and see how long it is in
    /// transit could guess at the rest (CRIME).
    fn of(json: &str, secret: bool, mark: Mark) -> Encoded {
        let plain = Prepared::text(json);
        let plain = if secret { plain.uncompressed() } else { plain };
        Encoded(Arc::new(Shared { plain, mark, deflated: Mutex::default() }))
    }

    /// Whether it brings a session token.
    pub(crate) fn is_session(&self) -> bool {
        matches!(self.0.mark, Mark::Session(_))
    }

    /// Where it brings its receiver.
    pub(crate) fn mark(&self) -> &Mark {
        &self.0.mark
    }

    /// The text, as tests read it.
    #[cfg(test)]
    pub(crate) fn json(&self) -> &str {
        std::str::from_utf8(self.payload()).expect("it was made of a str")
    }

    /// The text's bytes.
    pub(crate) fn payload(&self) -> &[u8] {
        self.0.plain.payload()
    }

    /// The frame for this socket: compressed if that was agreed on and the message is worth it, and then by whoever
    /// of its receivers came first.
    pub(crate) fn for_wire<S>(&self, socket: &WebSocket<S>) -> Cow<'_, Prepared> {
        self.in_form(Form::of(socket))
    }

    /// As [`for_wire`](Encoded::for_wire), where the form is known already.
    pub(crate) fn in_form(&self, form: Form) -> Cow<'_, Prepared> {
        let worth_it = form.threshold.is_some_and(|threshold| self.payload().len() >= threshold);
        match form.variant.filter(|_| worth_it) {
            Some(variant) => {
                let window_bits = if variant.window_bits == LARGEST { LARGEST } else { SMALLEST };
                Cow::Owned(self.deflated(Variant { window_bits, ..variant }, shelf()))
            }
            None => Cow::Borrowed(&self.0.plain),
        }
    }

    /// Others that want the same wait for it: they would otherwise do the same work at the same time.
    fn deflated(&self, variant: Variant, shelf: &dyn Shelf) -> Prepared {
        let mut known = lock(&self.0.deflated);
        let found = known.iter().find(|(made_for, _)| *made_for == variant);
        let made = match found {
            Some((_, made)) => made.clone(),
            None if known.len() == VARIANTS => None,
            None => {
                let made = self.0.plain.deflated(variant, shelf);
                known.push((variant, made.clone()));
                made
            }
        };
        made.unwrap_or_else(|| self.0.plain.clone())
    }

    /// What it counts against an outbox: the text, and what a queue entry costs around it, so that very many very small
    /// messages are bounded too. Compressed frames are not counted: there are two at most, each shared by all that wait
    /// for it and smaller than the text.
    pub(crate) fn weight(&self) -> usize {
        const AROUND: usize = 64;
        AROUND + self.payload().len()
    }
}

impl From<&Push> for Encoded {
    fn from(push: &Push) -> Encoded {
        let mark = match push {
            Push::Connected(body) => Mark::Session(body.session.clone()),
            Push::Channel(channel, ChannelPush::Publication(body)) => Mark::At(channel.clone(), body.offset),
            Push::Channel(channel, ChannelPush::Gap(gap)) => Mark::At(channel.clone(), gap.to),
            Push::Channel(_, ChannelPush::Unsubscribed(removed)) => Mark::Unsubscribed(removed.code),
            Push::Disconnect(body) => Mark::Disconnected(body.reconnect),
            Push::Error(error) => Mark::Refused(error.code),
            _ => Mark::None,
        };
        Encoded::of(&push.encode(), matches!(push, Push::Connected(_)), mark)
    }
}

impl From<&Reply> for Encoded {
    fn from(reply: &Reply) -> Encoded {
        let mark = match reply {
            Reply::Ok { id, body: OkBody::Subscribed(body) } => Mark::Subscribed(*id, body.position()),
            Reply::Error { error, .. } => Mark::Refused(error.code),
            Reply::Ok { .. } => Mark::None,
        };
        Encoded::of(&reply.encode(), matches!(reply, Reply::Ok { body: OkBody::Connected(_), .. }), mark)
    }
}

impl From<&BadCommand> for Encoded {
    fn from(bad: &BadCommand) -> Encoded {
        Encoded::of(&bad.encode(), false, Mark::Refused(bad.rule.code()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use trunkline_net::deflate::{Agreed, Deflater, Inflater, NoShelf, Params};
    use trunkline_net::{Limits, Role, Setup};

    use super::*;

    /// Counts how often something is compressed.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Shelf for Counting {
        fn take_deflater(&self, window_bits: u8, level: u8) -> Box<Deflater> {
            self.0.fetch_add(1, Ordering::Relaxed);
            NoShelf.take_deflater(window_bits, level)
        }
        fn give_deflater(&self, _: Box<Deflater>) {}
        fn take_inflater(&self, window_bits: u8) -> Box<Inflater> {
            NoShelf.take_inflater(window_bits)
        }
        fn give_inflater(&self, _: Box<Inflater>) {}
    }

    fn variant(window_bits: u8) -> Variant {
        Variant { window_bits, level: 6 }
    }

    #[test]
    fn a_message_is_compressed_once_for_each_variant_however_many_receive_it_and_at_the_same_time() {
        let message = Encoded::new(&"{\"push\":\"the same words\"}".repeat(20));
        let shelf = Counting::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for receiver in 0..1000 {
                        let copy = message.clone();
                        let made = copy.deflated(variant(if receiver % 2 == 0 { 15 } else { 12 }), &shelf);
                        assert!(made.deflated_len().is_some());
                    }
                });
            }
        });
        assert_eq!(shelf.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn that_a_message_gains_nothing_is_found_out_once() {
        let (message, shelf) = (Encoded::new("{}"), Counting::default());
        for _ in 0..100 {
            assert_eq!(message.deflated(variant(15), &shelf), message.0.plain);
        }
        assert_eq!(shelf.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn no_more_variants_are_kept_than_the_doors_ask_for() {
        let (message, shelf) = (Encoded::new(&"x".repeat(1000)), Counting::default());
        for level in 1..=9 {
            message.deflated(Variant { window_bits: 15, level }, &shelf);
        }
        assert_eq!(shelf.0.load(Ordering::Relaxed), VARIANTS);
        assert_eq!(lock(&message.0.deflated).len(), VARIANTS);
    }

    #[test]
    fn the_weight_is_that_of_the_text_whoever_has_compressed_it_meanwhile() {
        let message = Encoded::new(&"x".repeat(1000));
        let before = message.weight();
        message.deflated(variant(15), &NoShelf);
        assert_eq!((before, message.weight()), (1064, 1064));
        assert_eq!(size_of::<Encoded>(), size_of::<usize>(), "an entry of a queue is a pointer");
    }

    fn socket(no_context_takeover: bool, threshold: usize) -> WebSocket<tokio::io::DuplexStream> {
        let params = Params {
            server_no_context_takeover: no_context_takeover,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        let deflate = Some(Agreed { params, level: 6, threshold });
        let setup = Setup { deflate, ..Setup::from(Limits::default()) };
        WebSocket::from_upgraded(tokio::io::duplex(64).0, bytes::Bytes::new(), Role::Server, setup)
    }

    #[tokio::test]
    async fn a_socket_gets_the_compressed_frame_from_its_threshold_on_and_only_if_it_can_be_shared() {
        let message = Encoded::new(&"x".repeat(1000));
        assert!(message.for_wire(&socket(true, 1000)).deflated_len().is_some());
        assert_eq!(message.for_wire(&socket(true, 1001)).deflated_len(), None);
        assert_eq!(message.for_wire(&socket(false, 0)).deflated_len(), None);
    }
}
