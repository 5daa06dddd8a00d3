// Package systemd holds the units; its tests run them under a real systemd.
package systemd

import (
	"bytes"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/nsthread/nstest"
)

// container boots a systemd over this machine's own files, which it can't
// change; inside runs in it, as a unit.
var (
	//go:embed testdata/container.sh
	container string
	//go:embed testdata/inside.sh
	inside string
)

// patience is after how long the whole of it is taken for hung. On an idle host it takes 6 s.
const patience = 5 * time.Minute

// need skips the test where there is no systemd to be had.
func need(t *testing.T) {
	t.Helper()
	nstest.NeedRoot(t, "containers")
	for _, program := range []string{"/lib/systemd/systemd", "unshare", "ip", "systemctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no systemd to try the units with: %v", err)
		}
	}
	for what, line := range map[string]string{"overlay": "overlay", "cgroup2": "cgroup2"} {
		b, err := os.ReadFile("/proc/filesystems")
		if err != nil || !bytes.Contains(b, []byte(line)) {
			t.Skipf("the kernel has no %s", what)
		}
	}
}

// TestUnits starts, reloads, kills, stops and swaps the services.
func TestUnits(t *testing.T) {
	need(t)
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "joolctl/cmd/joolctl", "joolctl/cmd/joold")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, unit := range []string{"joolctl.service", "joold@.service"} {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, unit), b)
	}
	write(t, filepath.Join(dir, "inside.sh"), []byte(inside))
	cmd := exec.Command("bash", "-c", container, "container", dir)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	said, err := cmd.CombinedOutput()
	out, readErr := os.ReadFile(filepath.Join(dir, "out"))
	if readErr != nil {
		t.Skipf("no systemd could be started here: %v\n%s", err, said)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	want := strings.TrimSpace(`
start=0
Type=notify
ActiveState=active
StatusText=1 workers: 0 running, 1 waiting, 0 backoff, 0 failed
CapBnd:	0000000000201000
socket=660 root joolctl
status=1
a bad file
reload=1
ActiveState=active
StatusText=1 workers: 0 running, 0 waiting, 0 backoff, 1 failed
a good one
reload=0
StatusText=1 workers: 0 running, 1 waiting, 0 backoff, 0 failed
an upgrade: another program under the name, and a restart
restart=0
another
NFileDescriptorStore=0
going on from the process before" left=3
KERNEL_SENT_PKTS,0
killed
NRestarts=1
ActiveState=active
one pair alone
joolctl=inactive
joold@nat=active
all of them
joolctl=active
joold@nat=inactive
stop=0
runtime directory=gone`)
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.TrimSpace(string(out)), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s\nthe journal:\n%s", diff, log)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
