// Package systemd holds the units; its tests run them under a real systemd.
package systemd

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/packaging/systemd/container"
)

//go:embed testdata/inside.sh
var inside string

// TestUnits starts, reloads, kills, stops and swaps the services.
func TestUnits(t *testing.T) {
	container.Need(t)
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
	out, journal := container.Run(t, dir)
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
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(strings.TrimSpace(out), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s\nthe journal:\n%s", diff, journal)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
