//! When messages are sent: as soon as there is room (a closed loop), or each at its moment (an open loop).

use std::time::{Duration, Instant};

use crate::args;

/// How long is measured unless a number of messages ends it.
const DURATION: Duration = Duration::from_secs(10);

/// How long is sent before measuring: connections, caches and clocks of the processor have settled by then.
const WARM_UP: Duration = Duration::from_secs(1);

/// In flight in an open loop. As many as a server that stalls for a second at 100 messages a second and connection leaves
/// unanswered; past that, messages are sent late, which their latency shows.
const IN_FLIGHT_AT_RATE: usize = 100;

/// What is to be sent, with all defaults filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Messages a second of all senders together: an open loop.
    pub(super) rate: Option<f64>,
    /// Messages of one sender that may wait for their answer.
    pub(super) in_flight: usize,
    /// Messages to measure, of all senders together.
    pub(super) messages: Option<u64>,
    pub(super) warm_up: Duration,
    /// How long to measure, at the most.
    pub(super) duration: Option<Duration>,
}

/// A load with its moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) load: Load,
    /// When the first message is sent.
    pub(super) begin: Instant,
    /// How many share the load.
    pub(super) senders: u64,
}

/// One sender's share of a plan, message after message.
#[derive(Debug)]
pub(super) struct Turns {
    plan: Plan,
    sender: u64,
    /// The number of the next message.
    number: u64,
    /// Messages to be measured that are left, where their number ends it.
    left: Option<u64>,
    /// The warm-up is over.
    measuring: bool,
}

impl Load {
    pub(super) fn new(args: &args::Load) -> Self {
        let counted = args.messages.is_some();
        let in_flight = args.in_flight.map(|count| count as usize);
        Self {
            rate: args.rate,
            in_flight: in_flight.unwrap_or(if args.rate.is_some() { IN_FLIGHT_AT_RATE } else { 1 }),
            messages: args.messages,
            warm_up: args.warm_up.unwrap_or(if counted { Duration::ZERO } else { WARM_UP }),
            duration: args.duration.or((!counted).then_some(DURATION)),
        }
    }
}

impl Plan {
    /// From when on messages are measured.
    pub(super) fn measured_from(&self) -> Instant {
        self.begin + self.load.warm_up
    }

    /// When nothing more is sent.
    pub(super) fn until(&self) -> Option<Instant> {
        self.load.duration.map(|duration| self.measured_from() + duration)
    }

    /// The moment of a message of an open loop; messages are numbered over all senders.
    pub(super) fn moment(&self, index: u64, rate: f64) -> Instant {
        self.begin + Duration::from_secs_f64(index as f64 / rate)
    }
}

impl Turns {
    /// The share of a sender, who is one of [`Plan::senders`] and counted from 0.
    pub(super) fn new(plan: Plan, sender: u64) -> Self {
        let share = |all: u64| all / plan.senders + u64::from(sender < all % plan.senders);
        Self { plan, sender, number: 0, left: plan.load.messages.map(share), measuring: false }
    }

    /// The moment that the next message counts from, if it is due. What was due in the warm-up, and not sent in it, is left
    /// out: at a rate that cannot be held, nothing would be measured.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        self.skip_warm_up(now);
        let moment = self.moment(now)?;
        let in_time = self.plan.until().is_none_or(|until| moment < until);
        (in_time && moment <= now).then_some(moment)
    }

    /// The next message is sent; gives its number. `moment` is what [`due`](Self::due) said.
    pub(super) fn take(&mut self, moment: Instant) -> u64 {
        if moment >= self.plan.measured_from() {
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
        let number = self.number;
        self.number += 1;
        number
    }

    /// Whether the time is over, or all is sent.
    pub(super) fn are_over(&self, now: Instant) -> bool {
        self.left == Some(0) || self.plan.until().is_some_and(|until| now >= until)
    }

    /// How many messages were due before `end` and have not been sent.
    pub(super) fn missed(&self, end: Instant) -> u64 {
        let Some(rate) = self.plan.load.rate else { return 0 };
        let end = self.plan.until().map_or(end, |until| until.min(end));
        let missed = self.due_by(end, rate).saturating_sub(self.number);
        self.left.map_or(missed, |left| left.min(missed))
    }

    fn skip_warm_up(&mut self, now: Instant) {
        let from = self.plan.measured_from();
        let (Some(rate), true) = (self.plan.load.rate, !self.measuring && now >= from) else { return };
        self.measuring = true;
        let before = self.due_by(from, rate);
        self.number = self.number.max(before);
    }

    /// How many messages are due before a moment.
    fn due_by(&self, moment: Instant, rate: f64) -> u64 {
        let passed = moment.saturating_duration_since(self.plan.begin).as_secs_f64();
        let due_of_all = (passed * rate).ceil() as u64;
        due_of_all.saturating_sub(self.sender).div_ceil(self.plan.senders)
    }

    fn moment(&self, now: Instant) -> Option<Instant> {
        if self.left == Some(0) {
            return None;
        }
        let index = self.number * self.plan.senders + self.sender;
        Some(self.plan.load.rate.map_or(now, |rate| self.plan.moment(index, rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(rate: Option<f64>, messages: Option<u64>, senders: u64) -> Plan {
        let load = Load { rate, in_flight: 1, messages, warm_up: SECOND, duration: Some(2 * SECOND) };
        Plan { load, begin: Instant::now(), senders }
    }

    /// The moments of all messages that a sender sends who looks once a millisecond, relative to the beginning.
    fn moments(plan: Plan, sender: u64) -> Vec<Duration> {
        let mut turns = Turns::new(plan, sender);
        let mut sent = Vec::new();
        for ms in 0..10_000 {
            let now = plan.begin + Duration::from_millis(ms);
            while let Some(moment) = turns.due(now) {
                assert_eq!(turns.take(moment), sent.len() as u64);
                sent.push(moment - plan.begin);
                if plan.load.rate.is_none() {
                    break;
                }
            }
        }
        sent
    }

    #[test]
    fn senders_take_turns_at_the_rate_until_the_end() {
        let plan = plan(Some(10.0), None, 3);
        let mut all: Vec<Duration> = (0..3).flat_map(|sender| moments(plan, sender)).collect();
        all.sort();
        let expected: Vec<Duration> =
            (0..30).map(|index| Duration::from_secs_f64(f64::from(index) / 10.0)).collect();
        assert_eq!(all, expected);
        assert_eq!(moments(plan, 1)[..2], [Duration::from_millis(100), Duration::from_millis(400)]);
    }

    #[test]
    fn a_late_sender_sends_what_was_due_and_it_counts_from_its_moment() {
        let plan = plan(Some(10.0), None, 1);
        let mut turns = Turns::new(plan, 0);
        let now = plan.begin + SECOND;
        assert_eq!(turns.due(now - SECOND / 2), Some(plan.begin));
        let sent = std::iter::from_fn(|| turns.due(now).map(|moment| turns.take(moment))).count();
        assert_eq!(sent, 1, "the warm-up is over, and only what is measured is made up for");
        let later = now + SECOND / 2;
        let sent = std::iter::from_fn(|| turns.due(later).map(|moment| turns.take(moment))).count();
        assert_eq!(sent, 5);
        assert_eq!(turns.due(now + SECOND), Some(plan.begin + Duration::from_millis(1600)));
    }

    #[test]
    fn without_a_rate_a_message_is_due_whenever_it_is_asked_for() {
        let sent = moments(plan(None, None, 1), 0);
        assert_eq!((sent.len(), sent[0], sent[1]), (3000, Duration::ZERO, Duration::from_millis(1)));
    }

    #[test]
    fn a_number_of_messages_is_shared_to_the_last_one_and_warming_up_does_not_count() {
        let counts =
            |rate: Option<f64>| (0..3).map(|sender| moments(plan(rate, Some(10), 3), sender).len()).collect();
        let at_rate: Vec<usize> = counts(Some(30.0));
        assert_eq!(at_rate, [10 + 4, 10 + 3, 10 + 3], "a third of the rate each, for a second");
        let closed: Vec<usize> = counts(None);
        assert_eq!(closed, [1000 + 4, 1000 + 3, 1000 + 3]);
    }

    #[test]
    fn the_end_comes_with_the_time_or_with_the_last_message() {
        let plan_of_time = plan(None, None, 1);
        let turns = Turns::new(plan_of_time, 0);
        assert!(!turns.are_over(plan_of_time.begin + 3 * SECOND - Duration::from_nanos(1)));
        assert!(turns.are_over(plan_of_time.begin + 3 * SECOND));
        let counted =
            Plan { load: Load { duration: None, messages: Some(1), ..plan_of_time.load }, ..plan_of_time };
        let mut turns = Turns::new(counted, 0);
        assert!(!turns.are_over(counted.begin + 100 * SECOND));
        turns.take(counted.measured_from());
        assert!(turns.are_over(counted.begin) && turns.due(counted.begin).is_none());
    }

    #[test]
    fn what_was_due_and_not_sent_is_counted() {
        let plan = plan(Some(10.0), None, 3);
        let missed = |end: Duration| {
            (0..3).map(|sender| Turns::new(plan, sender).missed(plan.begin + end)).sum::<u64>()
        };
        assert_eq!((missed(SECOND), missed(3 * SECOND), missed(9 * SECOND)), (10, 30, 30));
        let mut turns = Turns::new(plan, 0);
        turns.take(plan.begin);
        assert_eq!((turns.missed(plan.begin + SECOND), turns.missed(plan.begin)), (3, 0));
        assert_eq!(Turns::new(self::plan(None, None, 1), 0).missed(plan.begin + SECOND), 0);
    }
}
