// Package e2e runs what package guest has on real kernels: it builds it and the
// two programs, and boots virtual machines of the lab's.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// guestTest is where the guest's tests are in a machine.
const guestTest = "/p/guest.test"

// Programs are the files that a machine needs, by their paths in it.
type Programs map[string]string

// Build builds them into dir. The working directory must be in the module.
func Build(ctx context.Context, dir string) (Programs, error) {
	programs := make(Programs)
	for _, p := range []struct {
		guest, source string
		command       []string
	}{
		{guestTest, "joolctl/e2e/guest", []string{"test", "-c"}},
		{"/p/joolctl", "joolctl/cmd/joolctl", []string{"build", "-tags=provoke"}},
		{"/p/joold", "joolctl/cmd/joold", []string{"build"}},
	} {
		file := filepath.Join(dir, filepath.Base(p.guest))
		cmd := exec.CommandContext(ctx, "go", append(p.command, "-trimpath", "-ldflags=-s -w", "-o", file, p.source)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the machine has no C library that fits
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", p.source, err, out)
		}
		programs[p.guest] = file
	}
	return programs, programs.addTree(ctx)
}

// addTree adds the files of the module's tree that the guest's tests read: the README, docs, the files for keepalived, BGP,
// Prometheus and Grafana, and the inputs that fuzzing has kept.
func (p Programs) addTree(ctx context.Context) error {
	dir, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	for _, pattern := range []string{"README.md", "docs/*.md", "packaging/keepalived/*", "packaging/bgp/*", "packaging/prometheus/*.yml", "packaging/grafana/*.json"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			p[guest.Documentation+strings.TrimPrefix(file, dir)] = file
		}
	}
	p[guest.Kept] = filepath.Join(dir, "syncwire", "testdata", "fuzz")
	return nil
}

// moduleRoot is the top directory of the module.
func moduleRoot(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module's directory: %w; run this in the module", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// Guest is what to run in one machine.
type Guest struct {
	Jool    string            // the module's version
	Other   []string          // further versions to install in the machine
	Purpose string            // guest.EnvRun's value
	Args    []string          // of the test binary
	Command []string          // in place of the test binary
	Files   map[string]string // further ones, by their paths in the machine
	// Packages are Debian packages, each with the paths of the programs that the machine has of it.
	Packages map[string][]string
	// System boots the Debian of the lab's suite, as lab.Machine's. /packages/old and /packages/new have joolctl's .deb in two
	// versions.
	System   bool
	Timeout  time.Duration
	Stdout   io.Writer
	Terminal io.ReadWriter // as lab.Machine's

	MemoryMiB int // as lab.Machine's

	CountInstructions bool     // as lab.Machine's
	QEMUArgs          []string // as lab.Machine's
}

// Run boots a machine, runs the guest's tests in it and returns the files that they left. An error says why they
// failed, or that the kernel complained meanwhile. The error wraps lab.ErrUnavailable if a package can't be had.
func (p Programs) Run(ctx context.Context, l *lab.Lab, g Guest) (map[string][]byte, error) {
	files := maps.Clone(map[string]string(p))
	maps.Copy(files, g.Files)
	for pkg, programs := range g.Packages {
		for _, path := range programs {
			program, err := l.Program(ctx, nil, pkg, path)
			if err != nil {
				return nil, err
			}
			maps.Copy(files, program)
		}
	}
	if g.System {
		dir, err := p.packages(ctx)
		if err != nil {
			return nil, err
		}
		files[guest.Packages] = dir
	}
	command := g.Command
	if len(command) == 0 {
		command = append([]string{guestTest, "-test.timeout=" + g.Timeout.String()}, g.Args...)
	}
	result, err := l.Boot(ctx, lab.Machine{
		Jool:      g.Jool,
		ExtraJool: g.Other,
		System:    g.System,

		Files:   files,
		Command: command,
		Env:     []string{guest.EnvRun + "=" + g.Purpose},
		Timeout: g.Timeout + 30*time.Second,
		Stdout:  g.Stdout,

		Terminal: g.Terminal,

		MemoryMiB: g.MemoryMiB,

		CountInstructions: g.CountInstructions,
		QEMUArgs:          g.QEMUArgs,
	})
	if err != nil {
		return nil, err
	}
	var failures []error
	if result.Exit != 0 {
		failures = append(failures, &ExitError{result.Exit})
	}
	if len(result.KernelTrouble) > 0 {
		failures = append(failures, fmt.Errorf("the kernel complained:\n%s", strings.Join(result.KernelTrouble, "\n")))
	}
	if len(failures) == 1 {
		return result.Files, failures[0]
	}
	return result.Files, errors.Join(failures...)
}

// Measure runs one test of a purpose in its long form, with everything that it says to standard error, and decodes the file of
// measurements that the test left, even if the test failed.
func Measure[T any](ctx context.Context, l *lab.Lab, p Programs, purpose, version, test, file string) (measured T, err error) {
	g, err := GuestFor(l, purpose, version, false)
	if err != nil {
		return measured, err
	}
	g.Args = append(g.Args, "-test.v", "-test.run=^"+test+"$")
	g.Stdout = os.Stderr
	files, failed := p.Run(ctx, l, g)
	if len(files[file]) == 0 {
		return measured, errors.Join(errors.New("the machine left no measurements"), failed)
	}
	if err := json.Unmarshal(files[file], &measured); err != nil {
		return measured, errors.Join(fmt.Errorf("the machine's measurements: %w", err), failed)
	}
	return measured, failed
}

// ExitError is the status of a machine's command that failed.
type ExitError struct{ Status int }

func (e *ExitError) Error() string {
	return fmt.Sprintf("the machine's command ended with status %d", e.Status)
}
