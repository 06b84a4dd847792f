//! A thread for each core, each with a runtime of its own. A connection stays on the thread it was given to: nothing of it
//! is ever in two caches, no queue is shared, and a thread that has nothing to do sleeps in the kernel.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::stop::Stop;

/// Connections that wait for a thread to take them. Past that the accept loop waits, and the kernel's backlog fills.
const WAITING: usize = 256;

/// The threads.
pub(crate) struct Cores {
    cores: Vec<Core>,
    next: usize,
}

struct Core {
    streams: mpsc::Sender<std::net::TcpStream>,
    stop: Arc<Stop>,
}

impl Cores {
    /// Starts as many threads as the process may use cores. `task` is what becomes of a stream; it is spawned on the thread.
    pub(crate) fn start<T, F>(task: T) -> io::Result<Self>
    where
        T: Fn(TcpStream, Arc<Stop>) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let cores = (0..count).map(|number| Core::start(number, task.clone()));
        Ok(Self { cores: cores.collect::<io::Result<_>>()?, next: 0 })
    }

    /// Gives a stream to the thread whose turn it is. Its turn comes again after all others': connections live long, so that
    /// their number is the best guess at their load.
    pub(crate) async fn give(&mut self, stream: TcpStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        let core = &self.cores[self.next];
        self.next = (self.next + 1) % self.cores.len();
        core.streams.send(stream).await.map_err(|_| io::Error::other("a thread has ended"))
    }

    /// Tells all tasks to stop, and waits until they are done.
    pub(crate) async fn stop(self) {
        for core in &self.cores {
            core.stop.stop();
        }
        for core in &self.cores {
            std::future::poll_fn(|cx| core.stop.poll_all_done(cx)).await;
        }
    }
}

impl Core {
    fn start<T, F>(number: usize, task: T) -> io::Result<Self>
    where
        T: Fn(TcpStream, Arc<Stop>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (streams, given) = mpsc::channel(WAITING);
        let stop = Arc::<Stop>::default();
        let stopping = Arc::clone(&stop);
        thread::Builder::new()
            .name(format!("core-{number}"))
            .spawn(move || runtime.block_on(take_all(given, task, stopping)))?;
        Ok(Self { streams, stop })
    }
}

async fn take_all<T, F>(mut given: mpsc::Receiver<std::net::TcpStream>, task: T, stop: Arc<Stop>)
where
    T: Fn(TcpStream, Arc<Stop>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    while let Some(stream) = given.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => drop(tokio::spawn(task(stream, Arc::clone(&stop)))),
            Err(error) => tracing::warn!(%error, "cannot watch a connection"),
        }
    }
    // The accept loop is over; what it gave goes on until the process ends.
    std::future::pending().await
}
