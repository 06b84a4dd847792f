//! What one subscriber has not yet been told about who is present. Pure.
//!
//! A join or leave cannot be had from history, so it must not be lost to a subscriber that is not ready for
//! it: because the reply to its subscribe is not out yet, or because its outbox is full. It is held back, not
//! as a queue (a thousand users coming and going would fill any) but as the *difference* between what the
//! subscriber knows and what is so: never more entries than there are members on both sides.

use indexmap::IndexMap;
use trunkline_dialect::{ChannelName, ChannelPush, Join, Json, Member, Push, UserId};

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
    Starting(Box<Changes>),
    /// There is no room in the outbox; what the subscriber knows is known, so what cancels out is dropped.
    Held(Box<Changes>),
}

type Changes = IndexMap<UserId, Change>;

#[derive(Debug)]
struct Change {
    /// Whether the subscriber takes the user to be present.
    known: bool,
    /// Whether the user is present.
    present: bool,
    /// What says so.
    news: News,
}

#[derive(Debug)]
enum News {
    /// The push that everybody gets.
    Push(Encoded),
    /// A member from before the subscription: no push has told of it. The push is made when there is room for
    /// it, for there may be very many.
    Member(Option<Json>),
}

impl View {
    /// Nothing goes on until [`start`](View::start).
    pub(super) fn starting() -> View {
        View { state: State::Starting(Box::default()) }
    }

    /// A user has joined (`present`) or left. Answers whether `push` is to be sent now; `room` says whether
    /// it could be.
    pub(super) fn change(&mut self, user: &UserId, present: bool, push: &Encoded, room: bool) -> bool {
        if matches!(self.state, State::Open) {
            if room {
                return true;
            }
            self.state = State::Held(Box::default());
        }
        let (State::Starting(changes) | State::Held(changes)) = &mut self.state else { return false };
        let known = changes.get(user).map_or(!present, |change| change.known);
        changes.insert(user.clone(), Change { known, present, news: News::Push(push.clone()) });
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

    /// The reply is out, and has named whom `named` says; `unnamed` were present too when it was made, and did
    /// not fit into it. What the subscriber does not know yet is held until [`release`](View::release).
    pub(super) fn start(&mut self, named: impl Fn(&UserId) -> bool, unnamed: Vec<Member>) {
        let State::Starting(changes) = &mut self.state else { return };
        let mut changes = std::mem::take(changes);
        // Of whom something was told since, that is the newer news.
        let untold: Vec<Member> =
            unnamed.into_iter().filter(|member| !changes.contains_key(&member.user)).collect();
        changes.retain(|user, change| {
            change.known = named(user);
            change.known != change.present
        });
        let news = |member: Member| {
            (member.user, Change { known: false, present: true, news: News::Member(member.info) })
        };
        changes.extend(untold.into_iter().map(news));
        self.state = State::Held(changes);
    }

    /// There is room for so many bytes: what the subscriber does not know yet, as much as fits. Until
    /// everything has, the rest is held.
    pub(super) fn release(&mut self, channel: &ChannelName, room: usize) -> Vec<Encoded> {
        let State::Held(changes) = &mut self.state else { return Vec::new() };
        let (mut bytes, mut pushes) = (0_usize, Vec::new());
        for (user, change) in changes.iter() {
            if bytes >= room {
                break;
            }
            let push = change.push(channel, user);
            bytes = bytes.saturating_add(push.weight());
            pushes.push(push);
        }
        changes.drain(..pushes.len());
        if changes.is_empty() {
            self.state = State::Open;
        }
        pushes
    }
}

impl Change {
    fn push(&self, channel: &ChannelName, user: &UserId) -> Encoded {
        match &self.news {
            News::Push(push) => push.clone(),
            News::Member(info) => {
                let join = ChannelPush::Join(Join { user: user.clone(), info: info.clone() });
                Encoded::from(&Push::Channel(channel.clone(), join))
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

    /// What is released into so much room.
    fn told(view: &mut View, room: usize) -> Vec<String> {
        let channel = ChannelName::new("room:1").expect("a channel name");
        view.release(&channel, room).iter().map(|push| push.json().to_owned()).collect()
    }

    fn member(name: &str) -> Member {
        Member { user: user(name), info: None, sessions: 1 }
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
        view.start(named, Vec::new());
        assert_eq!(told(&mut view, usize::MAX), ["+after", "-gone", "-brief"]);
        assert!(say(&mut view, "later", true, true), "open from now on");
    }

    #[test]
    fn a_full_outbox_holds_the_difference_and_not_the_events() {
        let mut view = View::starting();
        view.start(|_| false, Vec::new());
        assert_eq!(told(&mut view, 0), Vec::<String>::new());
        assert!(!view.is_held(), "nothing to tell needs no room");
        assert!(!say(&mut view, "first", true, false));
        for round in 0..1_000 {
            say(&mut view, "busy", round % 2 == 0, true);
        }
        assert!(view.is_held());
        assert!(!say(&mut view, "known", false, true));
        assert!(!say(&mut view, "known", true, true), "held while anything is, to keep the order");
        assert_eq!(told(&mut view, usize::MAX), ["+first", "+known"]);
        assert!(!view.is_held());
        assert!(say(&mut view, "busy", true, true));
    }

    #[test]
    fn members_that_the_reply_did_not_name_follow_as_joins_as_there_is_room() {
        let mut view = View::starting();
        say(&mut view, "left", false, true);
        say(&mut view, "joined", true, true);
        let unnamed = ["left", "joined", "one", "two", "three"].map(member).to_vec();
        view.start(|who| who.as_str() == "named", unnamed);
        let join = |name: &str| format!(r#"{{"channel":"room:1","join":{{"user":"{name}"}}}}"#);
        assert_eq!(told(&mut view, 1), ["+joined"], "one at least, and the newer news of it");
        assert_eq!(told(&mut view, 1), [join("one")]);
        assert!(view.is_held());
        say(&mut view, "two", false, true);
        say(&mut view, "one", false, true);
        assert_eq!(told(&mut view, usize::MAX), [&join("three"), "-one"], "two came and went unseen");
        assert!(!view.is_held());
    }
}
