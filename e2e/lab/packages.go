package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// hostPackages are the packages that the host needs to prepare and run the lab, besides the kernel's headers.
var hostPackages = []string{
	"qemu-system-x86", "busybox-static", "bash", "iproute2", "tcpdump", "netcat-openbsd",
	"kmod", "make", "gcc", "binutils", "xz-utils", "debian-archive-keyring",
}

// kernelPackage depends on Debian's newest cloud kernel, which has what a virtual machine needs built in.
const kernelPackage = "linux-image-cloud-amd64"

// run runs a command of the host and returns its standard output. An error has the end of its standard error.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("%s %s: %w; it said: %s", name, strings.Join(args, " "), err, tail(out.String()+errs.String(), 12))
	}
	return out.String(), nil
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// installed reports whether the package is on the host.
func installed(ctx context.Context, pkg string) bool {
	out, err := run(ctx, "", "dpkg-query", "-W", "-f", "${db:Status-Status}\n", pkg)
	return err == nil && strings.Contains(out, "installed\n") && !strings.Contains(out, "not-installed\n")
}

// updateLists brings the host's package lists up to date. A failure is only logged: it may be of a source that the
// lab doesn't need, and installing says what is missing.
func updateLists(ctx context.Context, log Logf) {
	if _, err := run(ctx, "", "apt-get", "-qq", "update"); err != nil {
		log("going on with the package lists as they are: %v", err)
	}
}

// install installs those of the packages that the host lacks.
func install(ctx context.Context, log Logf, pkgs ...string) error {
	var missing []string
	for _, p := range pkgs {
		if !installed(ctx, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	log("installing %s", strings.Join(missing, " "))
	args := append([]string{"-qq", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"}, missing...)
	if _, err := run(ctx, "", "apt-get", args...); err != nil {
		return fmt.Errorf("%w: packages that the lab needs couldn't be installed: %w", ErrUnavailable, err)
	}
	return nil
}

// kernelRelease is the release of the kernel that kernelPackage stands for, such as 6.1.0-56-cloud-amd64.
func kernelRelease(ctx context.Context) (string, error) {
	out, err := run(ctx, "", "apt-cache", "depends", "--important", kernelPackage)
	if err != nil {
		return "", fmt.Errorf("%w: Debian's cloud kernel: %w", ErrUnavailable, err)
	}
	for line := range strings.Lines(out) {
		if _, release, ok := strings.Cut(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return release, nil
		}
	}
	return "", fmt.Errorf("%w: the package %s names no kernel; is this Debian, with the component main?", ErrUnavailable, kernelPackage)
}

// suite is one Debian suite, with apt's state for it alone: the machine's own sources stay as they are, and a
// suite that the mirror lacks doesn't spoil the others.
type suite struct {
	name string
	apt  []string // options that point apt to this suite only
}

// mirror is the address that the machine's apt takes the suite of this code name from, or else (sid calls itself by
// the name of the next release) any Debian suite.
func mirror(ctx context.Context, codename string) (string, error) {
	out, err := run(ctx, "", "apt-get", "indextargets", "--format", "$(CODENAME) $(RELEASE) $(REPO_URI)", "Identifier: Packages")
	if err != nil {
		return "", err
	}
	other := ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		if f[0] == codename || f[1] == codename {
			return f[2], nil
		}
		if strings.HasSuffix(strings.TrimRight(f[2], "/"), "/debian") {
			other = f[2]
		}
	}
	if other != "" {
		return other, nil
	}
	return "", fmt.Errorf("apt has no source for Debian %q; see /etc/apt/sources.list.d", codename)
}

// openSuite fetches the suite's package lists from the mirror into the directory dir.
func openSuite(ctx context.Context, name, mirror, dir string) (*suite, error) {
	keyring, err := keyring()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return nil, err
	}
	sources := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(sources, fmt.Appendf(nil, "deb [signed-by=%s] %s %s main\n", keyring, mirror, name), 0o644); err != nil {
		return nil, err
	}
	s := &suite{name: name, apt: []string{
		"-qq",
		"-o", "Dir::Etc::SourceList=" + sources,
		"-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::Etc::Preferences=/dev/null",
		"-o", "Dir::Etc::PreferencesParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache::pkgcache=",
		"-o", "Dir::Cache::srcpkgcache=",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-o", "APT::Sandbox::User=root",
		"-o", "APT::Update::Error-Mode=any",
	}}
	_, err = run(ctx, dir, "apt-get", append(s.apt, "update")...)
	return s, err
}

func keyring() (string, error) {
	const base = "/usr/share/keyrings/debian-archive-keyring"
	for _, ext := range []string{".gpg", ".pgp"} {
		if exists(base + ext) {
			return base + ext, nil
		}
	}
	return "", fmt.Errorf("%s.gpg doesn't exist; install debian-archive-keyring", base)
}

// unpack downloads packages of the suite into the directory dir, and unpacks them all into dir/root.
func (s *suite) unpack(ctx context.Context, dir string, pkgs ...string) (root string, err error) {
	return unpack(ctx, s.apt, dir, pkgs...)
}

func unpack(ctx context.Context, apt []string, dir string, pkgs ...string) (root string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	args := append([]string{"-o", "APT::Sandbox::User=root"}, apt...)
	args = append(append(args, "download"), pkgs...)
	if _, err := run(ctx, dir, "apt-get", args...); err != nil {
		return "", err
	}
	root = filepath.Join(dir, "root")
	return root, extract(ctx, dir, root)
}

// extract unpacks all packages of a directory into root.
func extract(ctx context.Context, dir, root string) error {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := run(ctx, dir, "dpkg", "-x", deb, root); err != nil {
			return err
		}
	}
	return nil
}
