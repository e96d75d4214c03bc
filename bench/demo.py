"""`idle` and `memory`: what hotwatch costs while nothing happens, on the demo backend of six services.

Both begin once all six count as good (ready for 3 s) and 2 s have passed.

`idle` counts the system calls of hotwatch itself, in all its threads and not in its children, during 10 s.
strace attaches to it and writes down every call with its time. Counted are the calls entered in the 10 s
that begin half a second after it has attached. Attaching interrupts the calls that block and makes strace
show them as entered again, but that is earlier. The second witness is the number of context switches of all
threads in the same 10 s: a thread that sleeps in one call all the time has none. The worst run decides.

`memory` is VmRSS of hotwatch itself, not of its children; of that RssAnon, which no file backs; and the
number of threads."""

import os
import re
import shutil
import time

import machine
import table
from harness import Child, Failed, Up, context_switches, free_ports, memory, progress, write

NAMES = ("idle", "memory")

SETTLE = 2.0
WINDOW = 10.0
ATTACH = 0.5
PATIENCE = 300

SERVICES = 6
SETTING = re.compile(r"^(?:export )?(\w+)=", re.MULTILINE)
PORT = re.compile(r"\b(?:2000\d|8080)\b")
# `PID TIME name(`: a call is entered. `<... name resumed>`, `+++ exited` and `--- SIGNAL` are not.
ENTERED = re.compile(r"^\d+ +(\d+\.\d+) (\w+)\(")


def measure(bench):
    """The rows of both benchmarks, as far as they are wanted."""
    machine.need("go")
    project, env = backend(bench)
    calls, switches, sizes = [], [], []
    for number in range(1, bench.runs + 1):
        with Up(bench._replace(env=env), project) as child:
            child.wait_for("good", PATIENCE, SERVICES)
            time.sleep(SETTLE)
            sizes.append(memory(child.pid))
            progress("memory, run {}: {}".format(number, table.megabytes(sizes[-1][0])))
            if "idle" in bench.wanted:
                count, switched = idle(bench, child.pid)
                calls.append(count)
                switches.append(switched)
                shown = "system calls: {}; context switches: {}".format(count or "none", switched)
                progress("idle, run {}: {}".format(number, shown))
    return idle_rows(bench, calls, switches) + memory_rows(bench, sizes)


def idle_rows(bench, calls, switches):
    """The rows of `idle`; each element of `calls` counts calls by name, or is text that says why not."""
    if "idle" not in bench.wanted:
        return []
    problems = [count for count in calls if isinstance(count, str)]
    if problems:
        first = table.not_measured("idle", problems[0] + "; the second witness alone follows")
    else:
        first = table.none_of("idle", "system calls in 10 s", [sum(count.values()) for count in calls])
    return [first, table.none_of("idle", "context switches in 10 s", switches)]


def memory_rows(bench, sizes):
    """The rows of `memory`."""
    if "memory" not in bench.wanted:
        return []
    resident, anonymous, threads = zip(*sizes)
    return [
        table.plain("memory", "VmRSS", table.megabytes, resident),
        table.plain("memory", "of which RssAnon", table.megabytes, anonymous),
        table.plain("memory", "threads", "{:.0f}".format, threads),
    ]


def backend(bench):
    """A copy of the demo backend on free ports; returns its directory, and an environment without its
    settings."""
    project, logs = (os.path.join(bench.temp, name) for name in ("backend", "backend-logs"))
    shutil.copytree(os.path.join(bench.root, "tests/fixtures/backend"), project)
    os.mkdir(logs)
    texts = {}
    for name in (".env", "hotwatch.toml"):
        with open(os.path.join(project, name)) as file:
            texts[name] = file.read()
    old = sorted(set(PORT.findall(texts["hotwatch.toml"])))
    if len(old) != SERVICES:
        raise Failed("the demo backend has {} ports, not {}".format(len(old), SERVICES))
    new = dict(zip(old, map(str, free_ports(SERVICES))))
    for name, text in texts.items():
        texts[name] = PORT.sub(lambda port: new[port.group()], text)
    texts["hotwatch.toml"] = 'log_dir = "{}"\n'.format(logs) + texts["hotwatch.toml"]
    for name, text in texts.items():
        write(os.path.join(project, name), text)
    # What is set already would win over the file.
    settings = set(SETTING.findall(texts[".env"]))
    return project, {name: value for name, value in bench.env.items() if name not in settings}


def idle(bench, pid):
    """One run: (system calls by name, or why they cannot be counted; context switches) in 10 s."""
    problem = machine.missing("strace")
    if problem:
        return problem, window(pid)[2]
    trace = os.path.join(bench.temp, "trace")
    with Child(["strace", "-f", "-ttt", "-o", trace, "-p", str(pid)], bench.env) as strace:
        try:
            next(line for line in strace.lines(10) if " attached" in line.text)
        except Failed as error:
            return str(error), window(pid)[2]
        time.sleep(ATTACH)
        begin, end, switched = window(pid)
    with open(trace) as file:
        entered = (ENTERED.match(line) for line in file)
        names = [call.group(2) for call in entered if call and begin <= float(call.group(1)) < end]
    return {name: names.count(name) for name in sorted(set(names))}, switched


def window(pid):
    """Waits 10 s; returns when they began and ended, and the context switches of the process in them."""
    before = context_switches(pid)
    begin = time.time()
    time.sleep(WINDOW)
    end = time.time()
    after = context_switches(pid)
    # Those of a thread that came or went in between count as well.
    changes = (abs(after.get(task, 0) - before.get(task, 0)) for task in set(before) | set(after))
    return begin, end, sum(changes)
