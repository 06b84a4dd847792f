//! Telling many tasks to stop, at no cost while nobody stops: a task is woken once, and looks at a flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// One for the tasks of one thread, so that they do not wait for each other's locks.
#[derive(Default)]
pub(crate) struct Stop {
    stopping: AtomicBool,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    wakers: Slab<Waker>,
    /// Is woken when the last task is gone.
    last: Option<Waker>,
}

/// A task's place. Dropping it says that the task is done.
pub(crate) struct Stopping {
    stop: Arc<Stop>,
    key: Option<u32>,
}

impl Stop {
    /// Tells all tasks, those too that come later.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for (_, waker) in &self.lock().wakers {
            waker.wake_by_ref();
        }
    }

    /// Whether no task is left that was told.
    pub(crate) fn poll_all_done(&self, cx: &Context<'_>) -> Poll<()> {
        let mut tasks = self.lock();
        if tasks.wakers.is_empty() {
            return Poll::Ready(());
        }
        tasks.last = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tasks> {
        // Poisoned only if a waker's clone panicked; the table is whole all the same.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stopping {
    /// For a task of which nothing is known yet.
    pub(crate) fn new(stop: Arc<Stop>) -> Self {
        Self { stop, key: None }
    }

    /// Whether it is time to stop. The task that asked first is woken when it comes: it must not become another.
    pub(crate) fn is_due(&mut self, cx: &Context<'_>) -> bool {
        if self.key.is_none() {
            let key = self.stop.lock().wakers.insert(cx.waker().clone());
            self.key = u32::try_from(key).ok();
        }
        // After the waker is in its place: whoever stops meanwhile sees one or the other.
        self.stop.stopping.load(Ordering::SeqCst)
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut tasks = self.stop.lock();
        tasks.wakers.try_remove(key as usize);
        if tasks.wakers.is_empty()
            && let Some(last) = tasks.last.take()
        {
            last.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn tasks_are_woken_once_and_the_last_to_go_is_noticed() {
        let stop = Arc::new(Stop::default());
        let tasks = (0..100).map(|_| {
            let mut stopping = Stopping::new(stop.clone());
            tokio::spawn(poll_fn(move |cx| if stopping.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }))
        });
        let tasks: Vec<_> = tasks.collect();
        tokio::task::yield_now().await;
        assert!(poll_fn(|cx| Poll::Ready(stop.poll_all_done(cx))).await.is_pending());
        stop.stop();
        poll_fn(|cx| stop.poll_all_done(cx)).await;
        for task in tasks {
            task.await.expect("no panic");
        }
        assert!(Stopping::new(stop).is_due(&Context::from_waker(Waker::noop())), "who comes later stops too");
    }
}
