//! Where a subscription begins: what of the past its reply carries, and what is missing. Pure.

use trunkline_dialect::{Gap, Position, Publication};

use crate::channel::HistoryPage;
use crate::session::SessionId;

/// How a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Where the reply brings the client; pushes go on after it.
    pub position: Position,
    /// Whether that was the top of the channel; if not, the rest follows as pushes.
    pub complete: bool,
    /// Whether the client gets everything since the position it named.
    pub recovered: bool,
    /// What the reply carries.
    pub publications: Vec<Publication>,
    /// What was between the position it named and these, and is gone.
    pub gap: Option<Gap>,
}

impl Recovery {
    /// For a client that names no position: from now on.
    pub(crate) fn from_top(top: Position) -> Recovery {
        Recovery { position: top, complete: true, recovered: false, publications: Vec::new(), gap: None }
    }

    /// For a client that names one; `page` is history since then, `session` the client's own.
    ///
    /// # Errors
    /// Where to ask history from instead, if the epoch is another one: of the new epoch the client can have
    /// seen nothing, so all that there is of it is sent; but the answer is not
    /// [`recovered`](Recovery::recovered).
    pub(crate) fn since(
        since: &Position,
        page: HistoryPage,
        session: SessionId,
    ) -> Result<Recovery, Position> {
        let HistoryPage { top, publications } = page;
        if top.epoch != since.epoch {
            return Err(Position::new(top.epoch, 0));
        }
        if since.offset > top.offset {
            // Nobody was ever given this position.
            return Ok(Recovery::from_top(top));
        }
        let first = publications.first().map_or(top.offset + 1, |first| first.body.offset);
        let reached = publications.last().map_or(top.offset, |last| last.body.offset);
        let gap = (first > since.offset + 1).then_some(Gap { from: since.offset + 1, to: first - 1 });
        let meant = publications.iter().filter(|publication| publication.exclude != Some(session));
        Ok(Recovery {
            complete: reached == top.offset,
            recovered: gap.is_none(),
            publications: meant.map(|publication| publication.body.clone()).collect(),
            position: Position::new(top.epoch, reached),
            gap,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trunkline_dialect::{Epoch, Json};

    use super::*;
    use crate::channel;

    const ME: SessionId = SessionId([1; 16]);

    fn position(epoch: &str, offset: u64) -> Position {
        Position::new(Epoch::new(epoch).expect("an epoch"), offset)
    }

    fn page(top: u64, offsets: std::ops::RangeInclusive<u64>, exclude: Option<SessionId>) -> HistoryPage {
        let data = Json::parse("1").expect("JSON");
        let body = |offset| Publication { offset, data: data.clone(), user: None, at: 0 };
        let publication = |offset| Arc::new(channel::Publication { body: body(offset), exclude });
        HistoryPage { top: position("e", top), publications: offsets.map(publication).collect() }
    }

    fn offsets(recovery: &Recovery) -> Vec<u64> {
        recovery.publications.iter().map(|publication| publication.offset).collect()
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges, reason = "an empty page")]
    fn what_the_reply_carries_and_what_is_a_gap() {
        let none = 1..=0;
        // since, top, page => offsets, position, complete, recovered, gap
        let table = [
            (3, 5, 4..=5, vec![4, 5], 5, true, true, None),
            (5, 5, none.clone(), vec![], 5, true, true, None),
            (0, 0, none.clone(), vec![], 0, true, true, None),
            (3, 9, 4..=6, vec![4, 5, 6], 6, false, true, None),
            (3, 9, 6..=9, vec![6, 7, 8, 9], 9, true, false, Some((4, 5))),
            (3, 9, none.clone(), vec![], 9, true, false, Some((4, 9))),
            (7, 5, none, vec![], 5, true, false, None),
        ];
        for (since, top, range, carried, at, complete, recovered, gap) in table {
            let recovery =
                Recovery::since(&position("e", since), page(top, range, None), ME).expect("same epoch");
            assert_eq!(offsets(&recovery), carried, "since {since} of {top}");
            assert_eq!(recovery.position, position("e", at));
            assert_eq!((recovery.complete, recovered), (complete, recovery.recovered));
            assert_eq!(recovery.gap.map(|gap| (gap.from, gap.to)), gap);
        }
    }

    #[test]
    fn another_epoch_is_to_be_asked_for_from_its_beginning() {
        let answer = Recovery::since(&position("old", 57), page(5, 1..=5, None), ME);
        assert_eq!(answer, Err(position("e", 0)));
    }

    #[test]
    fn what_is_not_meant_for_the_session_is_passed_over_without_a_gap() {
        let recovery = Recovery::since(&position("e", 3), page(5, 4..=5, Some(ME)), ME).expect("same epoch");
        assert_eq!(offsets(&recovery), Vec::<u64>::new());
        assert_eq!((recovery.position, recovery.recovered), (position("e", 5), true));
        let other = Recovery::since(&position("e", 3), page(5, 4..=5, Some(SessionId([2; 16]))), ME);
        assert_eq!(offsets(&other.expect("same epoch")), [4, 5]);
    }
}
