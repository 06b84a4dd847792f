//! The wakers of two tasks on one connection, in thousands of orders of their steps.
//!
//! The crate of this test is its own `std` for the source under test: the lock in there is then the scheduler's, and each
//! use of it a place where another task may run.

extern crate alloc;
extern crate self as std;
extern crate std as real;

#[path = "../src/websocket/wakers.rs"]
#[allow(dead_code, reason = "the connection uses all of it")]
mod wakers;

/// What the source under test takes from `std::sync`.
pub mod sync {
    pub use real::sync::PoisonError;
    pub use shuttle::sync::{Arc, Mutex};
}

/// What it takes from `std::mem`.
pub mod mem {
    pub use core::mem::replace;
}

/// What it takes from `std::task`.
pub mod task {
    pub use alloc::task::Wake;
    pub use core::task::Waker;
}

use core::future::poll_fn;
use core::task::{Context, Poll};

use self::sync::{Arc, Mutex};
use self::task::Waker;
use self::wakers::{Side, Wakers};

/// A stream that remembers one waker, whoever asked last; and what two tasks wait for on it.
#[derive(Default)]
struct Connection {
    wakers: Wakers,
    remembered: Option<Waker>,
    readable: u32,
    writable: u32,
}

impl Connection {
    fn ready(&mut self, side: Side) -> &mut u32 {
        match side {
            Side::Receive => &mut self.readable,
            Side::Send => &mut self.writable,
        }
    }

    /// What every method of a connection does with its wakers. Without `both` the stream gets the waker of the task itself.
    fn poll(&mut self, cx: &mut Context<'_>, side: Side, both: bool) -> Poll<()> {
        let waker = self.wakers.register(side, cx.waker()).0.filter(|_| both);
        let ready = self.ready(side);
        if *ready > 0 {
            *ready -= 1;
            self.wakers.clear(side);
            return Poll::Ready(());
        }
        self.remembered = Some(waker.unwrap_or_else(|| cx.waker().clone()));
        Poll::Pending
    }
}

type Shared = Arc<Mutex<Connection>>;

async fn wait(connection: &Shared, side: Side, both: bool) {
    poll_fn(|cx| connection.lock().expect("not poisoned").poll(cx, side, both)).await;
}

/// The stream has something for one side. It wakes whom it remembers, outside of any lock, as runtimes do.
fn happen(connection: &Shared, side: Side) {
    let waker = {
        let mut connection = connection.lock().expect("not poisoned");
        *connection.ready(side) += 1;
        connection.remembered.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Two tasks wait `times` for their side each, while the stream has something for one side and the other. A wake-up that is
/// lost leaves a task waiting for ever, which the scheduler calls a deadlock.
fn two_tasks_wait(times: usize, both: bool) {
    let connection = Shared::default();
    let waiting = [Side::Receive, Side::Send].map(|side| {
        let connection = Arc::clone(&connection);
        shuttle::future::spawn(async move {
            for _ in 0..times {
                wait(&connection, side, both).await;
            }
        })
    });
    let stream = shuttle::thread::spawn(move || {
        for _ in 0..times {
            happen(&connection, Side::Send);
            happen(&connection, Side::Receive);
        }
    });
    shuttle::future::block_on(async {
        for task in waiting {
            task.await.expect("no panic");
        }
    });
    stream.join().expect("no panic");
}

#[test]
fn no_wake_up_of_two_tasks_is_lost_in_thousands_of_orders_of_their_steps() {
    // All orders are too many; the first of them in their order, and others by chance.
    shuttle::check_dfs(|| two_tasks_wait(1, true), Some(20_000));
    shuttle::check_random(|| two_tasks_wait(4, true), 2000);
    shuttle::check_pct(|| two_tasks_wait(4, true), 2000, 3);
}

/// That the test above can fail: this is what happened if each task handed down its own waker.
#[test]
#[should_panic(expected = "deadlock")]
fn without_a_waker_for_both_a_wake_up_would_be_lost() {
    shuttle::check_dfs(|| two_tasks_wait(1, false), None);
}

/// One side tells the other of what no stream will, as closing through the sink does.
#[test]
fn a_side_that_is_woken_by_the_other_looks_again_in_any_order_of_their_steps() {
    let told = || {
        let connection = Shared::default();
        let receiving = Arc::clone(&connection);
        let waiting = shuttle::future::spawn(async move { wait(&receiving, Side::Receive, true).await });
        let telling = shuttle::thread::spawn(move || {
            let mut connection = connection.lock().expect("not poisoned");
            connection.readable += 1;
            connection.wakers.wake(Side::Receive);
        });
        shuttle::future::block_on(waiting).expect("no panic");
        telling.join().expect("no panic");
    };
    shuttle::check_dfs(told, None);
}
