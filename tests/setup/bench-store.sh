#!/bin/sh
# Builds home as it runs in production, and measures its mailboxes and Dovecot's in one run, as root. The result is
# target/bench/store.json; docs/performance.md says what the figures mean. MESSAGES=2000 makes a short run.
set -eu

cargo build --locked --release -p postern-home

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo --"
exec $as_root python3 tests/bench/store/bench.py \
    --program target/release/postern-home \
    --messages "${MESSAGES:-20000}" \
    --output target/bench/store.json
