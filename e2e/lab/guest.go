package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// hostTools are the programs of the host that the guest has in /usr/bin; busybox has the rest, in /bin.
var hostTools = []string{"bash", "ip", "ss", "bridge", "tc", "tcpdump", "nc.openbsd"}

// guestFiles are the small files of the guest's system.
var guestFiles = map[string]string{
	"/etc/passwd":        "root:x:0:0::/root:/bin/sh\ntcpdump:x:100:100::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
	"/etc/group":         "root:x:0:\ntcpdump:x:100:\nnogroup:x:65534:\n",
	"/etc/services":      "joold 6464/udp\n",
	"/etc/protocols":     "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
	"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nservices: files\nprotocols: files\nhosts: files\n",
}

// prepareBase makes base.cpio: everything in the guest that depends neither on the version of Jool nor on the
// caller. The C library and libnl come from the newest suite, so that every version's tools find them new enough.
func (l *Lab) prepareBase(ctx context.Context, newest *suite, release string) error {
	root, err := newest.unpack(ctx, l.path("tmp", "libs"), "libc6", "libnl-3-200", "libnl-genl-3-200")
	if err != nil {
		return err
	}
	versions, err := os.ReadDir(l.path("jool"))
	if err != nil {
		return err
	}
	modules := guestModules
	programs := []string{}
	for _, v := range versions {
		depends, err := l.joolDepends(v.Name())
		if err != nil {
			return err
		}
		modules = append(modules, depends...)
		for _, tool := range joolTools {
			programs = append(programs, l.path("jool", v.Name(), tool))
		}
	}
	tree := l.path("tmp", "modules")
	if err := l.collectModules(ctx, tree, release, modules); err != nil {
		return err
	}
	tools, err := hostPaths(hostTools)
	if err != nil {
		return err
	}
	libs, err := libraries(libraryDirs(root, "/"), append(programs, tools...)...)
	if err != nil {
		return err
	}
	applets, err := run(ctx, "", "busybox", "--list")
	if err != nil {
		return err
	}
	return writeBase(l.path("base.cpio"), func(c *cpioWriter) error {
		c.Host("/lib", filepath.Join(tree, "lib"))
		addTools(c, tools, strings.Fields(applets))
		return addLibraries(c, libs, root)
	})
}

func hostPaths(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		file, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%w; PATH is %s", err, os.Getenv("PATH"))
		}
		files = append(files, file)
	}
	return files, nil
}

func writeBase(name string, add func(*cpioWriter) error) error {
	f, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	defer f.Close()
	c := newCPIOWriter(f)
	for _, dir := range []string{"/dev", "/proc", "/sys", "/tmp", "/root", "/out", "/var/tmp", "/run/netns", "/run/lock"} {
		c.Dir(dir)
	}
	c.Symlink("/run", "/var/run")
	for _, name := range slices.Sorted(maps.Keys(guestFiles)) {
		c.Bytes(name, 0o644, guestFiles[name])
	}
	if err := add(c); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// addTools adds busybox with its applets and the host's tools.
func addTools(c *cpioWriter, tools, applets []string) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		c.fail(err)
		return
	}
	c.Host("/bin/busybox", busybox)
	for _, a := range applets {
		if a != "busybox" {
			c.Symlink("busybox", "/bin/"+a)
		}
	}
	for _, t := range tools {
		c.Host("/usr/bin/"+filepath.Base(t), t)
	}
	c.Symlink("nc.openbsd", "/usr/bin/nc")
	c.Symlink("/usr/bin/bash", "/bin/bash")
	c.Symlink("/bin/busybox", "/usr/bin/env")
	c.Symlink("/bin/busybox", "/sbin/modprobe") // the kernel's own requests for modules
	distributions, _ := filepath.Glob("/usr/lib/" + multiarch + "/tc/*.dist")
	for _, d := range distributions { // of netem's delays
		c.Host(d, d)
	}
}

// addLibraries adds the libraries, and the loader at the two places where programs look for it.
func addLibraries(c *cpioWriter, libs map[string]string, root string) error {
	file, err := findLibrary(libraryDirs(root, "/"), loader)
	if err != nil {
		return err
	}
	libs[loader] = file
	for _, name := range slices.Sorted(maps.Keys(libs)) {
		c.Host("/lib/"+multiarch+"/"+name, libs[name])
	}
	c.Symlink("../lib/"+multiarch+"/"+loader, "/lib64/"+loader)
	return nil
}
