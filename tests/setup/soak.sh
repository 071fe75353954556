#!/bin/sh
# Runs the scenarios that have a heavy form in that form: POSTERN_LAB_SOAK asks for it (tests/src/scale.rs). Needs root, as
# every scenario, and cargo-nextest, whose profile `soak` (.config/nextest.toml) names them and gives them an hour each.
set -eu

cargo nextest --version >/dev/null 2>&1 || {
    echo "soak: cargo-nextest is missing; install it with: cargo install --locked cargo-nextest" >&2
    exit 1
}
if [ "$(id -u)" != 0 ]; then
    target=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${target}_RUNNER=sudo --preserve-env=POSTERN_LAB_SOAK --"
    sudo --validate
fi
export POSTERN_LAB_SOAK=1
cargo build --locked -p postern-edge -p postern-home -p postern-lab
exec cargo nextest run --profile soak -p postern-lab --locked --no-fail-fast "$@"
