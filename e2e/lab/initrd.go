package lab

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// writeInitrd writes the initramfs of one machine: the prepared base, then an archive with the versions of Jool, the
// caller's files and the init script.
func (l *Lab) writeInitrd(name string, m Machine, marks marks) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	base, err := os.Open(l.path("base.cpio"))
	if err != nil {
		return err
	}
	defer base.Close()
	if _, err := io.Copy(f, base); err != nil {
		return err
	}
	// The archive's own padding counts from its start; the base's size is a multiple of 4, so that both agree.
	c := newCPIOWriter(f)
	if err := l.overlay(c, m, marks); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	return f.Close()
}

func (l *Lab) overlay(c *cpioWriter, m Machine, marks marks) error {
	c.Bytes("/lab/run", 0o755, runScript(m))
	if m.System {
		return systemOverlay(c, m, marks)
	}
	versions := append([]string{m.Jool}, m.ExtraJool...)
	for _, v := range versions {
		c.Host("/jool/"+v, l.path("jool", v))
	}
	for _, tool := range joolTools {
		c.Symlink("/jool/"+m.Jool+"/"+tool, "/usr/bin/"+tool)
	}
	depends, err := l.joolDepends(versions...)
	if err != nil {
		return err
	}
	for _, guest := range slices.Sorted(maps.Keys(m.Files)) {
		c.Host(guest, m.Files[guest])
	}
	c.Bytes("/init", 0o755, initScript(m, depends, marks))
	return nil
}

// runScript returns the script that bash runs in the guest.
func runScript(m Machine) string {
	if m.Script != "" {
		return m.Script
	}
	quoted := make([]string, len(m.Command))
	for i, arg := range m.Command {
		quoted[i] = shellQuote(arg)
	}
	return "exec " + strings.Join(quoted, " ") + "\n"
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// port is the virtio serial port in the guest. Its device appears before it can be opened, its name after.
const port = "vport0p1"

// script is a shell script that is being written.
type script struct{ strings.Builder }

func (s *script) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// initScript is the guest's first process. It speaks on the virtio serial port, as guestStream describes, by its
// file descriptor 3; before that is open, on the kernel's console. It never ends: the host ends the machine.
func initScript(m Machine, depends []string, marks marks) string {
	var s script
	s.begin(marks)
	s.line(`hostname lab`)
	s.line(`ip link set lo up || fail "loopback didn't come up"`)
	if len(depends) > 0 {
		s.line(`modprobe -a %s || fail "the modules that Jool needs didn't load"`, strings.Join(depends, " "))
	}
	if !m.NoJool {
		for _, ko := range joolModules {
			s.line(`insmod /jool/%s/%s || fail "%s of Jool %s didn't load"`, m.Jool, ko, ko, m.Jool)
		}
	}
	s.command(m, marks, "/lab", `kill -STOP -1; kill -CONT $cat; for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || [ $p = $cat ] || kill -9 $p; done`)
	return s.String()
}

// begin mounts what each guest has, and opens the port.
func (s *script) begin(marks marks) {
	s.line(`#!/bin/busybox sh`)
	s.line(`export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb`)
	s.line(`mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/shm`)
	s.line(`exec </dev/null >/dev/console 2>&1`)
	s.line(`modprobe -a virtio_pci virtio_console || poweroff -f`)
	s.line(`until [ -e /sys/class/virtio-ports/%s/name ]; do sleep 0.01; done`, port)
	s.openPort(marks)
}

func (s *script) openPort(marks marks) {
	s.line(`exec 3>/dev/%s >&3 2>&1`, port)
	s.line(`fail() { echo "%s$*"; while :; do sleep 1000; done; }`, marks.fail)
}

// command adds the lines that run /lab/run and then send the files that it left. dir is the directory of /lab/run in
// the guest. killOthers is the line that kills all processes that the command left behind.
func (s *script) command(m Machine, marks marks, dir, killOthers string) {
	for _, env := range m.Env {
		key, value, _ := strings.Cut(env, "=")
		s.line(`export %s=%s`, key, shellQuote(value))
	}
	s.line(`cd %s || fail no directory %s`, shellQuote("/"+m.WorkDir), shellQuote(m.WorkDir))
	s.line(`echo "%s"`, marks.begin)
	// The port can be opened only once, so that /dev/stderr and the like need a pipe. At the end, all that the command left
	// behind is stopped, so that none can start others, and killed, so that none holds the pipe; then cat finds its end.
	s.line(`mkfifo %s/output; cat %[1]s/output & cat=$!`, dir)
	if m.Terminal != nil {
		// The opening of the pipe lets cat find its end.
		s.line(`setsid -c /usr/bin/bash %s/run <%s >%[2]s 2>&1 3>&- 4>%[1]s/output`, dir, terminalDevice)
	} else {
		s.line(`/usr/bin/bash %s/run >%[1]s/output 2>&1 3>&-`, dir)
	}
	s.line(`status=$?`)
	s.line(`exec 2>/dev/null`)
	s.line(`%s`, killOthers)
	s.line(`wait $cat`)
	s.line(`exec 2>&1`)
	s.line(`echo "%s$status"; tar -c -f - -C /out .; echo "%s"`, marks.end, marks.done)
	s.line(`while :; do sleep 1000; done`)
}
