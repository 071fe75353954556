#!/bin/sh
# Runs every test: with cargo-nextest where it is installed, else with cargo test. The scenarios make network
# namespaces of the programs that are built along with them; when this is not root, the test programs run through sudo.
set -eu

if [ "$(id -u)" != 0 ]; then
    target=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${target}_RUNNER=sudo --"
    sudo --validate
fi
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --locked --no-fail-fast
fi
exec cargo test --workspace --locked --no-fail-fast
