# Boots systemd as the first process of a container whose files are this
# machine's, under a file system in memory that takes what is written. $1 has
# inside.sh, and the programs with the units if they are to be installed without
# a package. It gets "out" and "log".
set -e
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
group=
if [ -n "$cgroups" ]; then
	group=$cgroups/joolctl-units-$$
	mkdir "$group"
	trap 'find "$group" -depth -type d -exec rmdir {} + 2>/dev/null' EXIT
fi
(
	[ -z "$group" ] || echo $BASHPID >"$group/cgroup.procs"
	exec unshare --fork --pid --mount --net --uts --ipc --cgroup --kill-child --propagation private bash -e -c '
dir=$1
over=$(mktemp -d)
mount -t tmpfs tmpfs "$over"
mkdir "$over/up" "$over/work" "$over/root"
root=$over/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$over/up,workdir=$over/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/shm" "$root/results"
mount --bind "$dir" "$root/results"
rm -f "$root"/etc/systemd/system/*.wants/*
if [ -e "$dir/joolctl" ]; then
	cp "$dir"/*.service "$root/etc/systemd/system/"
	install -D "$dir/joolctl" "$root/usr/bin/joolctl"
	install -D "$dir/joold" "$root/usr/libexec/joolctl/joold"
	chroot "$root" sh -c "getent group joolctl >/dev/null || groupadd --system joolctl"
fi
cat >"$root/etc/systemd/system/inside.service" <<UNIT
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /results/inside.sh
StandardOutput=file:/results/out
StandardError=file:/results/log
ExecStopPost=/bin/systemctl --no-block --force --force poweroff
UNIT
# On a host systemd does that itself.
mount --make-rshared "$root"
exec chroot "$root" env -i container=units PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=inside.service --log-target=null
' container "$1"
) || true
