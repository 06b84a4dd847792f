//! Wakes senders when their messages are due. A thread of its own: the runtime's clock ticks in milliseconds, and many an
//! echo takes less than one.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Instant;

use tokio::sync::Notify;

use super::load::Plan;

/// Wakes each sender at its moments, until it is dropped.
pub(super) struct Pacer {
    /// The thread ends with it.
    _alive: Sender<()>,
}

impl Pacer {
    /// Begins to wake; does nothing for a plan without a rate. `wakes` has one for every sender.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub(super) fn start(plan: Plan, wakes: Arc<[Notify]>) -> io::Result<Option<Self>> {
        let Some(rate) = plan.load.rate else { return Ok(None) };
        let (alive, dead) = channel();
        let pace = move || {
            let mut next = 0;
            loop {
                let wait = plan.moment(next, rate).saturating_duration_since(Instant::now());
                match dead.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => next = wake(&plan, rate, next, &wakes),
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        std::thread::Builder::new().name("pacer".to_owned()).spawn(pace)?;
        Ok(Some(Self { _alive: alive }))
    }
}

/// Wakes whoever has a message due by now, from `next` on; gives the first that is not due. Once is enough for a sender who
/// has several: it sends all that it may.
fn wake(plan: &Plan, rate: f64, next: u64, wakes: &[Notify]) -> u64 {
    let passed = Instant::now().saturating_duration_since(plan.begin).as_secs_f64();
    let end = ((passed * rate) as u64 + 1).max(next + 1);
    for index in next..end.min(next + plan.senders) {
        if let Some(sender) = wakes.get((index % plan.senders) as usize) {
            sender.notify_one();
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::load::Load;
    use super::*;

    #[tokio::test]
    async fn every_sender_is_woken_and_nobody_twice_for_one_look() {
        let load = Load {
            rate: Some(1000.0),
            in_flight: 1,
            messages: None,
            warm_up: Duration::ZERO,
            duration: None,
        };
        let plan = Plan { load, begin: Instant::now(), senders: 3 };
        let wakes: Arc<[Notify]> = (0..3).map(|_| Notify::new()).collect();
        let pacer = Pacer::start(plan, Arc::clone(&wakes)).expect("a thread");
        for _ in 0..3 {
            for sender in wakes.iter() {
                sender.notified().await;
            }
        }
        drop(pacer);
        let next = wake(&Plan { begin: Instant::now() - Duration::from_secs(1), ..plan }, 1000.0, 5, &wakes);
        assert!(next > 1000, "{next}");
    }

    #[test]
    fn without_a_rate_there_is_nobody_to_wake() {
        let load = Load { rate: None, in_flight: 1, messages: None, warm_up: Duration::ZERO, duration: None };
        let plan = Plan { load, begin: Instant::now(), senders: 1 };
        assert!(Pacer::start(plan, Arc::new([])).expect("no thread").is_none());
    }
}
