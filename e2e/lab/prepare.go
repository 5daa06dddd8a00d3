package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Logf takes progress messages, one line each; log.Printf and testing.T.Logf are such functions.
type Logf func(format string, args ...any)

const qemu = "qemu-system-x86_64"

// Prepare makes the lab ready and returns it. The first run on a machine takes minutes, root and a network: it
// installs packages of the host, and downloads and builds the kernel and each version of Jool. Later runs find
// the work done and need neither. Only one process prepares at a time; others wait. An interrupted run is
// continued by the next. A nil log discards.
//
// The error wraps [ErrUnavailable] when this machine can't have the lab.
func Prepare(ctx context.Context, log Logf) (*Lab, error) {
	if log == nil {
		log = func(string, ...any) {}
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("%w: it needs linux/amd64, this is %s/%s", ErrUnavailable, runtime.GOOS, runtime.GOARCH)
	}
	return prepareOnce(ctx, log, labKind{family: "v", name: schema, make: (*Lab).prepare})
}

// labKind is one of the labs of a cache directory.
type labKind struct {
	family string // prefix of the names of the labs of all its schemas
	name   string // the directory of the present schema
	// make does all the work that isn't done yet. Its caller holds the lock, and has made the directory tmp.
	make func(l *Lab, ctx context.Context, log Logf) error
}

// prepareOnce returns a lab that is ready, or makes it so.
func prepareOnce(ctx context.Context, log Logf, kind labKind) (*Lab, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("directory of the lab: %w; set %s to another", err, EnvDir)
	}
	l := &Lab{dir: filepath.Join(dir, kind.name)}
	if l.load() == nil && haveQEMU() {
		l.logSkipped(log)
		return l, nil
	}
	unlock, err := lock(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if l.load() == nil && haveQEMU() {
		return l, nil
	}
	if err := debianRoot(); err != nil {
		return nil, err
	}
	if l.load() == nil { // the lab is there, but no QEMU
		updateLists(ctx, log)
		return l, install(ctx, log, hostPackages[0])
	}
	if err := l.makeWith(ctx, log, kind.make); err != nil {
		return nil, err
	}
	removeOthers(dir, kind, log)
	return l, l.load()
}

// makeWith makes the lab, with a directory tmp for the time that it takes.
func (l *Lab) makeWith(ctx context.Context, log Logf, make func(*Lab, context.Context, Logf) error) error {
	log("preparing the lab in %s; this takes some minutes, once", l.dir)
	if err := os.RemoveAll(l.path("tmp")); err != nil {
		return err
	}
	if err := os.MkdirAll(l.path("tmp"), 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(l.path("tmp"))
	return make(l, ctx, log)
}

func haveQEMU() bool {
	_, err := exec.LookPath(qemu)
	return err == nil
}

// debianRoot checks that packages can be installed here.
func debianRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: preparing it installs Debian packages, which needs root; prepare it once as root, with the same %s", ErrUnavailable, EnvDir)
	}
	for _, tool := range []string{"apt-get", "dpkg"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: it is made of Debian packages, and this machine has no %s", ErrUnavailable, tool)
		}
	}
	return nil
}

// load reads which versions a finished lab has. The stamp is the last thing that prepare writes.
func (l *Lab) load() error {
	data, err := os.ReadFile(l.path("ready"))
	if err != nil {
		return fmt.Errorf("the lab in %s isn't finished: %w", l.dir, err)
	}
	l.versions = strings.Fields(string(data))
	if len(l.versions) == 0 {
		return fmt.Errorf("%s names no version of Jool; remove it to build the lab again", l.path("ready"))
	}
	return nil
}

// prepare builds each suite's Jool for the kernel of the host's own suite.
func (l *Lab) prepare(ctx context.Context, log Logf) error {
	release, err := l.prepareHost(ctx, log)
	if err != nil {
		return err
	}
	if err := l.prepareKernel(ctx, log, release); err != nil {
		return fmt.Errorf("kernel of the lab: %w", err)
	}
	versions, newest, err := l.prepareSuites(ctx, log, release)
	if err != nil {
		return err
	}
	if err := l.prepareBase(ctx, newest, release); err != nil {
		return fmt.Errorf("base initramfs of the lab: %w", err)
	}
	return writeWhole(l.path("ready"), strings.Join(versions, "\n")+"\n")
}

// logSkipped reminds of the suites that were left out when the lab was prepared.
func (l *Lab) logSkipped(log Logf) {
	if names, err := readLine(l.path("skipped")); err == nil && names != "" {
		log("the lab was prepared without the Jool of Debian %s; to try again, remove %s", names, l.dir)
	}
}

// prepareHost installs the packages that the host lacks. It removes the files of an interrupted run if they were made
// for another kernel, and returns the release of the kernel to use.
func (l *Lab) prepareHost(ctx context.Context, log Logf) (release string, err error) {
	updateLists(ctx, log)
	release, err = kernelRelease(ctx)
	if err != nil {
		return "", err
	}
	if err := install(ctx, log, append([]string{"linux-headers-" + release}, hostPackages...)...); err != nil {
		return "", err
	}
	if left, err := readLine(l.path("kernel", "release")); err == nil && left != release {
		log("the kernel is now %s; what was built for %s is dropped", release, left)
		return release, errors.Join(os.RemoveAll(l.path("jool")), os.RemoveAll(l.path("suites")), os.RemoveAll(l.path("kernel")))
	}
	return release, nil
}

// prepareSuites builds the Jool of every suite that can be had. It returns the versions, oldest first, and the
// newest suite.
func (l *Lab) prepareSuites(ctx context.Context, log Logf, release string) (versions []string, newest *suite, err error) {
	codename, err := hostCodename()
	if err != nil {
		return nil, nil, err
	}
	uri, err := mirror(ctx, codename)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var failures []error
	var skipped []string
	for _, name := range suiteNames(codename) {
		version, s, err := l.prepareSuite(ctx, log, name, uri, release)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if err != nil {
			log("Jool of Debian %s is left out: %v", name, err)
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
			skipped = append(skipped, name)
			continue
		}
		log("Jool %s of Debian %s is ready", version, name)
		newest = s
		versions = append(versions, version)
	}
	if newest == nil {
		return nil, nil, fmt.Errorf("no version of Jool could be built: %w", errors.Join(failures...))
	}
	slices.SortFunc(versions, compareVersions)
	return slices.Compact(versions), newest, writeWhole(l.path("skipped"), strings.Join(skipped, ", "))
}

// suiteNames lists the suites to take Jool from: the machine's own, and the newer ones.
func suiteNames(own string) []string {
	names := []string{own}
	for _, n := range []string{"trixie", "sid"} {
		if n != own {
			names = append(names, n)
		}
	}
	return names
}

func hostCodename() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("%w: can't tell which system this is: %w", ErrUnavailable, err)
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", fmt.Errorf("%w: /etc/os-release has no VERSION_CODENAME", ErrUnavailable)
}

// removeOthers removes the labs of the kind's other schemas, which nothing uses any more.
func removeOthers(dir string, kind labKind, log Logf) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != kind.name && strings.HasPrefix(e.Name(), kind.family) {
			log("removing the outdated lab %s", e.Name())
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
