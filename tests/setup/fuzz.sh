#!/bin/sh
# Runs every fuzz target for the given number of seconds.
set -eu
cd "$(dirname "$0")/.."

cargo fuzz --version >/dev/null 2>&1 || {
    echo "fuzz: cargo-fuzz is not installed; cargo install cargo-fuzz" >&2
    exit 1
}
for target in $(cargo fuzz list --fuzz-dir fuzz); do
    echo "fuzz: $target for $1 s"
    cargo +nightly fuzz run --fuzz-dir fuzz "$target" -- -max_total_time="$1" -verbosity=0 -print_final_stats=1
done
