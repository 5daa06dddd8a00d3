package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// olderVersion is a version before each that a commit can have.
const olderVersion = "v0.0.0"

var packagesMu sync.Mutex

// packages builds the Debian package of the working tree into new, and the same as an older version into old. It returns
// the directory of both, which is beside the programs. Later calls find the packages.
func (p Programs) packages(ctx context.Context) (string, error) {
	packagesMu.Lock()
	defer packagesMu.Unlock()
	dir := filepath.Join(filepath.Dir(p[guestTest]), "packages")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	tmp := dir + ".tmp"
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", err
	}
	for _, build := range [][]string{{"-out", filepath.Join(tmp, "new")}, {"-out", filepath.Join(tmp, "old"), "-as", olderVersion}} {
		args := append([]string{"run", "./packaging/cmd/packages", "-arch", "amd64", "-formats", "deb"}, build...)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return dir, os.Rename(tmp, dir)
}
