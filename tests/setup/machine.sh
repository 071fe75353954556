#!/bin/sh
# Makes target/machine: a Debian with systemd and cloud-init as a cloud's or a Pi's image has them, in which the scenarios install
# the packages. tests/packaging/machine-packages.txt says what is in it. What is there already, of the same list, stays. Needs root.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
[ "$(id -u)" = 0 ] || exec sudo -- "$0"

list=tests/packaging/machine-packages.txt
machine=target/machine
! cmp -s "$list" "$machine/packages.txt" || exit 0
command -v debootstrap >/dev/null || { echo "machine: debootstrap is not here: apt-get install debootstrap" >&2; exit 1; }
echo "machine: a Debian with systemd for the scenarios"
rm -rf "$machine"
mkdir -p "$machine"
debootstrap --variant=minbase bookworm "$machine/new" > "$machine/log" || { tail -n 5 "$machine/log" >&2; exit 1; }
# shellcheck disable=SC2046
chroot "$machine/new" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet=2 --yes --no-install-recommends $(sed 's/#.*//' "$list") > "$machine/log" 2>&1 ||
    { tail -n 5 "$machine/log" >&2; exit 1; }
# Every machine makes its own; nothing is fetched from Debian in the lab.
: > "$machine/new/etc/machine-id"
: > "$machine/new/etc/apt/sources.list"
rm -rf "$machine/new/var/cache/apt/archives" "$machine/new/var/lib/apt/lists"
mkdir -p "$machine/new/var/cache/apt/archives/partial" "$machine/new/var/lib/apt/lists/partial"
mv "$machine/new" "$machine/root"
cp "$list" "$machine/packages.txt"
