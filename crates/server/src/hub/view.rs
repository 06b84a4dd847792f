//! What one subscriber has not yet been told about who is present. Pure.
//!
//! A join or leave cannot be had from history, so it must not be lost to a subscriber that is not ready for
//! it: because the reply to its subscribe is not out yet, or because its outbox is full. It is held back, not
//! as a queue (a thousand users coming and going would fill any) but as the *difference* between what the
//! subscriber knows and what is so: never more entries than there are members on both sides.

use indexmap::IndexMap;
use trunkline_dialect::UserId;

use crate::encoded::Encoded;

/// The difference for one subscriber who asked for presence.
#[derive(Debug)]
pub(super) struct View {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Joins and leaves go straight on.
    Open,
    /// The reply with the members is on its way, and was made at an unknown moment: everything is kept, and
    /// compared with it at the end.
    Starting(IndexMap<UserId, Change>),
    /// The outbox is full; what the subscriber knows is known, so what cancels out is dropped.
    Held(IndexMap<UserId, Change>),
}

#[derive(Debug)]
struct Change {
    /// Whether the subscriber takes the user to be present.
    known: bool,
    /// Whether the user is present.
    present: bool,
    /// The push that says so.
    push: Encoded,
}

impl View {
    /// Nothing goes on until [`start`](View::start).
    pub(super) fn starting() -> View {
        View { state: State::Starting(IndexMap::new()) }
    }

    /// A user has joined (`present`) or left. Answers whether `push` is to be sent now; `room` says whether
    /// it could be.
    pub(super) fn change(&mut self, user: &UserId, present: bool, push: &Encoded, room: bool) -> bool {
        if matches!(self.state, State::Open) {
            if room {
                return true;
            }
            self.state = State::Held(IndexMap::new());
        }
        let (State::Starting(changes) | State::Held(changes)) = &mut self.state else { return false };
        let known = changes.get(user).map_or(!present, |change| change.known);
        changes.insert(user.clone(), Change { known, present, push: push.clone() });
        // Came and went unseen. One who went and came again stays: the info may have changed.
        if let State::Held(changes) = &mut self.state
            && !known
            && !present
        {
            changes.swap_remove(user);
        }
        false
    }

    /// Whether something is held back.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// The reply is out: what differs from the members that it named.
    pub(super) fn start(&mut self, named: impl Fn(&UserId) -> bool) -> Vec<Encoded> {
        match std::mem::replace(&mut self.state, State::Open) {
            State::Starting(changes) => {
                let differs = |(user, change): (UserId, Change)| {
                    (named(&user) != change.present).then_some(change.push)
                };
                changes.into_iter().filter_map(differs).collect()
            }
            other => {
                self.state = other;
                Vec::new()
            }
        }
    }

    /// There is room again: what the subscriber does not know yet.
    pub(super) fn release(&mut self) -> Vec<Encoded> {
        match std::mem::replace(&mut self.state, State::Open) {
            State::Held(changes) => changes.into_values().map(|change| change.push).collect(),
            other => {
                self.state = other;
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).expect("a user id")
    }

    fn say(view: &mut View, name: &str, present: bool, room: bool) -> bool {
        let push = Encoded::new(&format!("{}{name}", if present { '+' } else { '-' }));
        view.change(&user(name), present, &push, room)
    }

    fn texts(pushes: Vec<Encoded>) -> Vec<String> {
        pushes.iter().map(|push| push.json().to_owned()).collect()
    }

    #[test]
    fn nothing_goes_out_before_the_reply_and_then_only_what_the_reply_did_not_say() {
        let mut view = View::starting();
        for (name, present) in
            [("in-reply", true), ("after", true), ("gone", false), ("brief", true), ("brief", false)]
        {
            assert!(!say(&mut view, name, present, true));
        }
        let named = |who: &UserId| ["in-reply", "gone", "brief"].contains(&who.as_str());
        assert_eq!(texts(view.start(named)), ["+after", "-gone", "-brief"]);
        assert!(say(&mut view, "later", true, true), "open from now on");
    }

    #[test]
    fn a_full_outbox_holds_the_difference_and_not_the_events() {
        let mut view = View::starting();
        view.start(|_| false);
        assert!(!say(&mut view, "first", true, false));
        for round in 0..1_000 {
            say(&mut view, "busy", round % 2 == 0, true);
        }
        assert!(view.is_held());
        assert!(!say(&mut view, "known", false, true));
        assert!(!say(&mut view, "known", true, true), "held while anything is, to keep the order");
        assert_eq!(texts(view.release()), ["+first", "+known"]);
        assert!(!view.is_held());
        assert!(say(&mut view, "busy", true, true));
    }
}
