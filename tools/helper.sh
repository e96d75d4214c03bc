#!/bin/sh
# Builds the helper, static, for the machines that containers and remote hosts are; the next build of hotwatch embeds
# what is found. No C compiler is needed: Rust's own linker does it.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
mkdir -p src/sync/helper/bin
for machine in x86_64 aarch64; do
    target=$machine-unknown-linux-musl
    if command -v rustup >/dev/null; then
        rustup --quiet target add "$target" || true
    fi
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
        RUSTFLAGS= cargo build --quiet --profile helper --package hotwatch-helper --target "$target"
        # As it was, if it is the same: what embeds it need not be built anew.
        cmp -s "target/$target/helper/hotwatch-helper" "src/sync/helper/bin/$machine" ||
            cp "target/$target/helper/hotwatch-helper" "src/sync/helper/bin/$machine"
    else
        echo "NOT BUILT: the target $target is not installed and cannot be; hotwatch syncs without its helper there"
    fi
done
