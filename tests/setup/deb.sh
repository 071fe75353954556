#!/bin/sh
# Installs the packages of target/deb, or of the directory given, in the Debian of target/machine, uses the programs there, upgrades, removes
# and purges them. lintian has nothing to say. Needs root, and lintian.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."

for program in lintian chroot; do
    command -v "$program" >/dev/null || { echo "deb: $program is not here: apt-get install $program" >&2; exit 1; }
done
directory=${1:-target/deb}
arch=$(dpkg --print-architecture)
set -- "$directory"/postern-edge_*_"$arch".deb "$directory"/postern-home_*_"$arch".deb
[ -e "$1" ] && [ -e "$2" ] || { echo "deb: $directory has not both packages; run: make deb" >&2; exit 1; }
lintian --allow-root --fail-on error,warning "$@"

# Mounts end with this script.
if [ -z "${POSTERN_DEB_MOUNTS:-}" ]; then
    POSTERN_DEB_MOUNTS=1 exec unshare --mount tests/setup/deb.sh "$directory"
fi

tests/setup/machine.sh
# Nothing of this stays: what is written goes into a layer in memory.
mount -t tmpfs tmpfs /mnt
machine=/mnt/root
mkdir /mnt/upper /mnt/work "$machine"
mount -t overlay -o "lowerdir=$PWD/target/machine/root,upperdir=/mnt/upper,workdir=/mnt/work" overlay "$machine"
mount -t proc proc "$machine/proc"
mount --rbind /dev "$machine/dev"
cp "$@" "$machine/root"
# Nobody answers, and systemd-resolved does not run here.
rm "$machine/etc/resolv.conf"
echo 'nameserver 127.0.0.1' > "$machine/etc/resolv.conf"

# inside COMMAND...: runs it there.
inside() {
    chroot "$machine" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

echo "deb: install"
inside apt-get install --quiet=2 --yes "/root/${1##*/}" "/root/${2##*/}" >/dev/null
for name in postern-edge postern-home; do
    inside id "$name" >/dev/null
    inside test -s "/usr/share/man/man1/$name.1.gz"
    inside test -s "/usr/share/bash-completion/completions/$name"
    inside "$name" --version
    # Warnings (3) are about the machine, which has not everything that a real one has.
    inside "$name" config check || [ $? = 3 ]
done

echo "deb: use"
inside unshare --net sh -c 'install -d -o postern-home -m 700 /var/lib/postern-home /run/postern-home
    setpriv --reuid=postern-home --regid=postern-home --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service \
        postern-home run >/root/log 2>&1 & echo $! >/root/pid
    for try in $(seq 100); do postern-home status >/dev/null 2>&1; [ $? != 4 ] && break; sleep 0.1; done
    postern-home domain add home.example >/dev/null
    echo "a password that is long" | postern-home user add ana@home.example >/dev/null
    postern-home user list | grep -q ana@home.example
    kill "$(cat /root/pid)"'

echo "deb: upgrade"
inside sh -c 'echo "# mine" >> /etc/postern/home.toml'
rebuilt=$(mktemp -d)
dpkg-deb --raw-extract "$2" "$rebuilt/tree"
sed -i 's/^Version: .*/&+next/' "$rebuilt/tree/DEBIAN/control"
dpkg-deb --root-owner-group --build "$rebuilt/tree" "$machine/root/next.deb" >/dev/null
rm -rf "$rebuilt"
inside apt-get install --quiet=2 --yes /root/next.deb >/dev/null
inside grep -q '^# mine' /etc/postern/home.toml
inside test -s /var/lib/postern-home/server.sqlite

echo "deb: remove and purge"
inside apt-get remove --quiet=2 --yes postern-edge postern-home >/dev/null
inside test -e /etc/postern/home.toml
inside apt-get purge --quiet=2 --yes postern-edge postern-home >/dev/null
inside test ! -e /etc/postern
inside test -s /var/lib/postern-home/server.sqlite
echo "deb: all is well"
