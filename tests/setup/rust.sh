#!/bin/sh
# Checks that the Rust toolchain is there and new enough: the version that Cargo.toml names.
set -eu

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../../Cargo.toml")
command -v cargo >/dev/null && found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || found=none
if [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ] || [ "$found" = none ]; then
    echo "rust: Postern builds with Rust $wanted or newer; found: $found. https://rustup.rs installs it." >&2
    exit 1
fi
