//! What the kernel knows of the server's process.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

use crate::Fallible;

/// A process, or none: then no time passes for it, and it has no memory.
pub(crate) struct Server {
    process: Option<(i32, ClockId)>,
}

/// Bytes.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss: i64,
    pub(crate) pss: i64,
    /// What the kernel holds in buffers for TCP on the whole machine, both ends.
    pub(crate) sockets: i64,
}

impl Server {
    pub(crate) fn of(pid: Option<i32>) -> Fallible<Self> {
        let clock = |pid| clock_getcpuclockid(Pid::from_raw(pid)).map(|clock| (pid, clock));
        let process = pid.map(clock).transpose().map_err(|error| format!("process {pid:?}: {error}"))?;
        Ok(Self { process })
    }

    /// CPU time of all its threads so far, in user and kernel mode, to the nanosecond. The scheduler's own count, up to
    /// date for threads that are running; `/proc/PID/stat` has only hundredths of seconds, and `schedstat` one thread.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        match self.process {
            Some((_, clock)) => Ok(clock_gettime(clock)?.into()),
            None => Ok(Duration::ZERO),
        }
    }

    pub(crate) fn memory(&self) -> Fallible<Memory> {
        let Some((pid, _)) = self.process else { return Ok(Memory::default()) };
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = |name: &str| -> Fallible<i64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
            Ok(number.ok_or_else(|| format!("no {name} in smaps_rollup"))?.parse::<i64>()? * 1024)
        };
        Ok(Memory { rss: kib("Rss:")?, pss: kib("Pss:")?, sockets: socket_pages()? * 4096 })
    }
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Fallible<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

fn socket_pages() -> Fallible<i64> {
    let all = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = all.lines().find(|line| line.starts_with("TCP:")).ok_or("no TCP in sockstat")?;
    let pages = tcp.split(" mem ").nth(1).and_then(|rest| rest.split(' ').next());
    Ok(pages.ok_or("no mem in sockstat")?.parse()?)
}
