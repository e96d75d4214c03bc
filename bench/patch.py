"""`patch`, `patch-large` and `patch-host`: how long after a save the running process runs the new code, and what it
costs to be able to.

`patch` is `restart` again, with the same service, edits and peer, but hotwatch has `reload = "patch"`: time counts until
an HTTP request is answered with the new text, by the same process.

`patch-large` does the same to caddy 2.10.2, which has 44 packages of its own and 878 in all. Each edit adds a loop
that does nothing to a function, which the compiler does not remove, in a package drawn at random (the seed is
told). Time counts until hotwatch says that the process runs the new code. The shell beside it builds and starts caddy
anew for the same edit in a copy of its own; there time counts until the new process accepts a connection. Where hotwatch
restarts, since the function runs at the start only, say, another function of the package is tried; how many that were is
told. Neither side is compared while the other builds.

`patch-host` runs three published benchmarks, compiled once by `go test -c` and once with the flags of a
service that takes patches, and with its `GODEBUG`: no function of the module is inlined then, and goroutines stop at
calls only."""

import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import time

import machine
import restart
import table
from harness import GO_BUILD, Child, Failed, Up, answered, check, free_ports, module, progress, warm_up, write

NAMES = ("patch", "patch-large", "patch-host")

EDITS = 20
PAUSE = 0.6
PATIENCE = 300
# Of what building and starting anew takes.
FACTOR, FACTOR_LARGE = 0.5, 0.25
PARTS = ("gather", "compile", "link", "load")

CADDY = "github.com/caddyserver/caddy/v2@v2.10.2"
CADDY_CONFIG = """log_dir = "{logs}"

[[service]]
name = "caddy"
dir = "caddy"
package = "./cmd/caddy"
args = ["run"]
port = {port}
reload = "patch"
env = {{ CADDY_ADMIN = "127.0.0.1:{port}" }}
"""

# A save is a line on standard input; its end stops the service.
BY_HAND = """
{build} ../caddy-bin ./cmd/caddy || exit 1
../caddy-bin run & old=$!
trap 'kill "$old"; wait "$old"' EXIT
while read -r save; do
    {build} ../caddy-bin ./cmd/caddy && kill "$old" || exit 1
    wait "$old"
    ../caddy-bin run & old=$!
    echo started
done
""".format(build=GO_BUILD)

FUNCTION = re.compile(r"^func (\([^)]*\) )?(?!init\b|main\b)\w+\([^{}]*\{$", re.MULTILINE)

BENCHMARKS = (
    ("github.com/gorilla/mux@v1.8.1", ".", "BenchmarkMux"),
    ("github.com/google/uuid@v1.6.0", ".", "BenchmarkParse"),
    (CADDY, "./modules/caddyhttp", "BenchmarkServer_LogRequest"),
)


def measure(bench):
    """The rows of the benchmarks."""
    machine.need("go")
    parts = {"patch": small, "patch-large": large, "patch-host": host}
    return [row for name, part in parts.items() if name in bench.wanted for row in part(bench)]


class Patched(restart.Watched):
    """The small service under hotwatch, which patches it."""

    SETTINGS = 'reload = "patch"\n'

    def __init__(self, bench, stack, port):
        super().__init__(bench, stack, port)
        until_patchable(self.child)


def until_patchable(child):
    """Waits until saves can be applied to the process and all is compiled that they may need."""
    waited = ["takes patches", "compiled for patches"]
    for _, event in child.events(PATIENCE):
        message = event.get("message", "") if event["event"] == "notice" else ""
        waited = [text for text in waited if text not in message]
        if not waited:
            return


def split_rows(name, splits):
    """Rows of where the time went."""
    return [
        table.plain(name, "of that, " + part, table.seconds, [split[part + "_ms"] / 1000 for split in splits])
        for part in PARTS
    ]


def small(bench):
    """The demo's service."""
    ours, theirs, splits = [], [], []
    with contextlib.ExitStack() as stack:
        ports = free_ports(2)
        patched, by_hand = Patched(bench, stack, ports[0]), restart.ByHand(bench, stack, ports[1])
        for number in range(EDITS + 1):
            for side, took in ((patched, ours), (by_hand, theirs)):
                time.sleep(PAUSE)
                took.append(restart.edit(side, number))
            _, event = patched.child.wait_for("patched", PATIENCE)
            splits.append(event)
            shown = (table.seconds(took[-1]) for took in (ours, theirs))
            progress("patch, edit {}: {}, by hand {}".format(number, *shown))
    figure = "save to new answer"
    row = table.compared("patch", figure, table.seconds, ours[1:], "by hand", theirs[1:], FACTOR)
    return [row] + split_rows("patch", splits[1:])


class Large:
    """Two copies of caddy, one of them under hotwatch."""

    def __init__(self, bench, stack):
        homes = [os.path.join(bench.temp, name) for name in ("caddy-patched", "caddy-by-hand")]
        self.sources = [os.path.join(home, "caddy") for home in homes]
        progress("getting {}".format(CADDY))
        for source in self.sources:
            module(bench, CADDY, source)
        listed = check(["go", "list", "-deps", "-f", "{{.Dir}}", "./cmd/caddy"], bench.env, self.sources[0])
        own = [path for path in listed.split() if path.startswith(self.sources[0])]
        self.packages = [os.path.relpath(path, self.sources[0]) for path in own]
        ports = free_ports(2)
        logs = os.path.join(homes[0], "logs")
        os.mkdir(logs)
        write(os.path.join(homes[0], "hotwatch.toml"), CADDY_CONFIG.format(logs=logs, port=ports[0]))
        progress("compiling it in both ways")
        self.up = stack.enter_context(Up(bench, homes[0]))
        until_patchable(self.up)
        self.port = ports[1]
        env = dict(bench.env, CADDY_ADMIN="127.0.0.1:{}".format(self.port))
        argv = ["sh", "-c", BY_HAND]
        self.by_hand = stack.enter_context(Child(argv, env, cwd=self.sources[1], stdin=subprocess.PIPE))
        accepted(self.port)
        self.restarts = 0

    def patch(self, package, random_one):
        """Edits functions of the package until one of them is patched; returns the path of the file and its new text,
        how long it took and the event. Nothing if none is."""
        directory = os.path.join(self.sources[0], package)
        listed = check(["go", "list", "-f", '{{join .GoFiles " "}}', "."], cwd=directory).split()
        places = [(file, found.end()) for file in listed for found in FUNCTION.finditer(text_of(directory, file))]
        random_one.shuffle(places)
        for file, at in places[:5]:
            text = text_of(directory, file)
            count = random_one.randrange(10**6)
            loop = "\n\tfor hotwatch := 0; hotwatch < {}; hotwatch++ {{\n\t}}".format(count)
            time.sleep(PAUSE)
            self.up.drain()
            start = time.perf_counter()
            write(os.path.join(directory, file), text[:at] + loop + text[at:])
            end, event = self.outcome()
            if event["event"] == "patched":
                return os.path.join(package, file), text[:at] + loop + text[at:], end - start, event
            self.restarts += 1
            progress("  {} in {}: {}".format(event["event"], file, self.reason))
            write(os.path.join(directory, file), text)
            self.settled()
        return None

    def outcome(self):
        """What becomes of a save, and when."""
        self.reason = ""
        for at, event in self.up.events(PATIENCE):
            if event["event"] == "verdict" and event["rung"] == "restart":
                self.reason = event["reason"]
            nothing = event["event"] == "verdict" and event["rung"] == "nothing"
            if event["event"] in ("patched", "restarted") or nothing:
                if event["event"] == "restarted":
                    until_taken(self.up)
                return at, event
        raise Failed("hotwatch has ended")

    def settled(self):
        """Waits for the end of what the withdrawal of an edit leads to."""
        self.outcome()

    def build(self, file, text):
        """Makes the same edit by hand; returns how long it takes until the new process accepts connections."""
        time.sleep(PAUSE)
        start = time.perf_counter()
        write(os.path.join(self.sources[1], file), text)
        os.write(self.by_hand.process.stdin.fileno(), b"save\n")
        for line in self.by_hand.lines(PATIENCE):
            if line.text == "started":
                return accepted(self.port) - start
        raise Failed("the shell has ended")


def until_taken(child):
    """Waits until saves can be applied to a new process."""
    for _, event in child.events(PATIENCE):
        if event["event"] == "notice" and "takes patches" in event["message"]:
            return


def text_of(directory, file):
    """The text of a file."""
    with open(os.path.join(directory, file)) as opened:
        return opened.read()


def accepted(port):
    """The time at which a connection to the port was accepted, tried every millisecond."""
    deadline = time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return time.perf_counter()
        time.sleep(0.001)
    raise Failed("port {} was not listened on in {} s".format(port, PATIENCE))


def large(bench):
    """A program of many packages."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    progress("patch-large: SEED={}".format(seed))
    random_one = random.Random(seed)
    ours, theirs, splits = [], [], []
    with contextlib.ExitStack() as stack:
        caddy = Large(bench, stack)
        packages = random_one.sample(caddy.packages, len(caddy.packages))
        for package in packages:
            patched = caddy.patch(package, random_one)
            if not patched:
                progress("patch-large, {}: no function of it could be patched".format(package))
                continue
            file, text, took, event = patched
            by_hand = caddy.build(file, text)
            progress("patch-large, {}: {}, by hand {}".format(file, *map(table.seconds, (took, by_hand))))
            ours.append(took)
            theirs.append(by_hand)
            splits.append(event)
            # The first one does not count.
            if len(ours) > EDITS:
                break
    name, figure = "patch-large", "save to new code, 20 packages, SEED={}".format(seed)
    row = table.compared(name, figure, table.seconds, ours[1:], "by hand", theirs[1:], FACTOR_LARGE)
    restarts = table.plain(name, "edits of functions that restarted instead", str, [caddy.restarts])
    return [row] + split_rows(name, splits[1:]) + [restarts]


def host(bench):
    """Published benchmarks in both ways."""
    rows = []
    for source, package, name in BENCHMARKS:
        directory = os.path.join(bench.temp, "host", name)
        module(bench, source, directory)
        own = source.split("@")[0]
        flags = ["-gcflags=all=-linkshared", "-gcflags={}/...=-linkshared -l".format(own)]
        programs = [os.path.join(directory, kind) for kind in ("as-it-is", "as-host")]
        for program, added in zip(programs, ([], flags)):
            check(["go", "test", "-c", "-o", program] + added + [package], bench.env, directory)
        ours, theirs = [], []
        for number in range(bench.runs):
            for program, took, debug in ((programs[1], ours, "asyncpreemptoff=1"), (programs[0], theirs, "")):
                took.append(nanoseconds(bench, program, name, debug))
            progress("patch-host, {} {}: {:.0f} ns, {:.0f} ns".format(name, number, ours[-1], theirs[-1]))
        row = table.compared("patch-host", "{} of {}".format(name, own), nanos, ours, "plain build", theirs, None)
        ratio = "{:.2f}".format(table.median(ours) / table.median(theirs))
        rows.append(row._replace(ratio=ratio))
        shutil.rmtree(directory)
    return rows


def nanos(value):
    """A duration of one operation, given in nanoseconds."""
    return "{:.0f} ns".format(value)


def nanoseconds(bench, program, name, debug):
    """What one operation of the benchmark takes."""
    argv = [program, "-test.run=^$", "-test.bench=^{}$".format(name), "-test.benchtime=0.5s"]
    said = check(argv, dict(bench.env, GODEBUG=debug), os.path.dirname(program))
    found = re.search(r"([\d.]+) ns/op", said)
    if not found:
        raise Failed("{} said no figure: {}".format(name, said.strip()[-200:]))
    return float(found.group(1))
