"""`graph`: how long it takes to know the packages of a large program, and how much memory that needs.

The program is cmd/prometheus of Prometheus 0.53.3, with some 1,250 packages of 177 modules and of the
standard library. `hotwatch graph --json` on this one service, from its start to its end, is compared with
`go list -deps -json ./cmd/prometheus` in the same directory; both write to /dev/null. They take turns; a
round before the first is not counted.

Memory is the largest resident set (VmHWM) of hotwatch alone, not of the go command that it runs; it is read
every millisecond, in runs of their own so that reading it delays nothing. The worst run decides."""

import os
import re
import subprocess
import time

import machine
import table
from harness import Failed, check, free_ports, module, progress, write

NAMES = ("graph",)

MODULE = "github.com/prometheus/prometheus@v0.53.3"
PACKAGE = "./cmd/prometheus"
AT_LEAST = 1000
FACTOR = 1.3
MEMORY = 60e6
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)

CONFIG = """log_dir = "{logs}"

[[service]]
name = "prometheus"
package = "{package}"
port = {port}
"""


def measure(bench):
    """The rows of the benchmark."""
    machine.need("go")
    directory = os.path.join(bench.temp, "prometheus")
    progress("getting {}".format(MODULE))
    module(bench, MODULE, directory)
    config = CONFIG.format(logs=bench.temp, package=PACKAGE, port=free_ports(1)[0])
    write(os.path.join(directory, "hotwatch.toml"), config)
    packages = len(check(["go", "list", "-deps", PACKAGE], bench.env, directory).split())
    if packages <= AT_LEAST:
        raise Failed("{} has only {} packages".format(PACKAGE, packages))
    graph = [bench.binary, "-C", directory, "graph", "--json"]
    listing = ["go", "list", "-deps", "-json", PACKAGE]
    ours, theirs, peaks = [], [], []
    for number in range(bench.runs + 1):
        for argv, took in ((graph, ours), (listing, theirs)):
            start = time.perf_counter()
            if run(bench, argv, directory).wait() != 0:
                raise Failed("{} failed".format(" ".join(argv)))
            took.append(time.perf_counter() - start)
        peaks.append(peak(run(bench, graph, directory)))
        shown = (table.seconds(ours[-1]), table.seconds(theirs[-1]), table.megabytes(peaks[-1]))
        progress("graph, round {}: {}, go list {}; {}".format(number, *shown))
    figure = "packages of {}".format(packages)
    return [
        table.compared("graph", figure, table.seconds, ours[1:], "go list", theirs[1:], FACTOR),
        table.at_most("graph", "largest resident set", table.megabytes, peaks[1:], MEMORY),
    ]


def run(bench, argv, directory):
    """Starts a command that writes its result to nowhere."""
    return subprocess.Popen(argv, env=bench.env, cwd=directory, stdout=subprocess.DEVNULL)


def peak(process):
    """Waits for the end of a process; returns its largest resident set in bytes, without its children."""
    largest = 0
    while process.poll() is None:
        with open("/proc/{}/status".format(process.pid)) as status:
            # One that has ended has none.
            found = PEAK.search(status.read())
        largest = max(largest, int(found.group(1)) * 1024 if found else 0)
        time.sleep(0.001)
    return largest
