package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suiteSchema names the recipe by which the labs of suites are made, as schema does for the other.
const suiteSchema = "s1"

// suites are those whose systems the lab can boot, oldest first.
var suites = []string{"bookworm", "trixie"}

// Suites lists the Debian suites that [PrepareSuite] knows, oldest first.
func Suites() []string { return slices.Clone(suites) }

// suitePackages are installed in the system of a suite, with their dependencies, besides the essential packages.
var suitePackages = []string{
	"systemd", "systemd-sysv", "udev", "dbus", "kmod", "procps",
	"linux-image-cloud-amd64", "linux-headers-cloud-amd64", "jool-dkms", "jool-tools",
	"bash", "busybox-static", "iproute2", "netcat-openbsd", "tcpdump", // guestTools, so that no tool is the host's
}

// systemModules are the modules that mount a system's disk.
var systemModules = []string{"virtio_blk", "ext4"}

// PrepareSuite makes the lab of one Debian suite ready and returns it: the suite's own kernel, the Jool that its jool-dkms
// built for that kernel, and a system with systemd, in which jool-tools and jool-dkms are installed. [Machine.System]
// chooses between a machine with this system and one that has only the tools, in memory, as those of [Prepare] are.
// The first run takes minutes, root and a network; see [Prepare].
func PrepareSuite(ctx context.Context, log Logf, suite string) (*Lab, error) {
	if !slices.Contains(suites, suite) {
		return nil, fmt.Errorf("the lab knows no Debian suite %q; it knows %s", suite, strings.Join(suites, ", "))
	}
	return prepareOnce(ctx, log, labKind{family: suite + "-", name: suite + "-" + suiteSchema, make: func(l *Lab, ctx context.Context, log Logf) error {
		return l.prepareSuiteSystem(ctx, log, suite)
	}})
}

func (l *Lab) prepareSuiteSystem(ctx context.Context, log Logf, suite string) error {
	updateLists(ctx, log)
	if err := install(ctx, log, append([]string{"mmdebstrap", "e2fsprogs"}, hostPackages...)...); err != nil {
		return err
	}
	root := l.path("tmp", "root")
	log("installing Debian %s with its kernel, and building its Jool", suite)
	if err := bootstrap(ctx, suite, root); err != nil {
		return fmt.Errorf("%w: system of Debian %s: %w", ErrUnavailable, suite, err)
	}
	release, err := l.keepKernel(ctx, root)
	if err != nil {
		return fmt.Errorf("kernel of Debian %s: %w", suite, err)
	}
	version, err := l.keepJool(ctx, root, release)
	if err != nil {
		return fmt.Errorf("the Jool of Debian %s: %w", suite, err)
	}
	if err := l.makeBase(ctx, release, slices.Concat(guestModules, systemModules), root, root); err != nil {
		return fmt.Errorf("base initramfs of Debian %s: %w", suite, err)
	}
	if err := l.makeDisk(ctx, root); err != nil {
		return fmt.Errorf("disk of Debian %s: %w", suite, err)
	}
	log("Debian %s is ready, with Linux %s and Jool %s", suite, release, version)
	return writeWhole(l.path("ready"), version+"\n")
}

// bootstrap installs a suite into the directory root.
func bootstrap(ctx context.Context, suite, root string) error {
	codename, err := hostCodename()
	if err != nil {
		return err
	}
	uri, err := mirror(ctx, codename)
	if err != nil {
		return err
	}
	keyring, err := keyring()
	if err != nil {
		return err
	}
	if _, err := run(ctx, "", "mmdebstrap", "--quiet", "--variant=apt", "--components=main", "--keyring="+keyring,
		"--include="+strings.Join(suitePackages, ","), suite, root, uri); err != nil {
		return err
	}
	// mmdebstrap copies the host's.
	if err := os.Remove(filepath.Join(root, "etc", "resolv.conf")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, text := range map[string]string{
		"etc/hostname": "lab\n", "etc/hosts": guestFiles["/etc/hosts"],
		// Without these three, systemd would take each boot for the first one, and spend half a minute on it.
		"etc/machine-id": strings.Repeat("1", 32) + "\n", "etc/.updated": "", "var/.updated": "",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// They would hold dpkg's lock while a test installs something.
	for _, timer := range []string{"apt-daily.timer", "apt-daily-upgrade.timer"} {
		if err := os.Symlink("/dev/null", filepath.Join(root, "etc", "systemd", "system", timer)); err != nil {
			return err
		}
	}
	return nil
}

// keepKernel copies the kernel and its modules from root to where [Lab.prepareKernel] keeps them. It returns the release.
func (l *Lab) keepKernel(ctx context.Context, root string) (release string, err error) {
	found, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("expected one kernel in %s, found %q", filepath.Join(root, "boot"), found)
	}
	release = strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")
	out := l.path("tmp", "kernel")
	modules := filepath.Join(out, "lib", "modules")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return "", err
	}
	if err := copyFile(filepath.Join(out, "vmlinuz"), found[0]); err != nil {
		return "", err
	}
	if _, err := run(ctx, "", "cp", "-a", filepath.Join(root, "lib", "modules", release), modules); err != nil {
		return "", err
	}
	// Jool is loaded by its file.
	if err := os.RemoveAll(filepath.Join(modules, release, "updates")); err != nil {
		return "", err
	}
	if _, err := run(ctx, "", "depmod", "-b", out, release); err != nil {
		return "", err
	}
	if err := writeWhole(filepath.Join(out, "release"), release+"\n"); err != nil {
		return "", err
	}
	return release, replaceDir(out, l.path("kernel"))
}

// keepJool copies the modules that dkms built in root, and the tools, to where [Lab.buildJool] keeps them.
func (l *Lab) keepJool(ctx context.Context, root, release string) (version string, err error) {
	sources, err := filepath.Glob(filepath.Join(root, "usr", "src", "jool-*"))
	if err != nil || len(sources) != 1 {
		return "", fmt.Errorf("package jool-dkms: expected one directory usr/src/jool-VERSION, found %q", sources)
	}
	version = sources[0][strings.LastIndexByte(sources[0], '-')+1:]
	out := l.path("tmp", "jool-"+version)
	for _, ko := range joolModules {
		found, err := filepath.Glob(filepath.Join(root, "lib", "modules", release, "updates", "dkms", ko+"*"))
		if err != nil || len(found) != 1 {
			return "", fmt.Errorf("dkms built no %s of Jool %s for Linux %s%s", ko, version, release, buildLog(root))
		}
		if err := copyModule(ctx, filepath.Join(out, filepath.Base(found[0])), found[0]); err != nil {
			return "", err
		}
	}
	for _, tool := range joolTools {
		if err := copyFile(filepath.Join(out, tool), filepath.Join(root, "usr", "bin", tool)); err != nil {
			return "", err
		}
	}
	return version, replaceDir(out, l.path("jool", version))
}

// buildLog returns the end of the log of dkms's failed build, if there is one.
func buildLog(root string) string {
	found, _ := filepath.Glob(filepath.Join(root, "var/lib/dkms/jool/*/build/make.log"))
	if len(found) == 0 {
		return ""
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		return ""
	}
	return "; make.log ends with:\n" + tail(string(text), 20)
}

// disk is the image of a system's disk.
const disk = "system.ext4"

// diskSize is far more than a system takes; the image is sparse.
const diskSize = "4G"

// makeDisk makes the image of a disk with the files below root.
func (l *Lab) makeDisk(ctx context.Context, root string) error {
	image := l.path("tmp", disk)
	if _, err := run(ctx, "", "mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", root, image, diskSize); err != nil {
		return err
	}
	return os.Rename(image, l.path(disk))
}
