#!/bin/sh
# Loads the images of target/image, or of the directory given second, into Podman and uses them: home takes a mail at port 25, shows it by IMAP, and has it still after
# the container was made anew. An image of another architecture runs under qemu-aarch64-static. Needs root, podman, runc and curl.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."

arch=${1:-$(dpkg --print-architecture)} directory=${2:-target/image}
fail() {
    echo "image: $*" >&2
    exit 1
}
for program in podman runc curl nsenter; do
    command -v "$program" >/dev/null || fail "$program is not here: apt-get install podman runc curl util-linux"
done
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)

work=$(mktemp -d)
engine() {
    podman --root "$work/storage" --runroot "$work/run" --storage-driver vfs --cgroup-manager cgroupfs --runtime runc "$@"
}
trap 'engine kill --all >/dev/null 2>&1; engine rm --all --force >/dev/null 2>&1; engine volume rm --all --force >/dev/null 2>&1; rm -rf "$work"' EXIT

for name in postern-edge postern-home; do
    archive=$directory/${name}_${version}_$arch.tar
    [ -e "$archive" ] || fail "$archive is not there; run: make image"
    engine load --quiet --input "$archive" >/dev/null
done

# Where the processor is another one, qemu runs the program.
qemu=
mounts=
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    [ "$arch" = arm64 ] || fail "no emulator is known for $arch"
    qemu=/qemu
    mounts="--volume $(command -v qemu-aarch64-static):/qemu:ro"
fi

# The policy of a container without a network: no names to look up, so no check that needs them.
cat > "$work/home.toml" <<'EOF'
[inbound]
greet_pause = "off"
sender_domain = "off"
dmarc = "note"
greylist = "off"
[dns]
validate = false
EOF
echo "nameserver 127.0.0.1" > "$work/resolv.conf"

# home COMMAND...: runs postern-home in the running container.
home() {
    # shellcheck disable=SC2086
    engine exec --interactive home $qemu /usr/bin/postern-home "$@"
}

start() {
    # shellcheck disable=SC2086
    engine run --detach --name home --network none --cap-drop ALL --security-opt no-new-privileges --read-only --tmpfs /tmp \
        --sysctl net.ipv4.ip_unprivileged_port_start=0 --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 $mounts \
        --volume mail:/var/lib/postern-home \
        --volume "$work/home.toml:/etc/postern/home.toml:ro" --volume "$work/resolv.conf:/etc/resolv.conf:ro" \
        --entrypoint "[\"${qemu:-/usr/bin/postern-home}\"]" "postern-home:$version" ${qemu:+/usr/bin/postern-home} run >/dev/null
    for _ in $(seq 300); do
        code=0
        home status >/dev/null 2>&1 || code=$?
        case $code in 0 | 3) return ;; esac
        sleep 0.1
    done
    engine logs home >&2
    fail "home did not come up"
}

# outside COMMAND...: runs it beside the daemon, in the container's network.
outside() {
    nsenter --target "$(engine inspect --format '{{.State.Pid}}' home)" --net "$@"
}

mailbox() {
    outside curl --silent --insecure --user 'ana@home.example:a password that is long' "imaps://127.0.0.1/INBOX;UID=1"
}

# shellcheck disable=SC2086
engine run --rm --network none $mounts --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
    --entrypoint "[\"${qemu:-/usr/bin/postern-edge}\"]" "postern-edge:$version" ${qemu:+/usr/bin/postern-edge} --version
start
home domain add home.example >/dev/null
echo "a password that is long" | home user add ana@home.example >/dev/null
printf 'From: sam@cafe.example\r\nTo: ana@home.example\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\nMessage-ID: <1@cafe.example>\r\nSubject: into a container\r\n\r\nHello.\r\n' > "$work/message"
outside curl --silent --show-error --url smtp://127.0.0.1/mail.cafe.example --mail-from sam@cafe.example --mail-rcpt ana@home.example \
    --upload-file "$work/message"
mailbox | grep -q 'into a container' || fail "the mail is not in the mailbox"
engine stop --time 30 home >/dev/null
engine rm home >/dev/null
start
mailbox | grep -q 'into a container' || fail "the mail did not outlive the container"
echo "image: all is well ($arch)"
