#!/bin/sh
# Builds a Debian package of one program: systemd/deb/build.sh postern-home PROGRAM ARCH DIRECTORY
# PROGRAM is the built program, ARCH what Debian calls its architecture, DIRECTORY where the package goes. RUN runs programs of that
# architecture where this machine cannot (RUN=qemu-aarch64-static): manual pages and completions come out of the program itself.
set -eu

name=$1 program=$2 arch=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
chmod 755 "$tree"

# file MODE SOURCE PLACE
file() {
    install -D --mode "$1" "$2" "$tree/$3"
}

file 755 "$program" "usr/bin/$name"
[ "$arch" != "$(dpkg --print-architecture)" ] || strip "$tree/usr/bin/$name"
file 644 "$root/systemd/$name.service" "lib/systemd/system/$name.service"
file 644 "$root/systemd/$name.sysusers" "usr/lib/sysusers.d/$name.conf"
file 644 "$root/docs/${name#postern-}.toml" "etc/postern/${name#postern-}.toml"
file 644 "$here/copyright" "usr/share/doc/$name/copyright"
mkdir -p "$tree/usr/share/man/man1" "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" \
    "$tree/usr/share/fish/vendor_completions.d"
${RUN:-} "$program" man "$tree/usr/share/man/man1" >/dev/null
gzip -9n "$tree"/usr/share/man/man1/*
${RUN:-} "$program" completions bash > "$tree/usr/share/bash-completion/completions/$name"
${RUN:-} "$program" completions zsh > "$tree/usr/share/zsh/vendor-completions/_$name"
${RUN:-} "$program" completions fish > "$tree/usr/share/fish/vendor_completions.d/$name.fish"
printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the source.\n\n -- Postern <packages@postern.example>  %s\n' \
    "$name" "$version" "$(date --utc --date "@${SOURCE_DATE_EPOCH:-$(stat -c %Y "$root/CHANGELOG.md")}" -R)" |
    gzip -9n > "$tree/usr/share/doc/$name/changelog.gz"

mkdir "$tree/DEBIAN"
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$(du -sk "$tree" | cut -f1)/" "$here/$name.control" > "$tree/DEBIAN/control"
echo "/etc/postern/${name#postern-}.toml" > "$tree/DEBIAN/conffiles"
(cd "$tree" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum) > "$tree/DEBIAN/md5sums"
for script in postinst prerm postrm; do
    sed "s/@NAME@/$name/g" "$here/$script" > "$tree/DEBIAN/$script"
    chmod 755 "$tree/DEBIAN/$script"
done
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$tree" "$out/${name}_${version}_$arch.deb"
