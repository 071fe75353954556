#!/bin/sh
# Installs the Debian packages that tests/debian-packages.txt, or the list given, names and this machine lacks. Says which;
# takes root through sudo if needed. Services that come with them (Postfix, nsd, unbound) are neither started nor
# enabled: the lab runs them only inside its own namespaces.
set -eu

list=${1:-$(dirname "$0")/../debian-packages.txt}

fail() {
    echo "packages: $*" >&2
    exit 1
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c 1-2)" = ii ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        fail "installing needs root, and sudo is not there; run as root: $*"
    fi
}

has_systemd() {
    [ -d /run/systemd/system ]
}

. /etc/os-release 2>/dev/null || fail "this is no Linux distribution that says its name (/etc/os-release)"
if [ "${ID:-}" != debian ] || [ "${VERSION_ID:-99}" -lt 12 ]; then
    fail "the lab knows Debian 12 and newer; this is ${PRETTY_NAME:-unknown}." \
        "Install by hand what $list names, then run: make demo PACKAGES=none"
fi

missing=
for package in $(sed 's/#.*//' "$list"); do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "packages: installing$missing"

# apt would take an installed mail system away for Postfix; that is not ours to do.
as_root apt-get update -qq || fail "apt-get update failed"
# shellcheck disable=SC2086
plan=$(as_root apt-get install --simulate --no-install-recommends -y $missing) || fail "apt-get cannot install$missing"
removed=$(echo "$plan" | sed -n 's/^Remv \([^ ]*\).*/\1/p')
[ -z "$removed" ] || fail "installing$missing would remove" $removed"; do that yourself if you want it"

services=
for service in postfix nsd unbound knot named; do
    package=$service
    [ "$service" = named ] && package=bind9
    case " $missing " in *" $package "*) services="$services $service" ;; esac
done
if has_systemd && [ -n "$services" ]; then
    echo "packages: the services$services stay switched off on this machine"
    # shellcheck disable=SC2086
    as_root systemctl mask --quiet --runtime $services
fi
# Without systemd, a runlevel in which no service is started (invoke-rc.d(8)).
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes RUNLEVEL=1 apt-get install -qq -y --no-install-recommends \
    -o Dpkg::Options::=--force-confold $missing </dev/null >/dev/null || fail "apt-get install$missing failed"
if has_systemd && [ -n "$services" ]; then
    # shellcheck disable=SC2086
    as_root systemctl unmask --quiet --runtime $services
    # shellcheck disable=SC2086
    as_root systemctl disable --quiet $services
fi
