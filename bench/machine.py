"""The machine that is measured on: what it is, which peers it has, and the limit on inotify watches."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import time

from harness import Failed, check

WATCHES = "/proc/sys/fs/inotify/max_user_watches"

# How to get a program that is missing, on Debian and its kin.
INSTALL = {
    "go": "see https://go.dev/dl/",
    "inotifywait": "apt install inotify-tools",
    "strace": "apt install strace",
    "air": "go install github.com/air-verse/air@latest",
    "wgo": "see https://github.com/bokwoon95/wgo",
    "watchexec": "cargo install --locked watchexec-cli",
}


def missing(program):
    """Why the program cannot be measured with; empty when it is there."""
    if shutil.which(program):
        return ""
    return "{} is not installed; {}".format(program, INSTALL[program])


def need(program):
    """Fails when the program is missing."""
    if missing(program):
        raise Failed(missing(program))


def first_line(*argv):
    """The first line that a command writes; how most programs tell their version."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    except OSError:
        return "not installed"
    return (done.stdout.strip().splitlines() or [""])[0]


def go_program(name):
    """The version of a program that the go command has installed, as the binary itself tells it."""
    if missing(name):
        return "not installed"
    return field_of(check(["go", "version", "-m", shutil.which(name)]), r"^\tmod\t\S+\t(\S+)")


def go_env(name):
    """A setting of the go command; empty without one."""
    return "" if missing("go") else first_line("go", "env", name)


def field(path, pattern):
    """The first group of the first match of `pattern` in the file."""
    with open(path) as file:
        return field_of(file.read(), pattern)


def field_of(text, pattern):
    """The first group of the first match of `pattern` in the text."""
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def file_system(directory):
    """The kind of file system that the directory lies on: that of the longest mount point above it."""
    kinds = {}
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, kind = line.split()[:3]
            kinds[point] = kind
    points = (point for point in kinds if (directory + "/").startswith(point.rstrip("/") + "/"))
    return kinds[max(points, key=len)]


def facts(bench):
    """(what, value) pairs that say on what the figures were taken."""
    memory = int(field("/proc/meminfo", r"^MemTotal:\s+(\d+)")) * 1024
    cores = len(os.sched_getaffinity(0))
    return [
        ("date", time.strftime("%Y-%m-%d")),
        ("hotwatch", first_line(bench.binary, "--version")),
        ("processor", "{}, {} cores".format(field("/proc/cpuinfo", r"^model name\s*: (.+)$"), cores)),
        ("memory", "{:.0f} GB".format(memory / 1e9)),
        ("kernel", "{} {}".format(platform.system(), platform.release())),
        ("file system", file_system(bench.temp)),
        ("load average before", "{:.2f}".format(os.getloadavg()[0])),
        ("go", first_line("go", "version")),
        ("inotifywait", first_line("inotifywait", "--help")),
        ("strace", first_line("strace", "-V")),
        ("air", go_program("air")),
        ("wgo", go_program("wgo")),
        ("watchexec", first_line("watchexec", "--version")),
    ]


def watch_limit():
    """How many directories one user may watch."""
    with open(WATCHES) as file:
        return int(file.read())


@contextlib.contextmanager
def watches(needed):
    """Sees to it that so many more directories can be watched; what it raises, it puts back."""
    limit = watch_limit()
    # Others of the same user watch something too, and their watches count.
    wanted = needed + 16384
    if limit >= wanted:
        yield
        return
    try:
        with open(WATCHES, "w") as file:
            file.write(str(wanted))
    except OSError:
        remedy = "sudo sysctl fs.inotify.max_user_watches={}".format(wanted)
        raise Failed("fs.inotify.max_user_watches is {}; raise it with `{}`".format(limit, remedy)) from None
    try:
        yield
    finally:
        # Unless somebody else has changed it meanwhile.
        if watch_limit() == wanted:
            with open(WATCHES, "w") as file:
                file.write(str(limit))
