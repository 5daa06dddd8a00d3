package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// guestTools are the programs that the guest has in /usr/bin; busybox has the rest, in /bin.
var guestTools = []string{"bash", "ip", "ss", "bridge", "tc", "tcpdump", "nc.openbsd"}

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
// caller. The tools are the host's. The C library and libnl come from the newest suite, so that every version's tools find
// them new enough.
func (l *Lab) prepareBase(ctx context.Context, newest *suite, release string) error {
	root, err := newest.unpack(ctx, l.path("tmp", "libs"), "libc6", "libnl-3-200", "libnl-genl-3-200")
	if err != nil {
		return err
	}
	return l.makeBase(ctx, release, guestModules, "/", root, "/")
}

// makeBase makes base.cpio with these modules of the kernel, the tools of the system in the directory system, and the
// libraries of the first of the systems libs that has them.
func (l *Lab) makeBase(ctx context.Context, release string, modules []string, system string, libs ...string) error {
	versions, err := os.ReadDir(l.path("jool"))
	if err != nil {
		return err
	}
	modules = slices.Clone(modules)
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
	tools, err := findPrograms(system, guestTools...)
	if err != nil {
		return err
	}
	busybox, err := findPrograms(system, "busybox")
	if err != nil {
		return err
	}
	dirs := libraryDirs(libs...)
	found, err := libraries(dirs, append(programs, tools...)...)
	if err != nil {
		return err
	}
	if found[loader], err = findLibrary(dirs, loader); err != nil {
		return err
	}
	applets, err := run(ctx, "", busybox[0], "--list")
	if err != nil {
		return err
	}
	return writeBase(l.path("base.cpio"), func(c *cpioWriter) error {
		c.Host("/lib", filepath.Join(tree, "lib"))
		addBusybox(c, busybox[0], strings.Fields(applets))
		addTools(c, tools, system)
		addLibraries(c, found)
		return nil
	})
}

// findPrograms finds programs of the system in a directory.
func findPrograms(system string, names ...string) ([]string, error) {
	var files []string
	dirs := []string{"usr/bin", "usr/sbin", "bin", "sbin"}
	for _, name := range names {
		at := slices.IndexFunc(dirs, func(dir string) bool {
			info, err := os.Stat(filepath.Join(system, dir, name))
			return err == nil && info.Mode().IsRegular()
		})
		if at < 0 {
			return nil, fmt.Errorf("the program %s is in none of %s of the system in %s", name, strings.Join(dirs, ", "), system)
		}
		files = append(files, filepath.Join(system, dirs[at], name))
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

// addBusybox adds busybox with its applets.
func addBusybox(c *cpioWriter, busybox string, applets []string) {
	c.Host("/bin/busybox", busybox)
	for _, a := range applets {
		if a != "busybox" {
			c.Symlink("busybox", "/bin/"+a)
		}
	}
	c.Symlink("/bin/busybox", "/usr/bin/env")
	c.Symlink("/bin/busybox", "/sbin/modprobe") // the kernel's own requests for modules
}

// addTools adds the tools of the system in a directory.
func addTools(c *cpioWriter, tools []string, system string) {
	for _, t := range tools {
		c.Host("/usr/bin/"+filepath.Base(t), t)
	}
	c.Symlink("nc.openbsd", "/usr/bin/nc")
	c.Symlink("/usr/bin/bash", "/bin/bash")
	distributions, _ := filepath.Glob(filepath.Join(system, "usr/lib", multiarch, "tc/*.dist"))
	for _, d := range distributions { // of netem's delays
		c.Host(filepath.Join("/usr/lib", multiarch, "tc", filepath.Base(d)), d)
	}
}

// addLibraries adds the libraries, and the loader at the second place where programs look for it.
func addLibraries(c *cpioWriter, libs map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(libs)) {
		c.Host("/lib/"+multiarch+"/"+name, libs[name])
	}
	c.Symlink("../lib/"+multiarch+"/"+loader, "/lib64/"+loader)
}
