"""`peers`: how long after a save the new code answers, beside other tools that restart Go programs on a save.

There are two services: userService of the demo backend, and node_exporter 1.12.1, which imports packages of
46 modules of others. Each edit gives a text that `GET /` answers a new value, in the main package. Time
counts from the moment at which the file has been written and closed until an HTTP request, sent anew every
millisecond, is answered with the new text; it is taken from outside, the same way for every tool. hotwatch
runs with its defaults. Each peer runs twice: with its defaults, as the quick start of its documentation has
it, and with the fastest settings that its documentation and its source allow:

- air: a `.air.toml` with the build that hotwatch does by itself (`go build -buildvcs=false -ldflags=-w`) and
  `delay = 1`, in milliseconds; 0 means the default, 1000. It kills the old process with SIGKILL by default.
- wgo: `-debounce 1ms`, and that build chained with its binary, which lies outside of what is watched.
- watchexec: `--debounce=1ms`, `--stop-signal=KILL`, and a shell that does that build and replaces itself with
  the binary.

With less, one save may start two builds: it is two events, one when the file is emptied and one when it is
written.

Every tool has a copy of the service of its own, and all of them run all the time. They take turns, each time
in another order, after a pause of 1 s each, so that every cooldown is over and nothing else is built; a round
before the first is not counted. No text comes twice, so no build is cached.

`go install github.com/air-verse/air@latest` and `cargo install --locked watchexec-cli` install two of them;
https://github.com/bokwoon95/wgo says how to get the third."""

import contextlib
import os
import shutil
import signal
import time
from collections import namedtuple

import machine
import table
from harness import GO_BUILD, Child, Failed, Up, answered, free_ports, module, progress, warm_up, write

NAMES = ("peers",)

PAUSE = 1.0
PATIENCE = 180
# hotwatch may be as slow as each of them, not slower.
FACTOR = 1.0

Service = namedtuple("Service", "name source file text args env")
Service.__doc__ = """A service to edit: its name, the directory in this repository or the module that it is
copied from, the file and the text in it that changes, and its arguments and environment, with `{port}` in
them."""

SERVICES = (
    Service(
        "userService",
        "tests/fixtures/backend/services/userService",
        "handlers.go",
        "Hello from userService",
        [],
        {"USER_SERVICE_PORT": "{port}"},
    ),
    Service(
        "node_exporter",
        "github.com/prometheus/node_exporter@v1.12.1",
        "node_exporter.go",
        "Prometheus Node Exporter",
        ["--web.listen-address=127.0.0.1:{port}"],
        {},
    ),
)

CONFIG = """log_dir = "{logs}"

[[service]]
name = "{name}"
dir = "{name}"
port = {port}
args = [{args}]
env = {{ {env} }}
"""

AIR = """[build]
cmd = "{build} ./tmp/main ."
entrypoint = ["./tmp/main"]
delay = 1
""".format(build=GO_BUILD)

BUILD = GO_BUILD.split() + ["../bin", "."]
DEFAULTS, FASTEST = "defaults", "fastest"

# By program and setting: what makes the command line from the arguments of the service.
PEERS = {
    ("air", DEFAULTS): lambda args: ["air", "--"] + args,
    ("air", FASTEST): lambda args: ["air", "--"] + args,
    ("wgo", DEFAULTS): lambda args: ["wgo", "run", "."] + args,
    ("wgo", FASTEST): lambda args: (
        ["wgo", "-debounce", "1ms", "-file", ".go"] + BUILD + ["::", "../bin"] + args
    ),
    ("watchexec", DEFAULTS): lambda args: "watchexec -r -e go -- go run .".split() + args,
    ("watchexec", FASTEST): lambda args: (
        "watchexec -r -e go --debounce=1ms --stop-signal=KILL --shell=sh --".split()
        + [" ".join(BUILD + ["&&", "exec", "../bin"] + args)]
    ),
}


class Peer(Child):
    """A tool that stands between us and the service: its end need not be that of what it has started."""

    def stop(self):
        """Ends the tool, and whatever of its session it leaves behind."""
        super().stop()
        for pid in session(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Side:
    """A tool with a copy of the service of its own."""

    def __init__(self, bench, stack, service, pristine, tool):
        self.name = ", ".join(tool)
        self.took, self.problem = [], ""
        self.port = free_ports(1)[0]
        home = os.path.join(bench.temp, "peers", service.name, "-".join(tool))
        directory = os.path.join(home, service.name)
        shutil.copytree(pristine, directory)
        self.file, self.text = os.path.join(directory, service.file), service.text
        args = [arg.format(port=self.port) for arg in service.args]
        env = {variable: value.format(port=self.port) for variable, value in service.env.items()}
        if tool in PEERS:
            if tool == ("air", FASTEST):
                write(os.path.join(directory, ".air.toml"), AIR)
            child = Peer(PEERS[tool](args), dict(bench.env, **env), cwd=directory)
        else:
            config = configuration(home, service.name, self.port, args, env)
            write(os.path.join(home, "hotwatch.toml"), config)
            child = Up(bench, home)
        self.child = stack.enter_context(child)
        answered(self.port, self.text, PATIENCE)

    def edit(self):
        """Saves a new text; takes note of how many seconds later it is answered."""
        text = "Edit {}".format(time.time_ns())
        with open(self.file) as file:
            source = file.read()
        edited = source.replace('"{}"'.format(self.text), '"{}"'.format(text))
        if edited == source:
            raise Failed("{} does not contain `{}`".format(self.file, self.text))
        write(self.file, edited)
        start = time.perf_counter()
        self.text = text
        self.took.append(answered(self.port, text) - start)

    def described(self):
        """How long the last edit took, in words; of hotwatch also where it says that the time went."""
        parts = [self.problem or table.seconds(self.took[-1])]
        if isinstance(self.child, Up):
            parts += ["{} {}".format(*item) for item in self.child.restarted().items() if "_ms" in item[0]]
        return "{} {}".format(self.name, ", ".join(parts))


def configuration(home, name, port, args, env):
    """The hotwatch.toml of a service."""
    logs = os.path.join(home, "logs")
    os.mkdir(logs)
    args = ", ".join('"{}"'.format(arg) for arg in args)
    env = ", ".join('{} = "{}"'.format(*item) for item in env.items())
    return CONFIG.format(logs=logs, name=name, port=port, args=args, env=env)


def measure(bench):
    """The rows of the benchmark."""
    machine.need("go")
    return [row for service in SERVICES for row in rows(bench, service)]


def rows(bench, service):
    """The rows of one service: hotwatch beside every setting of every peer."""
    pristine = os.path.join(bench.temp, "pristine", service.name)
    if "@" in service.source:
        progress("getting {}".format(service.source))
        module(bench, service.source, pristine)
    else:
        shutil.copytree(os.path.join(bench.root, service.source), pristine)
    warm_up(bench, pristine)
    with contextlib.ExitStack() as stack:
        ours = Side(bench, stack, service, pristine, ("hotwatch",))
        sides = {
            tool: Side(bench, stack, service, pristine, tool)
            for tool in PEERS
            if not machine.missing(tool[0])
        }
        turns = [ours] + list(sides.values())
        for number in range(bench.runs + 1):
            # Whoever comes first in one round comes last in the next.
            turns = [side for side in turns[1:] + turns[:1] if not side.problem]
            for side in turns:
                time.sleep(PAUSE)
                try:
                    side.edit()
                except Failed as error:
                    if side is ours:
                        raise
                    side.problem = str(error)
                progress("{}, round {}: {}".format(service.name, number, side.described()))
    figure = service.name + ", save to new answer"
    result = []
    for tool in PEERS:
        side = sides.get(tool)
        theirs = (side.problem or side.took[1:]) if side else machine.missing(tool[0])
        name = ", ".join(tool)
        result.append(table.compared("peers", figure, table.seconds, ours.took[1:], name, theirs, FACTOR))
    return result


def session(leader):
    """The processes of the session that a process has begun."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.getsid(int(name)) == leader:
                found.append(int(name))
    return found
