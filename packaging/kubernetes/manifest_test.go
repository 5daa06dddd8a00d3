package kubernetes

import (
	"os"
	"path/filepath"
	"testing"

	"joolctl/configdir"
)

// TestExample checks that the files of the example are a valid pair. A virtual machine runs them with the real module.
func TestExample(t *testing.T) {
	e, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Files) != 2 || len(e.Args) != 2 || len(e.Probe) == 0 || len(e.Capabilities) == 0 || len(e.Mounts) != 2 {
		t.Fatalf("parts are missing: %+v", e)
	}
	dir := t.TempDir()
	for name, text := range e.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pair := configdir.ReadPair("nat", filepath.Join(dir, "nat.netsocket.json"), filepath.Join(dir, "nat.modsocket.json"))
	for _, problem := range pair.Problems {
		t.Error(problem)
	}
}
