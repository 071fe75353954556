#!/bin/sh
# Puts the checkers that Debian has not, or not whole, under target/checkers: a Python environment for each file of pinned
# versions in tests/checkers. One that is there already, of the same versions, stays.
set -eu
cd "$(dirname "$0")/../.."

# install NAME: makes target/checkers/NAME from tests/checkers/NAME.txt.
install() {
    versions=tests/checkers/$1.txt
    environment=target/checkers/$1
    ! cmp -s "$versions" "$environment/versions" || return 0
    echo "checkers: installing $1 from PyPI"
    # Debian's Python, which has Debian's pygraphviz; the user's own may be another.
    /usr/bin/python3 -m venv --clear --system-site-packages "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$versions"
    cp "$versions" "$environment/versions"
}

install dnsviz
install checkdmarc
install pyopenssl
