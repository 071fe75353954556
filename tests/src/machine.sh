tree=$0
layer=/run/machine
root=$layer/root
mkdir -p $layer/upper $layer/work $root
mount -t overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" overlay $root
# What the lab gives every host. Names are asked for as on a cloud's machine: through systemd-resolved.
cp -a /etc/hosts $root/etc/hosts
cp -a /etc/ssl/certs/. $root/etc/ssl/certs
echo "$1" > $root/etc/hostname
mkdir -p $root/etc/systemd/resolved.conf.d
sed 's/^nameserver /[Resolve]\nDNS=/' /etc/resolv.conf > $root/etc/systemd/resolved.conf.d/network.conf

mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null zero full random urandom tty; do
    touch $root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/pts $root/dev/shm $root/dev/net
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
# As udev leaves it: every user may open it, and the capability is asked for after.
mknod -m 666 $root/dev/net/tun c 10 200
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs $root/sys/fs/cgroup
    mkdir $root/sys/fs/cgroup/systemd $root/sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup $root/sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup/unified
fi
cd $root
mkdir -p mnt
pivot_root . mnt
umount --lazy /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 /lib/systemd/systemd --log-target=journal --show-status=0
