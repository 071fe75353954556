#!/bin/sh
# Builds a container image of one program from nothing but that program and the libraries that it needs, out of Debian's packages:
# systemd/image/build.sh postern-home PROGRAM ARCH DIRECTORY
# PROGRAM is the built program, ARCH what Debian calls its architecture (dpkg --add-architecture ARCH, where it is not this machine's),
# DIRECTORY where the archive goes, which `docker load` and `podman load` take. Needs buildah.
set -eu

name=$1 program=$2 arch=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree" "$work/packages" "$out"
chmod 755 "$tree"

# The edge writes its firewall with nft; both are linked against the C library and nothing else.
case $name in
postern-edge) needs=nftables ;;
*) needs=libgcc-s1 ;;
esac
packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
    "$needs:$arch" | sed -n "s/^\([a-z0-9.+-]*\)\(:$arch\)\{0,1\}$/\1:$arch/p")
# shellcheck disable=SC2086
(cd "$work/packages" && apt-get -o APT::Sandbox::User=root download --quiet=2 $packages)
for package in "$work"/packages/*.deb; do
    dpkg-deb --extract "$package" "$tree"
done
rm -rf "$tree/usr/share/doc" "$tree/usr/share/man" "$tree/usr/share/lintian" "$tree/usr/share/doc-base" "$tree"/usr/lib/*/gconv \
    "$tree/usr/share/nftables" "$tree/etc/nftables.conf" "$tree/lib/systemd"

install -D --mode 755 "$program" "$tree/usr/bin/$name"
[ "$arch" != "$(dpkg --print-architecture)" ] || strip "$tree/usr/bin/$name"
install -D --mode 644 "$root/docs/${name#postern-}.toml" "$tree/etc/postern/${name#postern-}.toml"
install -D --mode 644 /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/sbin/nologin\n%s:x:990:990:Postern:/var/lib/%s:/sbin/nologin\n' "$name" "$name" > "$tree/etc/passwd"
printf 'root:x:0:\n%s:x:990:\n' "$name" > "$tree/etc/group"
printf 'hosts: files dns\n' > "$tree/etc/nsswitch.conf"
install --directory --mode 1777 "$tree/tmp"
install --directory --mode 700 --owner 990 --group 990 "$tree/var/lib/$name" "$tree/run/$name"

# The edge keeps root, which its container has only with the powers that it is given; home needs none.
case $name in
postern-edge) user=0 ;;
*) user=990 ;;
esac
image=$(buildah --storage-driver vfs from --arch "$arch" scratch)
# As an archive, since only in one do files keep their owners.
tar --create --numeric-owner --file "$work/tree.tar" --directory "$tree" .
buildah --storage-driver vfs add --quiet "$image" "$work/tree.tar" / >/dev/null
buildah --storage-driver vfs config --arch "$arch" --user "$user" --entrypoint "[\"/usr/bin/$name\"]" --cmd run \
    --stop-signal SIGTERM --volume "/var/lib/$name" --env PATH=/usr/sbin:/usr/bin \
    --label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.title=$name" "$image"
archive=$out/${name}_${version}_$arch.tar
rm -f "$archive"
buildah --storage-driver vfs commit --quiet --rm "$image" "docker-archive:$archive:$name:$version" >/dev/null
echo "$archive"
