#!/bin/sh
# Puts the checkers and mail clients that Debian has not, or not whole, under target/checkers: a Python environment for each
# file of pinned versions in tests/checkers, and what package-lock.json pins there for Node.js. What is there already, of the
# same versions, stays.
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

# install_node NAME: makes target/checkers/NAME/node_modules from tests/checkers/NAME.
install_node() {
    versions=tests/checkers/$1
    environment=target/checkers/$1
    ! cmp -s "$versions/package-lock.json" "$environment/versions" || return 0
    command -v npm >/dev/null || tests/setup/packages.sh tests/checkers/node-packages.txt
    echo "checkers: installing $1 from npm"
    mkdir -p "$environment"
    cp "$versions/package.json" "$versions/package-lock.json" "$environment"
    npm --prefix "$environment" ci --ignore-scripts --no-audit --no-fund --silent
    cp "$versions/package-lock.json" "$environment/versions"
}

install dnsviz
install checkdmarc
install pyopenssl
install imapclient
install_node imapflow
