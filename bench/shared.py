"""`shared`: how long after a save in a package that six services import all of them answer with the new code.

The project is a Go workspace of seven modules: six HTTP services, and a shared one with a package that says
what they answer. Each edit gives it a new text. Time counts from the moment at which the file has been
written and closed until the last of the six answers with that text; each is asked every millisecond. Beside
hotwatch, with its defaults, stands a loop that is told of the save at once and takes one service after the
other: it builds it with the flags that hotwatch gives `go build` by itself, ends the old process, waits until
that is gone, starts the new one and waits until it answers. The two take turns, each with a project of its
own and after a pause of 1 s; a round before the first is not counted. No text comes twice, so no build is
cached."""

import contextlib
import os
import time

import machine
import table
from harness import GO_BUILD, Child, Up, answered, check, free_ports, progress, write

NAMES = ("shared",)

PAUSE = 1.0
PATIENCE = 120
FACTOR = 1.0

SERVICES = ("accounts", "billing", "catalog", "delivery", "events", "frontend")

MESSAGE = """// Package message says what every service answers.
package message

// Text is the answer.
const Text = "{}"
"""

MAIN = """// Command {name} is one of six services that answer alike.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"example.com/shared/message"
)

func main() {{
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {{
		fmt.Fprintln(w, "{name}:", message.Text)
	}})
	log.Fatal(http.ListenAndServe(net.JoinHostPort("127.0.0.1", os.Getenv("PORT")), nil))
}}
"""

MODULE = "module example.com/{}\n\ngo 1.21\n"

CONFIG = """
[[service]]
name = "{name}"
dir = "services/{name}"
port = {port}
env = {{ PORT = "{port}" }}
"""


class Project:
    """A copy of the project; `ports` are those of its services."""

    def __init__(self, bench, name):
        self.bench = bench
        self.root = os.path.join(bench.temp, "shared", name)
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES))))
        self.message = os.path.join(self.root, "shared/message/message.go")
        os.makedirs(os.path.dirname(self.message))
        self.save()
        write(os.path.join(self.root, "shared/go.mod"), MODULE.format("shared"))
        for service in SERVICES:
            os.makedirs(self.directory(service))
            write(os.path.join(self.directory(service), "go.mod"), MODULE.format(service))
            write(os.path.join(self.directory(service), "main.go"), MAIN.format(name=service))
        used = "".join("\t./services/{}\n".format(service) for service in SERVICES)
        write(os.path.join(self.root, "go.work"), "go 1.21\n\nuse (\n\t./shared\n{})\n".format(used))

    def directory(self, service):
        """The directory of a service."""
        return os.path.join(self.root, "services", service)

    def save(self):
        """Gives the shared package a new text; returns when that was done."""
        self.text = "Edit {}".format(time.time_ns())
        write(self.message, MESSAGE.format(self.text))
        return time.perf_counter()

    def answered(self, service):
        """The time at which the service answered with the text."""
        return answered(self.ports[service], "{}: {}".format(service, self.text), PATIENCE)


class Watched(Project):
    """The project under hotwatch."""

    def __init__(self, bench, stack):
        super().__init__(bench, "watched")
        logs = os.path.join(self.root, "logs")
        os.mkdir(logs)
        services = (CONFIG.format(name=name, port=port) for name, port in self.ports.items())
        write(os.path.join(self.root, "hotwatch.toml"), 'log_dir = "{}"\n'.format(logs) + "".join(services))
        self.child = stack.enter_context(Up(bench, self.root))
        self.child.wait_for("ready", PATIENCE, len(SERVICES))

    def edit(self):
        """How many seconds after a save all services answer with it."""
        start = self.save()
        took = max(self.answered(service) for service in SERVICES) - start
        self.child.drain()
        return took


class Loop(Project):
    """The project under a loop over its services."""

    def __init__(self, bench, stack):
        super().__init__(bench, "loop")
        self.stack = stack
        self.children = {}
        self.update()

    def update(self):
        """Builds and starts one service after the other; returns when the last one answered."""
        for service in SERVICES:
            directory = self.directory(service)
            check(GO_BUILD.split() + ["bin", "."], self.bench.env, directory)
            if service in self.children:
                self.children[service].stop()
            env = dict(self.bench.env, PORT=str(self.ports[service]))
            child = Child([os.path.join(directory, "bin")], env, cwd=directory)
            self.children[service] = self.stack.enter_context(child)
            at = self.answered(service)
        return at

    def edit(self):
        """How many seconds after a save all services answer with it."""
        start = self.save()
        return self.update() - start


def measure(bench):
    """The rows of the benchmark."""
    machine.need("go")
    ours, theirs = [], []
    with contextlib.ExitStack() as stack:
        # The loop goes first, so that it alone compiles what is not in the build cache yet.
        loop, watched = Loop(bench, stack), Watched(bench, stack)
        for number in range(bench.runs + 1):
            for side, took in ((watched, ours), (loop, theirs)):
                time.sleep(PAUSE)
                took.append(side.edit())
            shown = (table.seconds(took[-1]) for took in (ours, theirs))
            progress("shared, round {}: {}, loop {}".format(number, *shown))
    figure = "save to new answer of all six"
    return [table.compared("shared", figure, table.seconds, ours[1:], "loop", theirs[1:], FACTOR)]
