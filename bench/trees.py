"""`tree` and `tree-up`: how long it takes until a large tree is watched, and how much memory that needs.

One tree serves all, the same in every run: 50,000 directories, on average 7 levels deep and at most 12,
with 4 small files each, one of them Go source. Time counts from the start of the process until it says that
it is ready and has reported 21 writes that are made right then, in 20 random directories and in the deepest
one. Memory is VmRSS at that moment, of the process alone. The programs take turns; a round before the first
is not counted, so that nobody pays for cold caches.

`tree` compares `hotwatch events` with `inotifywait -m -r`. Each write makes a new file, and the first line
that names it on standard output counts. Both flush after every line, also into a pipe.

`tree-up` compares `hotwatch up --json` on a service at the root of the tree with the same runs of
inotifywait. Each write makes a new file, and the `change` event that names it counts. Meanwhile the service
is built and started on the same processors. These files are no part of its program, so its configuration
names them: `watch = { include = ["**/probe-*.tmp"] }`."""

import contextlib
import os
import random
import shutil
from collections import namedtuple

import machine
import table
from harness import Child, Failed, Up, free_ports, memory, progress, warm_up, write

NAMES = ("tree", "tree-up")

SEED = 20000
# Of 50,000 directories so many lie 1, 2, 3 ... levels below the root; other sizes keep the shape.
LEVELS = (20, 200, 1200, 3500, 6500, 9000, 10000, 8500, 5800, 3300, 1500, 479)
PROBES = 20
# So much of inotifywait's time and memory may be used.
FACTOR = 0.6
PATIENCE = 300
# Numbers for content that no file had before; the tree is made with smaller ones.

WORDS = (
    "account admin api asset auth billing blob bus cache cart catalog checkout client codec cmd common "
    "config core currency customer db delivery device discount domain email engine event export feed "
    "filter gallery gateway graph handler health http image index internal inventory invoice job journal "
    "layout ledger legacy limit loader location log mail media message metric middleware migration mock "
    "model monitor notification offer order page parser partner payment photo pkg policy price product "
    "profile proxy queue quota rating region registry report repository request review router rule "
    "scheduler schema search server service session settings shipping social storage store stream tax "
    "template tenant token tool tracking transport user util validation view voucher worker"
).split()

MAIN = """// Command main is the service at the root of the tree: it accepts connections and closes them.
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Getenv("PORT")))
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		connection.Close()
	}
}
"""

CONFIG = """log_dir = "{logs}"

[[service]]
name = "root"
port = {port}
env = {{ PORT = "{port}" }}
watch = {{ include = ["**/probe-*.tmp"] }}
"""

Tree = namedtuple("Tree", "root directories sources")
Tree.__doc__ = "The tree: its root, the directories below it from the top down, and the Go file of each."

Sample = namedtuple("Sample", "ready reported memory")
Sample.__doc__ = "Seconds until ready, seconds until every write was reported, and VmRSS then."

# What the table shows of samples: how it is called and written, its value, and the bound if there is one.
FIGURES = (
    ("ready and 21 writes reported", table.seconds, lambda sample: sample.reported, FACTOR),
    ("of that after it said it is ready", table.seconds, lambda sample: sample.reported - sample.ready, None),
    ("memory then", table.megabytes, lambda sample: sample.memory, FACTOR),
)


def measure(bench):
    """The rows of both benchmarks, as far as they are wanted."""
    root = os.path.join(bench.temp, "tree")
    with machine.watches(bench.directories):
        progress("making a tree of {} directories".format(bench.directories))
        tree = make(root, bench.directories)
        try:
            os.sync()
            return rows(bench, samples(bench, tree))
        finally:
            progress("removing the tree")
            shutil.rmtree(root)


def rows(bench, taken):
    """The rows for the samples of each program."""
    peers = taken.get("inotifywait") or machine.missing("inotifywait")
    result = []
    for name in NAMES:
        if name not in bench.wanted:
            continue
        if isinstance(taken[name], str):
            result.append(table.not_measured(name, taken[name]))
            continue
        for figure, show, value, bound in FIGURES:
            theirs = peers if isinstance(peers, str) else [value(sample) for sample in peers]
            ours = [value(sample) for sample in taken[name]]
            result.append(table.compared(name, figure, show, ours, "inotifywait", theirs, bound))
    return result


def samples(bench, tree):
    """Samples by program, taken in turns; text instead of them says why a benchmark cannot be done."""
    runs = {}
    if not machine.missing("inotifywait"):
        argv = ["inotifywait", "-m", "-r", tree.root]
        runs["inotifywait"] = lambda probes: watch(bench, argv, "Watches established.", probes)
    if "tree" in bench.wanted:
        ready = "watching {} directories".format(bench.directories)
        runs["tree"] = lambda probes: watch(bench, [bench.binary, "events", tree.root], ready, probes)
    taken = {name: [] for name in runs}
    if "tree-up" in bench.wanted and machine.missing("go"):
        taken["tree-up"] = machine.missing("go")
    elif "tree-up" in bench.wanted:
        warm_up(bench, tree.root)
        taken["tree-up"] = []
        runs["tree-up"] = lambda probes: up(bench, tree, probes)
    for number in range(bench.runs + 1):
        probes = choose(tree, number)
        for name, run in runs.items():
            sample = run(probes)
            progress("{}, run {}: {}".format(name, number, describe(sample)))
            if number > 0:
                taken[name].append(sample)
    return taken


def describe(sample):
    """A sample in words."""
    return "ready after {}, all reported after {}, {}".format(
        table.seconds(sample.ready), table.seconds(sample.reported), table.megabytes(sample.memory)
    )


def watch(bench, argv, ready, probes):
    """One run of a bare watcher, which says `ready`; a new file is made beside each probe."""
    names = ["probe-{}.tmp".format(number) for number in range(len(probes))]
    files = [os.path.join(os.path.dirname(probe), name) for probe, name in zip(probes, names)]
    try:
        with Child(argv, bench.env) as child:
            at = next(line.at for line in child.lines(PATIENCE) if line.text == ready)
            for file in files:
                write(file, "probe\n")
            awaited = set(names)
            for line in child.lines(PATIENCE):
                # Both end a line with the name: `created /tree/a/NAME`, `/tree/a/ CREATE NAME`.
                awaited.discard(line.text.replace("/", " ").split(" ")[-1])
                if not awaited:
                    return Sample(at - child.started, line.at - child.started, memory(child.pid)[0])
    finally:
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                os.remove(file)


def up(bench, tree, probes):
    """One run of `hotwatch up` on the service at the root; a new file is made beside each probe."""
    configure(bench, tree)
    names = ["probe-{}.tmp".format(number) for number in range(len(probes))]
    files = [os.path.join(os.path.dirname(probe), name) for probe, name in zip(probes, names)]
    try:
        with Up(bench, tree.root) as child:
            at, watching = child.wait_for("watching", PATIENCE)
            if watching["directories"] != bench.directories:
                raise Failed("hotwatch up watches {} directories only".format(watching["directories"]))
            for file in files:
                write(file, "probe\n")
            awaited = {os.path.relpath(file, tree.root) for file in files}
            for reported, event in child.events(PATIENCE):
                if event["event"] == "change":
                    awaited.difference_update(event["paths"])
                    if not awaited:
                        return Sample(at - child.started, reported - child.started, memory(child.pid)[0])
    finally:
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                os.remove(file)


def configure(bench, tree):
    """Writes the hotwatch.toml of the tree, with a port that is free now."""
    logs = os.path.join(bench.temp, "logs")
    os.makedirs(logs, exist_ok=True)
    write(os.path.join(tree.root, "hotwatch.toml"), CONFIG.format(logs=logs, port=free_ports(1)[0]))


def choose(tree, number):
    """The Go files beside which, or to which, run `number` writes: 20 random ones and the deepest."""
    deepest = tree.sources[-1]
    return random.Random(SEED + number).sample(tree.sources[:-1], PROBES) + [deepest]


def make(root, count):
    """Makes the tree, whose root counts as one of its directories."""
    rng = random.Random(SEED)
    tree = Tree(root, *layout(root, count, rng))
    os.mkdir(root)
    write(os.path.join(root, "go.mod"), "module example.com/tree\n\ngo 1.21\n")
    write(os.path.join(root, "main.go"), MAIN)
    write(os.path.join(root, "README.md"), "A tree to be watched.\n")
    write(os.path.join(root, "hotwatch.toml"), "")
    for number, (directory, go) in enumerate(zip(tree.directories, tree.sources)):
        os.mkdir(directory)
        write(go, source(go, number))
        for extension in (".txt", ".json", ".md"):
            text = '{{"number": {}}}\n'.format(number) * rng.randint(1, 20)
            write(os.path.join(directory, rng.choice(WORDS) + extension), text)
    return tree


def layout(root, count, rng):
    """The directories below the root, from the top down, and a Go file for each."""
    sizes = [max(1, size * (count - 1) // sum(LEVELS)) for size in LEVELS]
    widest = sizes.index(max(sizes))
    sizes[widest] += count - 1 - sum(sizes)
    directories, above, taken = [], [root], set()
    for size in sizes:
        level = []
        while len(level) < size:
            path = os.path.join(rng.choice(above), rng.choice(WORDS))
            if path in taken:
                path += str(len(directories) + len(level))
            taken.add(path)
            level.append(path)
        directories += level
        above = level
    return directories, [os.path.join(path, rng.choice(WORDS) + ".go") for path in directories]


def source(path, number):
    """A valid Go file of a package of its own."""
    package = os.path.basename(os.path.dirname(path)).rstrip("0123456789")
    return (
        "// Package {0} is one of many that the service does not import.\n"
        "package {0}\n\n"
        "// Number tells the contents of these files apart.\n"
        "const Number = {1}\n\n"
        "// Double returns twice the number.\n"
        "func Double() int {{ return 2 * Number }}\n"
    ).format(package, number)
