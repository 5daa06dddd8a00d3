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

// TestUnits starts, reloads, restarts, kills, halts, stops and swaps the services, in a container whose kernel has no Jool.
func TestUnits(t *testing.T) {
	container.Need(t)
	dir := t.TempDir()
	install(t, dir)
	write(t, filepath.Join(dir, "inside.sh"), []byte(inside))
	out, journal := container.Run(t, dir)
	compare(t, "inside", out, journal)
}

// install builds the programs into dir and copies the units there.
func install(t *testing.T, dir string) {
	t.Helper()
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
}

// compare compares what a script wrote with its golden file.
func compare(t *testing.T, script, out, journal string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", script+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), strings.Split(strings.TrimSpace(out), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s\nthe journal:\n%s", diff, journal)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
