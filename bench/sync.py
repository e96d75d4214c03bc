"""`sync`: files into a container, beside the tools that are at hand there.

The container is one of podman, made of a static busybox alone; its directory /app is a directory of this
machine, so that it can be seen from outside when a file has arrived. *Save to visible*: from just before a
file of 2 KB is written until its content can be read there, looked for every half a millisecond; beside
`podman cp` of that one file, from just before it is written. hotwatch waits 20 ms for more of the same save.
*Initial sync*: 20,000 files of 300 to 8,000 bytes in 1,000 directories into an empty container, whose /app is
a file system in memory, so that the disk is not what is measured; beside `tar | podman exec tar`. First what
hotwatch says of the round itself, then the whole command, `hotwatch sync once`, which brings the helper there
and removes it as well. Mutagen could not be installed: its module is not to be had from the
module proxy."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time

import machine
import table
from harness import Failed, Up, check, progress, write

NAMES = ("sync",)

EDITS = 20
FILES = 20000
FACTOR = 1.2

# Where control groups are of the old kind, or limits are fixed, podman needs these.
GLOBAL = ["--runtime", "runc"]
FLAGS = ["--network=host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]

CONFIG = """log_dir = "{logs}"

[[service]]
name = "web"
dir = "src"
[service.sync]
to = {{ podman = "{name}" }}
[[service.sync.pair]]
target = "/app"
"""


class Container:
    """A container of busybox alone; gone with its context."""

    image = None

    def __init__(self, bench, flags):
        self.name = "hotwatch-bench-{}-{}".format(os.getpid(), random.getrandbits(32))
        if Container.image is None:
            Container.image = image(bench)
        run = ["podman"] + GLOBAL + ["run", "-d", "--name", self.name] + FLAGS + flags
        check(run + [Container.image, "/bin/sleep", "1000000"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["podman", "kill", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["podman", "rm", "-f", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def image(bench):
    """Makes the image; returns its name."""
    busybox = shutil.which("busybox") or ""
    root = tempfile.mkdtemp(dir=bench.temp)
    os.makedirs(os.path.join(root, "bin"))
    shutil.copy(busybox, os.path.join(root, "bin/busybox"))
    for name in ("sh", "tar", "sleep", "mkdir"):
        os.symlink("busybox", os.path.join(root, "bin", name))
    name = "hotwatch-bench-{}".format(os.getpid())
    archive = subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["podman", "import", "-q", "-", name], stdin=archive.stdout, stdout=subprocess.DEVNULL, check=True)
    archive.wait()
    return name


def measure(bench):
    """The rows of the benchmark."""
    machine.need("podman")
    machine.need("busybox")
    try:
        return visible(bench) + initial(bench)
    finally:
        if Container.image is not None:
            subprocess.run(["podman", "rmi", "-f", Container.image], stdout=subprocess.DEVNULL)


def project(bench, name):
    """A project whose directory `src` goes to the container `name`."""
    home = tempfile.mkdtemp(dir=bench.temp)
    os.makedirs(os.path.join(home, "src"))
    write(os.path.join(home, "hotwatch.toml"), CONFIG.format(logs=os.path.join(home, "logs"), name=name))
    return home


def visible(bench):
    """From a save to what can be read in the container."""
    ours, theirs = [], []
    with contextlib.ExitStack() as stack:
        outside = tempfile.mkdtemp(dir=bench.temp)
        container = stack.enter_context(Container(bench, ["-v", outside + ":/app"]))
        home = project(bench, container.name)
        saved = os.path.join(home, "src/page.html")
        other = os.path.join(bench.temp, "other.html")
        write(saved, "first")
        up = stack.enter_context(Up(bench, home, "--sync", "web"))
        up.wait_for("synced", 60)
        for number in range(EDITS + 1):
            text = "{:06} ".format(number) * 290
            start = time.perf_counter()
            write(saved, text)
            ours.append(arrives(os.path.join(outside, "page.html"), text) - start)
            start = time.perf_counter()
            write(other, text)
            subprocess.run(["podman", "cp", other, container.name + ":/app/other.html"], check=True)
            theirs.append(arrives(os.path.join(outside, "other.html"), text) - start)
            progress("sync, edit {}: {}, {}".format(number, *map(table.seconds, (ours[-1], theirs[-1]))))
            # Whatever follows a save is over.
            time.sleep(0.3)
    figure = "save to visible in the container"
    return [table.compared("sync", figure, table.seconds, ours[1:], "podman cp", theirs[1:], 1.0)]


def arrives(path, text):
    """Waits until the file has this content; returns when it had."""
    end = time.perf_counter() + 30
    while time.perf_counter() < end:
        try:
            with open(path) as file:
                if file.read() == text:
                    return time.perf_counter()
        except OSError:
            pass
        time.sleep(0.0005)
    raise Failed("{} has not arrived".format(path))


def initial(bench):
    """Many files into an empty container."""
    home = project(bench, "?")
    source = os.path.join(home, "src")
    seeded = random.Random(1)
    for number in range(FILES):
        directory = os.path.join(source, "d{:03}".format(number // 200), "s{}".format(number // 20 % 10))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "f{}".format(number)), "wb") as file:
            file.write(bytes(seeded.getrandbits(8) for _ in range(seeded.choice((300, 1000, 3000, 8000)))))
    rounds, whole, theirs = [], [], []
    for number in range(bench.runs):
        with Container(bench, ["--tmpfs", "/app:size=1g"]) as container:
            config = CONFIG.format(logs=os.path.join(home, "logs"), name=container.name)
            write(os.path.join(home, "hotwatch.toml"), config)
            start = time.perf_counter()
            told = check([bench.binary, "-C", home, "sync", "once", "--json"], bench.env)
            whole.append(time.perf_counter() - start)
            synced = [json.loads(line) for line in told.splitlines() if '"synced"' in line][0]
            if synced["files"] != FILES:
                raise Failed("{} files were synced".format(synced["files"]))
            rounds.append(synced["ms"] / 1000)
        with Container(bench, ["--tmpfs", "/app:size=1g"]) as container:
            words = "tar -C '{}' -cf - . | podman exec -i {} tar -xf - -C /app".format(source, container.name)
            start = time.perf_counter()
            check(["sh", "-c", words])
            theirs.append(time.perf_counter() - start)
        shown = map(table.seconds, (rounds[-1], whole[-1], theirs[-1]))
        progress("sync, run {}: {}, all in all {}, tar {}".format(number, *shown))
    peer = "tar, podman exec"
    return [
        table.compared("sync", "initial sync of 20,000 files", table.seconds, rounds, peer, theirs, FACTOR),
        table.compared("sync", "the same with the helper brought and removed", table.seconds, whole, peer, theirs, FACTOR),
    ]
