#!/bin/sh
# Builds the tunnel and its peers as they run in production, and measures all of them in one run, as root. The result
# is target/bench/tunnel.json; docs/performance.md says what the figures mean.
set -eu

peers=target/bench-peers
cargo build --locked --release -p postern-shared --example tunnel_end
cargo install --quiet --locked --version 0.7.1 --root $peers boringtun-cli
cargo install --quiet --locked --version 0.10.2 --root $peers gotatun-cli

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo --"
exec $as_root python3 tests/bench/tunnel/bench.py \
    --program target/release/examples/tunnel_end \
    --boringtun $peers/bin/boringtun-cli \
    --gotatun $peers/bin/gotatun \
    --wireguard-go "$(command -v wireguard-go || echo /usr/bin/wireguard-go)" \
    --output target/bench/tunnel.json
