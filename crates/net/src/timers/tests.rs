use std::future::poll_fn;
use std::task::Poll;

use super::*;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Waits as a connection does: whoever is woken looks at the clock.
async fn until(alarm: &mut Alarm, deadline: Instant) {
    poll_fn(|cx| {
        if now() >= deadline {
            return Poll::Ready(());
        }
        alarm.wake_at(cx, deadline, now(), false);
        Poll::Pending
    })
    .await;
}

fn timers() -> Arc<Timers> {
    Timers::of_this_runtime()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_alarms_fire_each_at_its_time_and_none_before() {
    let start = now();
    let tasks = (0..1000_u64).map(|i| {
        tokio::spawn(async move {
            let deadline = start + Duration::from_micros(i * 7919 % 1_000_003);
            until(&mut Alarm::default(), deadline).await;
            let late = now() - deadline;
            assert!(late < Duration::from_millis(3), "{late:?} late");
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    let table = timers();
    let table = table.lock();
    assert!(table.order.is_empty(), "nothing is left behind");
    assert!(table.entries.iter().all(|entry| matches!(entry, Entry::Free { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_moves_away_is_not_touched_until_it_fires_and_one_that_comes_nearer_is() {
    let (start, second) = (now(), Duration::from_secs(1));
    let mut alarm = Alarm::default();
    let set = |alarm: &mut Alarm, after: Duration| {
        alarm.wake_at(&Context::from_waker(Waker::noop()), start + after, now(), false);
        timers().lock().first()
    };
    assert_eq!(set(&mut alarm, 30 * second), Some(30_000));
    assert_eq!(set(&mut alarm, 40 * second), Some(30_000));
    assert_eq!(set(&mut alarm, 5 * second), Some(5_000));
    tokio::time::sleep(6 * second).await;
    assert_eq!(timers().lock().first(), None, "it has fired");
    assert_eq!(set(&mut alarm, 50 * second), Some(50_000));
    alarm.clear();
    assert_eq!(timers().lock().first(), None);
}

#[tokio::test(start_paused = true)]
async fn the_task_that_asked_last_is_woken() {
    let deadline = now() + Duration::from_secs(1);
    let mut alarm = Alarm::default();
    alarm.wake_at(&Context::from_waker(Waker::noop()), deadline, now(), false);
    poll_fn(|cx| {
        if now() >= deadline {
            return Poll::Ready(());
        }
        alarm.wake_at(cx, deadline, now(), true);
        Poll::Pending
    })
    .await;
}

#[test]
fn each_runtime_has_timers_of_its_own_and_they_go_with_it() {
    let known = |id| RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(of, _)| *of == id);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (first, second) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let kept = first.block_on(async { timers() });
    assert!(!Arc::ptr_eq(&kept, &second.block_on(async { timers() })));
    assert!(Arc::ptr_eq(&kept, &first.block_on(async { timers() })));
    let ids = [first.handle().id(), second.handle().id()];
    assert!(ids.into_iter().all(known));
    drop((first, second));
    assert!(!ids.into_iter().any(known), "what outlives its runtime is not found again");
}
