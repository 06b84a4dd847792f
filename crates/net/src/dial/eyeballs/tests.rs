use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::*;

/// What an address does, and after how many milliseconds. `None`: nothing, ever.
type Script = HashMap<SocketAddr, Option<(u64, bool)>>;

/// When each attempt began, and whether it was dropped before its end.
type Log = Rc<RefCell<Vec<(SocketAddr, u64, bool)>>>;

fn v6(last: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443))
}

fn v4(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 443))
}

/// Marks an attempt as dropped, unless it came to its end.
struct Attempt(Log, usize);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.borrow_mut()[self.1].2 = true;
    }
}

/// Runs a race: who won, after how many milliseconds, which had failed, and what was attempted.
async fn run(
    script: &[(SocketAddr, Option<(u64, bool)>)],
) -> (Option<SocketAddr>, u64, Vec<SocketAddr>, Log) {
    let addresses = script.iter().map(|(address, _)| *address).collect();
    let script: Script = script.iter().copied().collect();
    let log = Log::default();
    let began = Instant::now();
    let connect = |address| {
        let at = u64::try_from(began.elapsed().as_millis()).expect("soon");
        log.borrow_mut().push((address, at, false));
        let attempt = Attempt(Rc::clone(&log), log.borrow().len() - 1);
        let plan = script[&address];
        async move {
            let Some((after, succeeds)) = plan else { std::future::pending().await };
            tokio::time::sleep(Duration::from_millis(after)).await;
            attempt.0.borrow_mut()[attempt.1].2 = false;
            std::mem::forget(attempt);
            if succeeds { Ok(address) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        }
    };
    let mut tried = Vec::new();
    let winner = race(addresses, connect, &mut tried).await;
    let took = u64::try_from(began.elapsed().as_millis()).expect("soon");
    (winner, took, tried.into_iter().map(|(address, _)| address).collect(), log)
}

#[tokio::test(start_paused = true)]
async fn the_first_address_that_answers_in_time_is_the_only_one_tried() {
    let (winner, took, tried, log) = run(&[(v6(1), Some((249, true))), (v4(1), Some((1, true)))]).await;
    assert_eq!((winner, took, tried.len()), (Some(v6(1)), 249, 0));
    assert_eq!(log.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_a_quarter_of_a_second_and_its_attempt_is_dropped() {
    let (winner, took, tried, log) = run(&[(v6(1), None), (v4(1), Some((20, true)))]).await;
    assert_eq!((winner, took, tried.len()), (Some(v4(1)), 270, 0));
    assert_eq!(*log.borrow(), [(v6(1), 0, true), (v4(1), 250, false)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_gives_way_to_the_next_at_once() {
    let (winner, took, tried, log) =
        run(&[(v6(1), Some((10, false))), (v4(1), Some((5, false))), (v6(2), Some((30, true)))]).await;
    assert_eq!((winner, took, tried), (Some(v6(2)), 45, vec![v6(1), v4(1)]));
    assert_eq!(log.borrow().iter().map(|(_, at, _)| *at).collect::<Vec<_>>(), [0, 10, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_address_still_wins_if_it_answers_before_the_next() {
    let (winner, took, _, log) = run(&[(v6(1), Some((300, true))), (v4(1), Some((100, true)))]).await;
    assert_eq!((winner, took), (Some(v6(1)), 300));
    assert_eq!(*log.borrow(), [(v6(1), 0, false), (v4(1), 250, true)], "the loser is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_failure_among_several_that_wait_starts_the_next_without_its_delay() {
    let (winner, took, tried, log) =
        run(&[(v6(1), None), (v4(1), Some((50, false))), (v6(2), Some((1, true)))]).await;
    assert_eq!((winner, took, tried), (Some(v6(2)), 301, vec![v4(1)]));
    assert_eq!(log.borrow().iter().map(|(_, at, _)| *at).collect::<Vec<_>>(), [0, 250, 300]);
}

#[tokio::test(start_paused = true)]
async fn when_all_have_failed_each_has_told_why() {
    let (winner, _, tried, _) = run(&[(v6(1), Some((400, false))), (v4(1), Some((1, false)))]).await;
    assert_eq!((winner, tried), (None, vec![v4(1), v6(1)]), "in the order in which they failed");
    let (winner, _, tried, _) = run(&[]).await;
    assert_eq!((winner, tried), (None, vec![]));
}

#[test]
fn families_take_turns_beginning_with_that_of_the_first() {
    let table = [
        (vec![], vec![]),
        (vec![v4(1)], vec![v4(1)]),
        (vec![v6(1), v6(2), v4(1), v4(2)], vec![v6(1), v4(1), v6(2), v4(2)]),
        (vec![v4(1), v4(2), v4(3), v6(1)], vec![v4(1), v6(1), v4(2), v4(3)]),
        (vec![v6(1), v6(1), v4(1), v6(2), v4(1)], vec![v6(1), v4(1), v6(2)]),
    ];
    for (given, expected) in table {
        assert_eq!(in_turns(given.clone()), expected, "{given:?}");
    }
}

#[test]
fn only_so_many_addresses_of_one_name_are_tried() {
    let many = |count: u16| (0..count).map(v6).collect::<Vec<_>>();
    let limit = u16::try_from(ADDRESSES).expect("it is small");
    assert_eq!(in_turns(many(limit)).len(), ADDRESSES);
    assert_eq!(in_turns(many(limit + 1)).len(), ADDRESSES);
    let mixed: Vec<_> = many(100).into_iter().chain([v4(1)]).collect();
    assert!(in_turns(mixed).contains(&v4(1)), "the other family has its turn");
}
