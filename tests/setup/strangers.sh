#!/bin/sh
# Puts the mail systems that cannot be installed beside Postfix under target/strangers, each as Debian packs it. What is
# there already stays.
set -eu
cd "$(dirname "$0")/../.."

# unpack NAME PACKAGE...: makes target/strangers/NAME of these packages.
unpack() {
    name=$1
    shift
    directory=target/strangers/$name
    [ ! -e "$directory/usr" ] || return 0
    echo "strangers: unpacking $*"
    rm -rf "$directory.new"
    mkdir -p "$directory.new/packages"
    (cd "$directory.new/packages" && apt-get download -qq "$@")
    for package in "$directory.new"/packages/*.deb; do
        dpkg -x "$package" "$directory.new"
    done
    rm -r "$directory.new/packages"
    mv "$directory.new" "$directory"
}

unpack exim exim4-daemon-light exim4-base
unpack opensmtpd opensmtpd
unpack chasquid chasquid
