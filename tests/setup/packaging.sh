#!/bin/sh
# Packs the programs of target/debug, as the tests run them, into Debian packages and images, and tries both. Needs root.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
[ "$(id -u)" = 0 ] || exec sudo -- "$0"

arch=$(dpkg --print-architecture)
for name in postern-edge postern-home; do
    systemd/deb/build.sh "$name" "target/debug/$name" "$arch" target/packaging >/dev/null
    systemd/image/build.sh "$name" "target/debug/$name" "$arch" target/packaging >/dev/null
done
tests/setup/deb.sh target/packaging
tests/setup/image.sh "$arch" target/packaging
