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
	c.Bytes("/lab/run", 0o755, runScript(m))
	c.Bytes("/init", 0o755, initScript(m, depends, marks))
	return nil
}

// runScript is what bash runs in the guest.
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

// initScript is the guest's first process. It speaks on the second serial port: see guestStream.
func initScript(m Machine, depends []string, marks marks) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`#!/bin/busybox sh`)
	p(`export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM=dumb`)
	p(`mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/shm`)
	p(`stty -F /dev/ttyS1 raw -echo`)
	p(`exec </dev/null >/dev/ttyS1 2>&1`)
	p(`fail() { echo "%s$*"; exec >/dev/null 2>&1; poweroff -f; }`, marks.fail)
	p(`hostname lab`)
	p(`ip link set lo up || fail "loopback didn't come up"`)
	if len(depends) > 0 {
		p(`modprobe -a %s || fail "the modules that Jool needs didn't load"`, strings.Join(depends, " "))
	}
	if !m.NoJool {
		for _, ko := range joolModules {
			p(`insmod /jool/%s/%s || fail "%s of Jool %s didn't load"`, m.Jool, ko, ko, m.Jool)
		}
	}
	for _, env := range m.Env {
		key, value, _ := strings.Cut(env, "=")
		p(`export %s=%s`, key, shellQuote(value))
	}
	p(`cd %s || fail "no directory "%s`, shellQuote("/"+m.WorkDir), shellQuote(m.WorkDir))
	p(`echo "%s"`, marks.begin)
	p(`/usr/bin/bash /lab/run`)
	p(`status=$?`)
	p(`kill -9 -1`)
	p(`echo "%s$status"`, marks.end)
	p(`tar -c -f - -C /out .`)
	p(`exec >/dev/null 2>&1`) // closing the port waits until all is out
	p(`poweroff -f`)
	return b.String()
}
