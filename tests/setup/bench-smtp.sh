#!/bin/sh
# Builds home as it runs in production, and measures how fast it takes mail beside Postfix's queue and Dovecot's LMTP, as root.
# The result is target/bench/smtp.json. MESSAGES=200 makes a short run.
set -eu

[ -n "${PROGRAM:-}" ] || cargo build --locked --release -p postern-home

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo --"
exec $as_root python3 tests/bench/smtp/bench.py \
    --program "${PROGRAM:-target/release/postern-home}" \
    --messages "${MESSAGES:-4000}" \
    --output target/bench/smtp.json
