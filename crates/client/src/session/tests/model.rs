//! Against a hub in miniature: whatever is cut, forgotten or slow, each publication comes once and in order, or is named
//! as missing.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::event::Lost;

/// One step of chance.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody publishes this many.
    Publish(u64),
    /// The hub does one command of those it got.
    Answer,
    /// The client reads one message of those on their way.
    Read,
    /// A reply overtakes the pushes before it.
    Overtake,
    /// The application takes this many events.
    Take(usize),
    /// The connection breaks: what is on its way is lost.
    Cut,
    /// History forgets all but this many.
    Forget(usize),
    /// The broker loses its memory.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_u64).prop_map(Step::Publish),
        6 => Just(Step::Answer),
        8 => Just(Step::Read),
        2 => Just(Step::Overtake),
        3 => (1..6_usize).prop_map(Step::Take),
        1 => Just(Step::Cut),
        1 => (0..6_usize).prop_map(Step::Forget),
        1 => Just(Step::Restart),
    ]
}

/// One channel, one connection.
struct Hub {
    epoch: u64,
    top: u64,
    history: VecDeque<u64>,
    subscribed: bool,
    commands: VecDeque<(u64, String, Value)>,
    messages: VecDeque<Value>,
}

impl Hub {
    fn publish(&mut self) {
        self.top += 1;
        self.history.push_back(self.top);
        if self.subscribed {
            self.messages.push_back(json!({"channel": "c", "pub": publication(self.top)}));
        }
    }

    /// A broker that restarts takes the connection with it: a subscription never changes its epoch.
    fn restart(&mut self) {
        self.epoch += 1;
        self.top = 0;
        self.history.clear();
    }

    fn answer(&mut self) {
        let Some((id, verb, body)) = self.commands.pop_front() else { return };
        let epoch = self.epoch.to_string();
        let since = body["since"]["offset"].as_u64();
        let same_epoch = body["since"]["epoch"] == json!(epoch);
        let after: Vec<u64> = self
            .history
            .iter()
            .copied()
            .filter(|offset| since.is_some_and(|since| *offset > since))
            .collect();
        let reaches = since.is_some_and(|since| self.top <= since || after.first() == Some(&(since + 1)));
        let ok = match verb.as_str() {
            "subscribe" => {
                self.subscribed = true;
                let recovered = same_epoch && reaches;
                let missed = if recovered { after } else { Vec::new() };
                let missed = publications(missed);
                json!({"epoch": epoch, "offset": self.top, "recovered": recovered, "publications": missed})
            }
            "history" => {
                let limit = body["limit"].as_u64().expect("a limit");
                let after = if same_epoch { after } else { self.history.iter().copied().collect() };
                let page = after.into_iter().take(usize::try_from(limit).expect("small"));
                json!({"epoch": epoch, "offset": self.top, "publications": publications(page)})
            }
            other => panic!("{other}"),
        };
        self.messages.push_back(json!({"id": id, "ok": ok}));
    }
}

struct World {
    rig: Rig,
    hub: Hub,
    subscription: Subscription,
    waits_for_room: Option<Key>,
    /// Where the application is: the epoch and the offset up to which it knows what became of everything.
    at: (u64, u64),
}

impl World {
    fn new() -> Self {
        let hub = Hub {
            epoch: 0,
            top: 0,
            history: VecDeque::new(),
            subscribed: false,
            commands: VecDeque::new(),
            messages: VecDeque::new(),
        };
        let mut rig = Rig::connected();
        let since = Some(position("0", 0));
        let (subscription, _answered) = rig.ask_to_subscribe(since, false, 6);
        Self { rig, hub, subscription, waits_for_room: None, at: (0, 0) }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Publish(count) => (0..count).for_each(|_| self.hub.publish()),
            Step::Answer => self.hub.answer(),
            Step::Read => {
                if let Some(message) = self.hub.messages.pop_front() {
                    assert_eq!(self.rig.receive(message), None);
                }
            }
            Step::Overtake => {
                let messages = &mut self.hub.messages;
                let reply = messages.iter().position(|message| message["id"].is_u64());
                if let Some(reply) = reply.and_then(|at| messages.remove(at)) {
                    messages.push_front(reply);
                }
            }
            Step::Take(count) => self.take(count),
            Step::Cut => self.cut(),
            Step::Forget(count) => {
                while self.hub.history.len() > count {
                    self.hub.history.pop_front();
                }
            }
            Step::Restart => {
                self.hub.restart();
                self.cut();
            }
        }
        self.drain();
    }

    fn cut(&mut self) {
        self.hub.subscribed = false;
        self.hub.commands.clear();
        self.hub.messages.clear();
        self.rig.session.cut();
        self.rig.connect();
    }

    fn drain(&mut self) {
        while let Some(command) = self.rig.sent() {
            self.hub.commands.push_back(command);
        }
        while let Some(wait) = self.rig.session.poll_wait() {
            if let Wait::Room(key, _) = wait {
                assert!(self.waits_for_room.replace(key).is_none(), "it waits once");
            }
        }
        if self.subscription.free() >= 3
            && let Some(key) = self.waits_for_room.take()
        {
            self.rig.session.woken(Woken::Room(key));
            self.drain();
        }
    }

    /// Takes events, and judges them.
    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let Some(event) = self.subscription.try_next() else { return };
            let (epoch, offset) = self.at;
            self.at = match event {
                Event::Publication(publication) => {
                    assert_eq!(publication.offset, offset + 1, "once, in order, none left out");
                    (epoch, publication.offset)
                }
                Event::Gap(gap) => {
                    assert_eq!(gap.from, offset + 1);
                    assert!(gap.to >= gap.from);
                    (epoch, gap.to)
                }
                Event::Recovered { since } => {
                    assert_eq!(since, position(&epoch.to_string(), offset));
                    self.at
                }
                Event::Lost(Lost { before, now }) => {
                    assert_eq!(before, position(&epoch.to_string(), offset));
                    assert_ne!(before, now, "something was lost");
                    (now.epoch.as_str().parse().expect("an epoch of the model"), now.offset)
                }
                other => panic!("{other:?}"),
            };
        }
    }

    /// The network is quiet, the hub fast, and the application takes what comes.
    fn settle(&mut self) {
        for _ in 0..200 {
            for step in [Step::Answer, Step::Read, Step::Take(6)] {
                self.step(&step);
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_in_silence_and_nothing_comes_twice(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        prop_assert_eq!(world.at, (world.hub.epoch, world.hub.top), "in the end all is accounted for");
        world.hub.publish();
        world.settle();
        prop_assert_eq!(world.at, (world.hub.epoch, world.hub.top), "and it goes on");
    }
}
