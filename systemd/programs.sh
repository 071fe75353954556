#!/bin/sh
# Builds both programs for an architecture, as Debian calls it, and prints the directory where they are: systemd/programs.sh arm64
# PROFILE=dev builds them quickly instead of well. For another architecture than this machine's: rustup target add, and Debian's
# gcc-aarch64-linux-gnu and g++-aarch64-linux-gnu.
set -eu

arch=$1
profile=${PROFILE:-release}
output=$profile
[ "$profile" != dev ] || output=debug
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
    set --
    directory=${CARGO_TARGET_DIR:-target}/$output
else
    case $arch in
    arm64) triple=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu ;;
    amd64) triple=x86_64-unknown-linux-gnu tools=x86_64-linux-gnu ;;
    *) echo "programs: $arch is not an architecture that Postern is built for: amd64, arm64" >&2; exit 2 ;;
    esac
    variable=$(echo "$triple" | tr a-z- A-Z_)
    export "CARGO_TARGET_${variable}_LINKER=$tools-gcc"
    variable=$(echo "$triple" | tr - _)
    export "CC_$variable=$tools-gcc" "CXX_$variable=$tools-g++" "AR_$variable=$tools-ar"
    set -- --target "$triple"
    directory=${CARGO_TARGET_DIR:-target}/$triple/$output
fi
# One after the other: together they would get each other's features.
for name in postern-edge postern-home; do
    cargo build --locked --profile "$profile" "$@" --package "$name" >&2
done
echo "$directory"
