//! A thread for each core, each with a runtime of its own, which accepts from the one listening socket. A connection stays on
//! the thread that accepted it: nothing of it is ever in two caches, no queue is shared, no other thread has to be woken,
//! and a thread that has nothing to do sleeps in the kernel.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::stop::{Stop, Stopping};

/// After a failed accept. Out of descriptors, the next one would fail as well; others find room by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The threads.
pub(crate) struct Cores(Vec<Arc<Stop>>);

impl Cores {
    /// Starts as many threads as the process may use cores. `task` is what becomes of a stream; it is spawned on the thread
    /// that accepted it.
    pub(crate) fn start<T, F>(listener: TcpListener, task: &T) -> io::Result<Self>
    where
        T: Fn(TcpStream, Arc<Stop>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener.into_std()?;
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let cores = (0..count).map(|number| start(number, listener.try_clone()?, task.clone()));
        Ok(Self(cores.collect::<io::Result<_>>()?))
    }

    /// Accepts nothing more, tells all tasks to stop, and waits until they are done.
    pub(crate) async fn stop(self) {
        for stop in &self.0 {
            stop.stop();
        }
        for stop in &self.0 {
            std::future::poll_fn(|cx| stop.poll_all_done(cx)).await;
        }
    }
}

fn start<T, F>(number: usize, listener: std::net::TcpListener, task: T) -> io::Result<Arc<Stop>>
where
    T: Fn(TcpStream, Arc<Stop>) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let stop = Arc::<Stop>::default();
    let told = Arc::clone(&stop);
    let run = async move {
        let mut stopping = Stopping::new(Arc::clone(&told));
        tokio::select! {
            () = accept_all(&listener, task, told) => {}
            () = std::future::poll_fn(|cx| if stopping.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }) => {}
        }
        drop((listener, stopping));
        // What was accepted goes on until the process ends.
        std::future::pending::<()>().await;
    };
    thread::Builder::new().name(format!("core-{number}")).spawn(move || runtime.block_on(run))?;
    Ok(stop)
}

/// Accepts for ever: a failure of one connection, or of the moment, is not the end.
async fn accept_all<T, F>(listener: &TcpListener, task: T, stop: Arc<Stop>)
where
    T: Fn(TcpStream, Arc<Stop>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                tokio::spawn(task(stream, Arc::clone(&stop)));
            }
            Err(error) => {
                // Once is enough: it may fail for minutes.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
