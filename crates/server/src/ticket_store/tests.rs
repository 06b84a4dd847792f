use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::*;

fn now() -> Now {
    Now { instant: Instant::now(), unix_ms: 1_000_000 }
}

fn record() -> TicketRecord {
    let request: crate::ticket::TicketRequest =
        serde_json::from_str(r#"{"user": "ann"}"#).expect("a request");
    request.record(now(), Duration::from_secs(10), Duration::from_secs(60)).expect("minted")
}

fn id(number: u8) -> TicketId {
    TicketId::from_random([number; 16])
}

/// The memory store answers at once.
fn done<T>(mut answer: Answer<'_, T>) -> Result<T, BrokerError> {
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the memory store never waits"),
    }
}

#[test]
fn of_a_hundred_redemptions_at_the_same_instant_exactly_one_wins() {
    let store = MemoryTicketStore::new(10);
    for round in 0..20 {
        let id = id(round);
        done(store.put(now(), &id, record())).expect("kept");
        let start = Barrier::new(100);
        let redeem = || {
            start.wait();
            done(store.take(&id)).expect("the store is there").is_some()
        };
        let wins = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100).map(|_| scope.spawn(redeem)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a redeemer")).filter(|won| *won).count()
        });
        assert_eq!(wins, 1, "round {round}");
    }
}

#[test]
fn a_ticket_is_there_once_and_a_forged_one_never() {
    let store = MemoryTicketStore::new(10);
    done(store.put(now(), &id(1), record())).expect("kept");
    assert!(done(store.take(&id(2))).expect("asked").is_none());
    assert!(done(store.take(&id(1))).expect("asked").is_some());
    assert!(done(store.take(&id(1))).expect("asked").is_none());
    assert_eq!(store.waiting(), 0);
}

#[test]
fn an_id_that_is_there_already_is_not_replaced() {
    let store = MemoryTicketStore::new(10);
    done(store.put(now(), &id(1), record())).expect("kept");
    assert!(done(store.put(now(), &id(1), record())).is_err());
    assert_eq!(store.waiting(), 1);
}

#[test]
fn a_full_store_makes_room_by_forgetting_the_expired_and_otherwise_refuses() {
    let store = MemoryTicketStore::new(2);
    for number in 1..=2 {
        done(store.put(now(), &id(number), record())).expect("kept");
    }
    assert_eq!(done(store.put(now(), &id(3), record())), Err(BrokerError::Full("tickets")));
    let later = now().later(Duration::from_secs(10));
    done(store.put(later, &id(3), record())).expect("room again");
    assert_eq!(store.waiting(), 1);
    store.sweep(later);
    assert_eq!(store.waiting(), 0);
}
