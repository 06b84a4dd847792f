//! Where a client is in its channels, as an event's id says it: `<session token>.<positions>`.
//!
//! The token brings its holder back to the session, and the positions say what it has; so whoever shows the id of the last
//! event that it got goes on behind it, on any node.

use std::fmt::Write;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use trunkline_dialect::{ChannelName, Epoch, Position, Secret};

/// The id of a last event behind which there is nothing: whoever comes back with it is told not to.
pub(super) const END: &str = "end";

/// Where a client is.
#[derive(Debug)]
pub(super) struct Place {
    token: Secret,
    channels: Vec<(ChannelName, Option<Position>)>,
}

impl Place {
    /// In these channels, from those positions on that are known, and in no session yet.
    pub(super) fn new(channels: Vec<ChannelName>, known: Vec<Option<Position>>) -> Place {
        let known = known.into_iter().chain(std::iter::repeat(None));
        Place { token: Secret::new(""), channels: channels.into_iter().zip(known).collect() }
    }

    /// The channels, and where the client is in each.
    pub(super) fn channels(&self) -> &[(ChannelName, Option<Position>)] {
        &self.channels
    }

    /// The session has this token.
    pub(super) fn set_token(&mut self, token: &Secret) {
        self.token = token.clone();
    }

    /// The client is here in the channel of this index.
    pub(super) fn set(&mut self, index: usize, position: Position) {
        if let Some((_, known)) = self.channels.get_mut(index) {
            *known = Some(position);
        }
    }

    /// The client has got so far in a channel, in the epoch in which it is there.
    pub(super) fn advance(&mut self, channel: &ChannelName, offset: u64) {
        if let Some((_, Some(known))) = self.channels.iter_mut().find(|(name, _)| name == channel) {
            known.offset = offset;
        }
    }

    /// The id.
    pub(super) fn id(&self) -> String {
        let mut id = format!("{}.", self.token.expose());
        for (index, (_, known)) in self.channels.iter().enumerate() {
            if index > 0 {
                id.push(',');
            }
            if let Some(Position { epoch, offset }) = known {
                // An epoch is any text.
                let epoch = BASE64_URL_SAFE_NO_PAD.encode(epoch.as_str());
                write!(id, "{offset}-{epoch}").expect("a String takes every write");
            }
        }
        id
    }
}

/// What an id of ours says: the token, and what is known of each channel, in their order. `None` if it is not one.
pub(super) fn parse(id: &str) -> Option<(Secret, Vec<Option<Position>>)> {
    let (token, positions) = id.split_once('.')?;
    let positions = positions.split(',').map(|position| match position {
        "" => Some(None),
        position => read(position).map(Some),
    });
    Some((Secret::new(token), positions.collect::<Option<_>>()?))
}

fn read(position: &str) -> Option<Position> {
    let (offset, epoch) = position.split_once('-')?;
    let epoch = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(epoch).ok()?).ok()?;
    Some(Position::new(Epoch::new(&epoch).ok()?, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).expect("a channel name")
    }

    fn position(epoch: &str, offset: u64) -> Position {
        Position::new(Epoch::new(epoch).expect("an epoch"), offset)
    }

    #[test]
    fn an_id_says_what_went_into_it_whatever_the_epoch_is_made_of() {
        let mut place = Place::new(vec![channel("a:1"), channel("b:,"), channel("c:3")], vec![]);
        assert_eq!(parse(&place.id()), Some((Secret::new(""), vec![None, None, None])));
        place.set_token(&Secret::new("token"));
        place.set(0, position("e,.-\u{1f9f6}", 5));
        place.set(2, position("e2", 1 << 52));
        place.set(9, position("none", 1));
        place.advance(&channel("a:1"), 6);
        place.advance(&channel("b:,"), 7);
        let expected = vec![Some(position("e,.-\u{1f9f6}", 6)), None, Some(position("e2", 1 << 52))];
        assert_eq!(parse(&place.id()), Some((Secret::new("token"), expected)));
        assert!(place.id().is_ascii(), "a header carries it as it is");
    }

    #[test]
    fn what_is_no_id_of_ours_is_none() {
        for id in ["", END, "token", "t.5", "t.-", "t.5-*", "t.x-ZQ", "t.-1-ZQ", "t.5-", "t.5-ZQ,x"] {
            assert_eq!(parse(id), None, "{id:?}");
        }
        assert_eq!(parse("."), Some((Secret::new(""), vec![None])));
    }

    #[test]
    fn positions_that_are_more_or_fewer_than_the_channels_do_no_harm() {
        let known = vec![Some(position("e", 1)), Some(position("e", 2))];
        let one = Place::new(vec![channel("a:1")], known.clone());
        assert_eq!(one.channels(), [(channel("a:1"), Some(position("e", 1)))]);
        let three = Place::new(vec![channel("a:1"), channel("a:2"), channel("a:3")], known);
        assert_eq!(three.channels()[2].1, None);
    }
}
