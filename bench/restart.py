"""`restart`: how long after a save the new code answers.

The service is a copy of userService of the demo backend. Each edit gives the text that `GET /` answers a
new value, in handlers.go. Time counts from just before the file is written until an HTTP request, sent anew
every millisecond, is answered with the new text. Beside hotwatch with this one service stands a shell that
is told of the save at once and does the rest by hand: `go build -o bin . && kill OLD; wait OLD; ./bin &`,
with the flags that hotwatch gives `go build` by itself. Each makes 20 edits, in turns, at least 600 ms
apart, so that hotwatch's cooldown is over; an edit before the first is not counted. What hotwatch may take
longer includes its quiet window of 20 ms. `restarted.ms` is what hotwatch itself says: from the first file
event to ready."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import machine
import table
from harness import GO_BUILD, Child, Failed, Up, answered, free_ports, progress, write

NAMES = ("restart",)

EDITS = 20
PAUSE = 0.6
FACTOR = 1.1
QUIET = 0.02
PATIENCE = 120

PORT = "USER_SERVICE_PORT"
GREETING = "Hello from userService"

CONFIG = """log_dir = "{logs}"

[[service]]
name = "userService"
dir = "{dir}"
port = {port}
env = {{ {variable} = "{port}" }}
{settings}"""

# A save is a line on standard input; its end stops the service.
BY_HAND = """
{build} bin . || exit 1
./bin & old=$!
trap 'kill "$old"; wait "$old"' EXIT
while read -r save; do
    {build} bin . && kill "$old" || exit 1
    wait "$old"
    ./bin & old=$!
done
""".format(build=GO_BUILD)


class Watched:
    """The service under hotwatch."""

    SETTINGS = ""

    def __init__(self, bench, stack, port):
        home = os.path.join(bench.temp, "watched-" + type(self).__name__)
        logs = os.path.join(home, "logs")
        os.makedirs(logs)
        self.handlers = copy(bench, os.path.join(home, "userService"))
        names = {"logs": logs, "dir": "userService", "port": port, "variable": PORT}
        config = CONFIG.format(settings=self.SETTINGS, **names)
        write(os.path.join(home, "hotwatch.toml"), config)
        self.port = port
        self.child = stack.enter_context(Up(bench, home))
        self.child.wait_for("ready", PATIENCE)

    def saved(self):
        """Nothing to do: hotwatch sees it."""

    def restarted(self):
        """How long hotwatch says that the restart took, in seconds."""
        return self.child.restarted()["ms"] / 1000


class ByHand:
    """The service under a shell that is told of every save."""

    def __init__(self, bench, stack, port):
        home = os.path.join(tempfile.mkdtemp(dir=bench.temp), "userService")
        self.handlers = copy(bench, home)
        self.port = port
        env = dict(bench.env, **{PORT: str(port)})
        self.child = stack.enter_context(Child(["sh", "-c", BY_HAND], env, cwd=home, stdin=subprocess.PIPE))
        answered(port, GREETING, PATIENCE)

    def saved(self):
        """Tells the shell."""
        os.write(self.child.process.stdin.fileno(), b"save\n")


def measure(bench):
    """The rows of the benchmark."""
    machine.need("go")
    ours, theirs, restarts = [], [], []
    with contextlib.ExitStack() as stack:
        ports = free_ports(2)
        watched, by_hand = Watched(bench, stack, ports[0]), ByHand(bench, stack, ports[1])
        for number in range(EDITS + 1):
            for side, took in ((watched, ours), (by_hand, theirs)):
                time.sleep(PAUSE)
                took.append(edit(side, number))
            restarts.append(watched.restarted())
            shown = (table.seconds(took[-1]) for took in (ours, theirs))
            progress("restart, edit {}: {}, by hand {}".format(number, *shown))
    if any(event["event"] == "restarted" for event in watched.child.drain()):
        raise Failed("hotwatch reported more restarts than there were edits")
    return [
        table.compared(
            "restart", "save to new answer", table.seconds, ours[1:], "by hand", theirs[1:], FACTOR, QUIET
        ),
        table.plain("restart", "`restarted.ms`", table.seconds, restarts[1:]),
    ]


def copy(bench, destination):
    """Copies the service; returns the path of its handlers.go."""
    shutil.copytree(os.path.join(bench.root, "tests/fixtures/backend/services/userService"), destination)
    return os.path.join(destination, "handlers.go")


def edit(side, number):
    """Saves a new text on one side; returns how many seconds later it is answered."""
    with open(side.handlers) as file:
        source = file.read()
    text = "Edit {} of the benchmark".format(number)
    before = GREETING if number == 0 else "Edit {} of the benchmark".format(number - 1)
    edited = source.replace('"{}"'.format(before), '"{}"'.format(text))
    if edited == source:
        raise Failed("{} does not contain `{}`".format(side.handlers, before))
    start = time.perf_counter()
    write(side.handlers, edited)
    side.saved()
    return answered(side.port, '"{}"'.format(text)) - start
