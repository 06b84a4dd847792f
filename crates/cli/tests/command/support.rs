//! The binary as a child process: started, talked to, waited for with a bound, ended by its own process id.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// More than anything here takes on a machine that is busy with other things; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The API key of every server here.
pub(crate) const KEY: &str = "a-key-for-tests-alone";

/// A command of the binary, in a folder without a configuration and an environment without our variables and those of
/// proxies.
pub(crate) fn trunkline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("TRUNKLINE_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-configuration");
    std::fs::create_dir_all(&empty).expect("a folder for all tests");
    command.args(args).current_dir(empty);
    command
}

/// A folder with one file in it, removed when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn with(file: &str, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir(&path).expect("a folder for this test");
        std::fs::write(path.join(file), text).expect("a file in it");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str], stdin: &str) -> Finished {
    finish(trunkline(args), stdin)
}

/// Runs a command to its end.
pub(crate) fn finish(command: Command, stdin: &str) -> Finished {
    let mut running = Running::start(command);
    running.write(stdin);
    running.end_stdin();
    running.wait()
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A command that runs, killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) out: Output,
    pub(crate) err: Output,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdin = child.stdin.take();
        let out = Output::of("stdout", child.stdout.take().expect("it is piped"));
        let err = Output::of("stderr", child.stderr.take().expect("it is piped"));
        Self { child, stdin, out, err }
    }

    /// A server, once it listens: `echo` or `serve`.
    pub(crate) fn server(command: Command) -> (Self, u16) {
        let running = Self::start(command);
        let lines = running.out.find(1, |line| line.starts_with("listening on "));
        let lines =
            lines.unwrap_or_else(|_| panic!("it does not listen; it says:\n{}", running.err.so_far()));
        let port = lines[0].rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port at its end");
        (running, port)
    }

    /// `trunkline echo`, and the URL it listens at.
    pub(crate) fn echo(options: &[&str]) -> (Self, String) {
        let (echo, port) = Self::server(trunkline(&[&["echo", "--listen", "127.0.0.1:0"], options].concat()));
        (echo, format!("ws://127.0.0.1:{port}/"))
    }

    /// Writes to its stdin; what it does not want to read is its own affair.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin was not ended");
        let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
    }

    pub(crate) fn end_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Ends it without a word, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// Waits until it ends of itself.
    pub(crate) fn wait(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            let (out, err) = (self.out.so_far(), self.err.so_far());
            assert!(Instant::now() < deadline, "it does not end; it said:\n{out}\n{err}");
            std::thread::sleep(Duration::from_millis(5));
        };
        Finished { code: status.code(), out: self.out.all(), err: self.err.all() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child, by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    // The shell has `kill` built in where no package brings one.
    let command = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &command]).status().expect("there is a shell");
    assert!(status.success(), "{command}");
}

/// What a process prints, collected as it comes.
#[derive(Clone)]
pub(crate) struct Output {
    name: &'static str,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    over: bool,
}

impl Output {
    fn of(name: &'static str, stream: impl Read + Send + 'static) -> Self {
        let output = Self { name, seen: Arc::default() };
        let seen = Arc::clone(&output.seen);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                seen.0.lock().expect("nobody panics with it").lines.push(line);
                seen.1.notify_all();
            }
            seen.0.lock().expect("nobody panics with it").over = true;
            seen.1.notify_all();
        });
        output
    }

    /// The first line that is `wanted`, waiting for it.
    pub(crate) fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.lines(1, wanted).remove(0)
    }

    /// The first `count` lines that are `wanted`, waiting for them.
    pub(crate) fn lines(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.find(count, wanted).unwrap_or_else(|found| {
            panic!("{} of {count} lines wanted on {}, which says:\n{}", found.len(), self.name, self.so_far())
        })
    }

    /// As [`lines`](Self::lines); fewer are an error.
    fn find(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Vec<String>> {
        let found = |seen: &Seen| -> Vec<String> {
            seen.lines.iter().filter(|line| wanted(line)).take(count).cloned().collect()
        };
        let (seen, changed) = &*self.seen;
        let unfinished = |seen: &mut Seen| found(seen).len() < count && !seen.over;
        let guard = seen.lock().expect("nobody panics with it");
        let (seen, _) =
            changed.wait_timeout_while(guard, PATIENCE, unfinished).expect("nobody panics with it");
        let found = found(&seen);
        if found.len() == count { Ok(found) } else { Err(found) }
    }

    /// What was printed up to now.
    pub(crate) fn so_far(&self) -> String {
        self.seen.0.lock().expect("nobody panics with it").lines.join("\n")
    }

    /// All that was printed; waits for the end.
    fn all(&self) -> String {
        let (seen, changed) = &*self.seen;
        let guard = seen.lock().expect("nobody panics with it");
        let (seen, _) =
            changed.wait_timeout_while(guard, PATIENCE, |seen| !seen.over).expect("nobody panics with it");
        seen.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}
