# What can be done with this repository. `make test` is everything that CI runs.

# Go is got into target/ where it is missing; see tools/go.sh.
GO_PATH = PATH="$$(tools/go.sh):$$PATH"

.PHONY: demo helper test test-real test-go-matrix check-apple bench audit test-macos

# The part of hotwatch that runs inside containers; the next build embeds it.
helper:
	tools/helper.sh

demo:
	$(GO_PATH) cargo run --release --quiet -- demo

test: export RUSTFLAGS = -D warnings
test: export RUSTDOCFLAGS = -D warnings
test:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets
	tools/clippy-apple.sh
	tools/helper.sh
	$(GO_PATH) cargo test --workspace --no-run
	$(GO_PATH) cargo test --workspace --quiet -- --test-threads=6
	cargo doc --workspace --no-deps --document-private-items --quiet

# On public modules from the Go module proxy; tests/real/ holds the last results. SUITE=net/http runs the tests of that
# package alone in a patched process, and keeps the results.
test-real:
	$(GO_PATH) cargo test --test main real:: -- --ignored --nocapture
	$(GO_PATH) cargo test --lib patch:: -- --ignored --nocapture --test-threads=1

# Live patches with Go 1.22, 1.24, 1.26 and 1.27; tests/real/GO-MATRIX.md holds the last results.
test-go-matrix:
	tools/go-matrix.sh

# Measures hotwatch beside its peers; BENCHMARKS.md holds the last figures.
bench:
	cargo build --release
	$(GO_PATH) python3 bench/run.py --markdown BENCHMARKS.md

# Licences, sources and advisories of all dependencies, as deny.toml allows them.
audit:
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check licenses sources bans

# For people with a Mac: a report to paste into an issue.
test-macos:
	@uname -a; sw_vers; rustc --version
	$(GO_PATH) go version
	-$(GO_PATH) cargo test --workspace --no-fail-fast 2>&1 | grep -E '^(test |test result|error|thread|NOT CHECKED)'
