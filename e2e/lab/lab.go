// Package lab runs things on a real Linux kernel with the real Jool module, in QEMU without hardware virtualisation.
//
// [Prepare] takes a Debian cloud kernel, and builds the Jool module of every version that Debian ships in the
// machine's own suite and the newer ones; it does so once, in a cache directory. [Lab.Boot] boots a machine
// from memory alone (an initramfs, no disk, no network card), runs one command as root and hands back its output, its
// exit status, the files it left in /out, and the kernel's complaints. A boot takes a few seconds.
//
// [PrepareSuite] makes a lab of one Debian suite. Its machines have the suite's own kernel and Jool, and can boot its
// system from a disk ([Machine.System]), which takes half a minute.
//
// Package labtest has the skip rules for tests.
package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrUnavailable says that the lab can't be prepared or run on this machine: not root, not Debian, not amd64,
// packages that can't be had. Errors that wrap it carry the reason in words.
var ErrUnavailable = errors.New("lab unavailable")

// EnvDir is the environment variable that overrides where the lab is kept.
const EnvDir = "JOOLCTL_LAB"

// schema names the recipe by which the lab's files are made. Change it with the recipe: a lab of another schema is
// built again.
const schema = "v3"

// Lab is a prepared lab: a kernel and one or more versions of Jool. Its methods may be called concurrently.
type Lab struct {
	dir      string // of this schema
	versions []string
}

// Versions lists the versions of Jool that the lab has, such as 4.1.9, oldest first. There is at least one.
func (l *Lab) Versions() []string { return slices.Clone(l.versions) }

// Oldest is the first of Versions.
func (l *Lab) Oldest() string { return l.versions[0] }

// Newest is the last of Versions.
func (l *Lab) Newest() string { return l.versions[len(l.versions)-1] }

// KernelRelease is the release of the lab's kernel, as uname -r prints it inside.
func (l *Lab) KernelRelease() (string, error) {
	return readLine(l.path("kernel", "release"))
}

// Dir is the directory that the lab lives in. Removing it makes the next Prepare start from scratch.
func (l *Lab) Dir() string { return l.dir }

func (l *Lab) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

// cacheDir is $JOOLCTL_LAB, or else joolctl/lab in the user's cache directory.
func cacheDir() (string, error) {
	if dir := os.Getenv(EnvDir); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the lab: %w; set %s to a directory", err, EnvDir)
	}
	return filepath.Join(cache, "joolctl", "lab"), nil
}
