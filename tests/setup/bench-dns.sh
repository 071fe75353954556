#!/bin/sh
# Builds the name server as it runs in production, and measures it and its peers in one run. The result is
# target/bench/dns.json; docs/performance.md says what the figures mean.
set -eu

cargo build --locked --release -p postern-edge --example name_server
exec python3 tests/bench/dns/bench.py \
    --program target/release/examples/name_server \
    --zone edge/tests/zones/home.example.zone \
    --output target/bench/dns.json
