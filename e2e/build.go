package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// guestTest is where the guest's tests are in a machine.
const guestTest = "/p/guest.test"

// build builds what a machine needs, statically, into dir. It returns the
// files by their paths in the machine.
func build(ctx context.Context, dir string) (map[string]string, error) {
	files := make(map[string]string)
	for _, program := range []struct {
		guest string
		args  []string
	}{
		{guestTest, []string{"test", "-c", "joolctl/e2e/guest"}},
		{"/p/joolctl", []string{"build", "joolctl/cmd/joolctl"}},
		{"/p/joold", []string{"build", "joolctl/cmd/joold"}},
	} {
		file := filepath.Join(dir, filepath.Base(program.guest))
		verb, target := program.args[:len(program.args)-1], program.args[len(program.args)-1]
		args := append(verb, "-trimpath", "-ldflags=-s -w", "-o", file, target)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s", target, err, out)
		}
		files[program.guest] = file
	}
	return files, nil
}
