package lab

import (
	"maps"
	"path"
	"slices"
)

// systemUnit is the service that runs a machine's command in its system.
const systemUnit = "lab.service"

// systemService runs the command after the system has started everything that it starts at boot. No unit of the system
// waits for the command.
const systemService = `[Unit]
Description=The command of the virtual machine
Wants=multi-user.target
After=multi-user.target

[Service]
ExecStart=/usr/bin/bash /run/lab/service
StandardInput=null
`

// systemOverlay adds the init script, and below /system the files that it copies to the disk. The unit and the command
// are copied to /run, so that the disk has no files of the lab besides the caller's.
func systemOverlay(c *cpioWriter, m Machine, marks marks) error {
	for _, guest := range slices.Sorted(maps.Keys(m.Files)) {
		c.Host(path.Join("/system", guest), m.Files[guest])
	}
	c.Bytes("/lab/service", 0o755, systemScript(m, marks))
	c.Bytes("/lab/"+systemUnit, 0o644, systemService)
	c.Bytes("/init", 0o755, systemInit(marks))
	c.Dir("/system")
	return nil
}

// systemInit mounts the system's disk, copies the caller's files one by one, so that the modes of the system's directories and its
// links to directories stay, and becomes systemd. It closes the port, which the command's service opens again.
func systemInit(marks marks) string {
	var s script
	s.begin(marks)
	s.line(`modprobe -a virtio_blk ext4 || fail "the modules of the disk didn't load"`)
	s.line(`until [ -b /dev/vda ]; do sleep 0.01; done`)
	s.line(`mkdir /disk && mount -t ext4 /dev/vda /disk || fail "the disk couldn't be mounted"`)
	s.line(`cd /system && find . ! -type d | while read -r file; do`)
	s.line(`mkdir -p "/disk/${file%%/*}" && cp -a "$file" "/disk/$file" || fail "$file couldn't be copied"; done`)
	s.line(`mkdir -p /disk/out && mount -t tmpfs -o mode=755,nosuid,nodev run /disk/run || fail "/run couldn't be mounted"`)
	s.line(`mkdir -p /disk/run/systemd/system && cp -a /lab /disk/run/lab && cp /lab/%s /disk/run/systemd/system/ || fail "the unit couldn't be copied"`, systemUnit)
	s.line(`for dir in dev proc sys; do mount --move /$dir /disk/$dir; done`)
	s.line(`exec </disk/dev/null >/disk/dev/console 2>&1 3>&-`)
	s.line(`exec switch_root /disk /sbin/init`)
	return s.String()
}

// systemScript is the service's program. At its end it kills the processes of the service only: those of other services don't have the pipe open.
func systemScript(m Machine, marks marks) string {
	var s script
	s.openPort(marks)
	s.line(`export HOME=/root USER=root TERM=dumb`)
	s.command(m, marks, "/run/lab", `for p in $(cat /sys/fs/cgroup/system.slice/`+systemUnit+`/cgroup.procs); do [ $p = $$ ] || [ $p = $cat ] || kill -9 $p; done`)
	return s.String()
}
