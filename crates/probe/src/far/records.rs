//! What became of connections, for who asks on another one: only there can it be told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::pipe::End;
use crate::wire::Ending;

/// Connections that are remembered; the oldest goes first. A run of the probe makes about fifty, and up to a thousand idle ones
/// beside them.
const REMEMBERED: usize = 4_096;

/// The connections of one server, open and ended.
#[derive(Clone, Debug, Default)]
pub struct Records(Arc<Mutex<VecDeque<(String, Live)>>>);

/// One connection's own record.
#[derive(Debug)]
pub struct Record(Live);

type Live = Arc<Mutex<Entry>>;

#[derive(Debug)]
struct Entry {
    begun: Instant,
    ended: Option<Instant>,
    ending: Ending,
}

impl Records {
    /// A new connection; `id` must be such that nobody can guess it.
    pub fn open(&self, id: String) -> Record {
        let ending = Ending { how: "open".to_owned(), ..Ending::default() };
        let live = Arc::new(Mutex::new(Entry { begun: Instant::now(), ended: None, ending }));
        let mut known = lock(&self.0);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((id, live.clone()));
        Record(live)
    }

    /// What became of a connection, or how it is now.
    pub fn find(&self, id: &str) -> Option<Ending> {
        let live = lock(&self.0).iter().rev().find(|(known, _)| known == id)?.1.clone();
        let entry = lock(&live);
        let after = entry.ended.unwrap_or_else(Instant::now).duration_since(entry.begun);
        Some(Ending {
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            ..entry.ending.clone()
        })
    }
}

impl Record {
    /// A unit of so many bytes came.
    pub fn received(&self, bytes: usize) {
        let mut entry = lock(&self.0);
        entry.ending.units += 1;
        entry.ending.received += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// The near end has ended its direction.
    pub(crate) fn half(&self) {
        self.end("half", String::new());
    }

    /// It was told to end it; what the other end does then is not news.
    pub(crate) fn told(&self, how: &str) {
        lock(&self.0).ending.detail = format!("told to {how}");
    }

    /// It is over.
    pub fn ended(&self, end: &End) {
        match end {
            // That the stream ended was noted when the near end's direction did.
            End::Ended if lock(&self.0).ending.how == "half" => {}
            End::Ended => self.end("end", String::new()),
            End::Closed(code) => self.end("close", code.to_string()),
            End::Reset => self.end("reset", String::new()),
            End::Violation(rule) => self.end("violation", rule.clone()),
            End::Http(page) => self.end("violation", page.clone()),
            End::Failed(why) => self.end("failed", why.clone()),
        }
    }

    fn end(&self, how: &str, detail: String) {
        let mut entry = lock(&self.0);
        entry.ended = Some(Instant::now());
        entry.ending.how = how.to_owned();
        if !detail.is_empty() {
            entry.ending.detail = detail;
        }
    }
}

impl Drop for Record {
    /// A connection that was cut has ended too.
    fn drop(&mut self) {
        if lock(&self.0).ended.is_none() {
            self.end("failed", "the server ended it".to_owned());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one assignment: nothing is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_as_the_limit_are_remembered_and_one_more_forgets_the_oldest() {
        let records = Records::default();
        for id in 0..REMEMBERED {
            drop(records.open(id.to_string()));
        }
        assert!(records.find("0").is_some());
        let open = records.open("one more".to_owned());
        assert_eq!(records.find("0"), None);
        assert_eq!(records.find("1").map(|ending| ending.how), Some("failed".to_owned()));
        open.received(5);
        let ending = records.find("one more").expect("it is open");
        assert_eq!((ending.how.as_str(), ending.units, ending.received), ("open", 1, 5));
        open.ended(&End::Closed(1000));
        assert_eq!(
            records.find("one more").map(|ending| (ending.how, ending.detail)),
            Some(("close".into(), "1000".into()))
        );
    }
}
