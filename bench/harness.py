"""What every benchmark needs: a place to work in, child processes whose lines carry the time at which they
arrived, what /proc says of a process, and an HTTP request that costs little."""

import contextlib
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple

Line = namedtuple("Line", "at stream text")
Line.__doc__ = "A line of a child: when it was read (time.perf_counter), `stdout` or `stderr`, and its text."

Bench = namedtuple("Bench", "binary root temp env runs wanted directories")
Bench.__doc__ = """What a benchmark is given: the binary of hotwatch, the root of its repository, a temporary
directory of its own, the environment for children, how often to repeat, the benchmarks that are wanted, and
the size of the tree."""


# The build that hotwatch makes by itself, for whoever is to do the same by hand; the binary's name and the
# package follow.
GO_BUILD = "go build -buildvcs=false -ldflags=-w -o"


class Failed(Exception):
    """A benchmark could not be done; the text says why."""


class Child:
    """A child process in a session of its own, so that Ctrl+C reaches only the benchmark, which then ends its
    children one by one. Leaving the `with` block ends it."""

    def __init__(self, argv, env, cwd=None, stdin=None):
        self.name = os.path.basename(argv[0])
        self._lines = queue.Queue()
        self._tail = []
        self._open = 2
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._readers = [
            threading.Thread(target=self._read, args=(name, getattr(self.process, name)), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name, stream):
        for raw in iter(stream.readline, b""):
            text = raw.decode("utf-8", "replace").rstrip("\n")
            self._lines.put(Line(time.perf_counter(), name, text))
        stream.close()
        self._lines.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def lines(self, timeout):
        """Yields lines as they come; fails when `timeout` seconds pass without the reader being done, or
        when the child ends."""
        deadline = time.perf_counter() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.perf_counter()))
            except queue.Empty:
                raise self.failed("did not do what was waited for in {} s".format(timeout)) from None
            if line is None:
                self._open -= 1
                if self._open == 0:
                    raise self.failed("ended too early")
                continue
            self._tail = self._tail[-4:] + [line.text]
            yield line

    def failed(self, what):
        """The error that this child `what`, with the last that it said."""
        last = " | ".join(self._tail) or "nothing"
        return Failed("{} {}; it said last: {}".format(self.name, what, last))

    def stop(self):
        """Asks the process to end: one that reads its standard input by closing that, another by SIGTERM to
        its PID. Kills it when it has not ended 20 s later."""
        if self.process.stdin:
            self.process.stdin.close()
        elif self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(timeout=5)


class Up(Child):
    """`hotwatch up --json` on the project in `directory`, with more arguments if there are any."""

    def __init__(self, bench, directory, *args):
        self._cache = bench.env["XDG_CACHE_HOME"]
        self._services = set()
        super().__init__([bench.binary, "-C", directory, "up", "--json"] + list(args), bench.env)

    def events(self, timeout):
        """Yields (time of arrival, event) as they come, and fails as `lines` does."""
        for line in self.lines(timeout):
            if line.stream == "stdout":
                yield line.at, self._event(line)

    def wait_for(self, kind, timeout, count=1):
        """Waits for `count` events of this kind, each of another service; returns when the last one came, and
        that event."""
        seen = set()
        for at, event in self.events(timeout):
            if event["event"] == kind:
                seen.add(event.get("service"))
                if len(seen) == count:
                    return at, event

    def restarted(self):
        """Waits for the next restart, which the first start is not; returns its event."""
        for _, event in self.events(20):
            if event["event"] == "restarted" and event["old_pid"] is not None:
                return event

    def drain(self):
        """The events that have arrived and nobody has waited for."""
        events = []
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                return events
            if line is not None and line.stream == "stdout":
                events.append(self._event(line))

    def _event(self, line):
        """The event in a line; takes note of processes that come and go."""
        try:
            event = json.loads(line.text)
        except ValueError:
            raise Failed("hotwatch wrote a line that is no JSON: {}".format(line.text)) from None
        if event["event"] == "started":
            self._services.add(event["pid"])
        elif event["event"] in ("stopped", "exited"):
            self._services.discard(event["pid"])
        return event

    def stop(self):
        """Ends hotwatch, and any service that it should have left behind."""
        super().stop()
        self.drain()
        for pid in self._services:
            if executable(pid).startswith(self._cache):
                os.kill(pid, signal.SIGKILL)


def check(argv, env=None, cwd=None):
    """What a command writes to its standard output; fails with what it says when it fails."""
    pipe = subprocess.PIPE
    done = subprocess.run(argv, env=env, cwd=cwd, stdout=pipe, stderr=pipe, universal_newlines=True)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Failed("{}: {}".format(" ".join(argv[:3]), " ".join(last)))
    return done.stdout


def module(bench, name, destination):
    """Copies a published module, `path@version`, to where its files can be edited. The go command gets it
    unless it has it already."""
    found = json.loads(check(["go", "mod", "download", "-json", name], bench.env, bench.temp))
    shutil.copytree(found["Dir"], destination)
    # What is in the cache of modules is read-only.
    for directory, _, files in os.walk(destination):
        os.chmod(directory, 0o755)
        for file in files:
            os.chmod(os.path.join(directory, file), 0o644)


def warm_up(bench, directory):
    """Builds the program in the directory once, so that no run compiles what it imports."""
    out = os.path.join(bench.temp, "warm-up")
    check(GO_BUILD.split() + [out, "."], bench.env, directory)
    os.remove(out)


def executable(pid):
    """The path of the program that the process runs; empty when there is none."""
    try:
        return os.readlink("/proc/{}/exe".format(pid))
    except OSError:
        return ""


def memory(pid):
    """(VmRSS, RssAnon, number of threads) of the process alone, not of its children; sizes in bytes."""
    with open("/proc/{}/status".format(pid)) as status:
        fields = dict(line.split(":", 1) for line in status)
    resident, anonymous = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon"))
    return resident, anonymous, int(fields["Threads"])


def context_switches(pid):
    """How often each thread of the process left a processor so far, by itself or not."""
    switches = {}
    for task in os.listdir("/proc/{}/task".format(pid)):
        # A thread may end while it is looked at.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open("/proc/{}/task/{}/status".format(pid, task)) as status:
                switches[task] = sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
    return switches


def free_ports(count):
    """TCP ports of the loopback that nobody listens on. They lie below those that the system gives to
    clients: one of those might take the port, or even connect to itself on it, while a service restarts."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    ports = []
    for port in random.sample(range(10000, max(lowest, 11000)), 1000):
        with socket.socket() as tried:
            with contextlib.suppress(OSError):
                tried.bind(("127.0.0.1", port))
                ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed("there are not {} free ports".format(count))


def http_get(port):
    """What `GET /` answers, headers included; empty when nobody does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return b""


def answered(port, text, timeout=60):
    """The time at which the port answered with `text`, asked every millisecond."""
    wanted = text.encode()
    deadline = time.perf_counter() + timeout
    while time.perf_counter() < deadline:
        if wanted in http_get(port):
            return time.perf_counter()
        time.sleep(0.001)
    raise Failed("port {} did not answer `{}` in {} s".format(port, text, timeout))


def write(path, text):
    """Writes a file as editors do that keep the inode: truncate, write, close."""
    with open(path, "w") as file:
        file.write(text)


def progress(text):
    """Tells on standard error what is being done, so that standard output holds the result only."""
    print(text, file=sys.stderr, flush=True)
