// Package container runs a test's script as a unit of a systemd that boots in a container.
package container

import (
	"bytes"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"joolctl/nsthread/nstest"
)

// script boots a systemd over the files of this machine, which it cannot change.
//
//go:embed container.sh
var script string

// hangs is the time after which a container counts as hung. On an idle host, one takes 6 s.
const hangs = 5 * time.Minute

// Need skips the test if this machine lacks root, a part of the kernel, or a program that Run needs, or one of the given programs.
func Need(t *testing.T, programs ...string) {
	t.Helper()
	nstest.NeedRoot(t, "containers")
	for _, program := range append([]string{"/lib/systemd/systemd", "unshare", "ip", "systemctl"}, programs...) {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("containers need %s: %v", program, err)
		}
	}
	supported, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	for _, filesystem := range []string{"overlay", "cgroup2"} {
		if !bytes.Contains(supported, []byte(filesystem)) {
			t.Skipf("the kernel has no %s", filesystem)
		}
	}
}

// Run boots a container, and runs inside.sh of dir in it, as root. It returns what the script wrote to its standard output, and
// the journal. Programs and units in dir are installed in the container first. Run skips the test if systemd does not start.
func Run(t *testing.T, dir string) (out, journal string) {
	t.Helper()
	cmd := exec.Command("bash", "-c", script, "container", dir)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(hangs, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	said, err := cmd.CombinedOutput()
	b, readErr := os.ReadFile(filepath.Join(dir, "out"))
	if readErr != nil {
		t.Skipf("no systemd could be started here: %v\n%s", err, said)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	return string(b), string(log)
}
