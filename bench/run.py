#!/usr/bin/env python3
"""Measures hotwatch beside its peers and says which bounds are held.

    cargo build --release
    python3 bench/run.py

It needs Linux, Python 3.8 or newer, go, inotify-tools, strace, air, wgo and watchexec; what is missing is
said, and what needs it is not measured. Peers take turns (A B A B ...) and medians are compared. Everything
happens in a temporary directory (TMPDIR says where; the tree takes some 1.1 GB) and on free ports of the
loopback. Nothing is left behind but what the go command keeps in its caches: `patch-large`, `peers` and
`graph` have it get published programs, some 4 GB with all they import. Figures are worth something only on a machine that
has nothing else to do. Exit code: 0 when everything was measured and is within its bound, 1 when not, 2 for
wrong usage."""

import sys

sys.dont_write_bytecode = True

import argparse
import inspect
import os
import shutil
import signal
import tempfile

import demo
import graph
import machine
import patch
import peers
import restart
import shared
import sync
import table
import trees
from harness import Bench, Failed, progress

GROUPS = (trees, restart, patch, sync, peers, shared, graph, demo)
NAMES = tuple(name for group in GROUPS for name in group.NAMES)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main():
    """Runs what is wanted, prints the table, and returns the exit code."""
    if not sys.platform.startswith("linux"):
        sys.exit("the benchmarks read /proc and compare with inotify tools: they need Linux")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    options = parse(root)
    for number in SIGNALS:
        signal.signal(number, end)
    temp = os.path.realpath(tempfile.mkdtemp(prefix="hotwatch-bench-"))
    try:
        binary, env = os.path.abspath(options.binary), environment(temp)
        bench = Bench(binary, root, temp, env, options.runs, options.only, options.directories)
        facts = machine.facts(bench)
        rows = measure(bench)
    finally:
        shutil.rmtree(temp)
    print(table.terminal(rows), end="")
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(document(facts, options, rows))
    return 0 if table.all_held(rows) else 1


def end(number, _):
    """Ends the run with everything cleaned up, which takes some seconds and is not interrupted again."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def parse(root):
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument(
        "--binary",
        metavar="PATH",
        default=os.path.join(root, "target/release/hotwatch"),
        help="the hotwatch to measure (default: target/release/hotwatch)",
    )
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        default=",".join(NAMES),
        help="some of " + ", ".join(NAMES),
    )
    parser.add_argument(
        "--runs",
        metavar="N",
        type=int,
        default=5,
        help="runs of all but restart, which makes 20 edits (default: 5)",
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the result into this file too")
    parser.add_argument(
        "--directories",
        metavar="N",
        type=int,
        default=50000,
        help="size of the tree; the bounds are for the default, 50000",
    )
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in NAMES]
    if unknown:
        parser.error("there is no benchmark `{}`; there are {}".format(unknown[0], ", ".join(NAMES)))
    if options.runs < 1 or options.directories < 100:
        parser.error("at least 1 run and 100 directories")
    if not os.access(options.binary, os.X_OK):
        parser.error("{} is missing; build it with `cargo build --release`".format(options.binary))
    return options


def environment(temp):
    """The environment of every child: caches and temporary files in our directory, but the user's own build
    cache of Go, so that the standard library is not compiled anew."""
    env = dict(os.environ, GOCACHE=machine.go_env("GOCACHE"))
    for variable, name in (("XDG_CACHE_HOME", "cache"), ("XDG_RUNTIME_DIR", "run"), ("TMPDIR", "tmp")):
        env[variable] = os.path.join(temp, name)
        os.mkdir(env[variable], 0o700)
    return env


def measure(bench):
    """The rows of all benchmarks that are wanted."""
    rows = []
    for group in GROUPS:
        wanted = [name for name in group.NAMES if name in bench.wanted]
        if not wanted:
            continue
        try:
            rows += group.measure(bench)
        except (Failed, OSError) as error:
            rows += [table.not_measured(name, error) for name in wanted]
    for name in bench.wanted:
        verdicts = {row.verdict for row in rows if row.benchmark == name}
        for verdict in sorted(verdicts - {table.HELD, table.NOT_HELD, ""}):
            progress("{}: {}".format(name, verdict))
    return rows


def document(facts, options, rows):
    """The text for BENCHMARKS.md: the machine, the table, and how each figure came about."""
    measured = [inspect.getdoc(group) for group in GROUPS if set(group.NAMES) & set(options.only)]
    command = "python3 bench/run.py --runs {}".format(options.runs)
    return (
        "# Benchmarks\n\n"
        + "Made by `{}`; medians, with the range in parentheses.\n\n".format(command)
        + "".join("- {}: {}\n".format(what, value) for what, value in facts)
        + "\n"
        + table.markdown(rows)
        + "\n## What is measured, and how\n\n"
        + "\n\n".join(measured)
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
