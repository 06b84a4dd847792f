"""Processes under test: started, watched, and ended by their own process id."""

import contextlib
import os
import re
import socket
import subprocess
import time

from .places import OUT, TRUNKLINE

START_SECONDS = 20


class Server:
    """A running process that listens on a loopback port."""

    def __init__(self, process, log, port):
        self.process = process
        self.pid = process.pid
        self.log = log
        self.port = port
        self.url = "ws://127.0.0.1:%d" % port

    def alive(self):
        return self.process.poll() is None

    def memory_kib(self, field="Rss"):
        """Resident memory, from the kernel's own sum over all mappings. `field` may also be Pss or Private_Dirty."""
        with open("/proc/%d/smaps_rollup" % self.pid) as lines:
            for line in lines:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise LookupError("no %s in smaps_rollup" % field)

    def reset_peak(self):
        """Forget the peak of resident memory so far (proc(5), clear_refs)."""
        with open("/proc/%d/clear_refs" % self.pid, "w") as refs:
            refs.write("5")

    def peak_kib(self):
        """The most resident memory since the last reset: nothing can hide between two samples."""
        with open("/proc/%d/status" % self.pid) as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))


@contextlib.contextmanager
def echo_server(*options, name="echo"):
    """`trunkline echo` on a port of the system's choice, for the length of a `with` block."""
    command = [str(TRUNKLINE), "echo", "--listen", "127.0.0.1:0", *options]
    with running(command, name) as (process, log):
        yield Server(process, log, port_announced(process, log))


@contextlib.contextmanager
def running(command, name, **options):
    """A child process with its output in a file; when the block ends it is told to stop, and killed if it does not."""
    OUT.mkdir(parents=True, exist_ok=True)
    log = OUT / (name + ".log")
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def port_announced(process, log, pattern=rb"listening on \w+://[^\s/]*:(\d+)"):
    """The port in the process's own words: it chose it, so nobody else can have taken it in between."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = re.search(pattern + rb"\b.*\n", log.read_bytes())
        if found:
            return int(found.group(1))
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError("%s did not start:\n%s" % (process.args[0], log.read_text(errors="replace")))


def free_port():
    """A port for a process that has to be told one. Somebody else could take it first; nothing better exists for those."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("nothing listens on port %d" % port)
