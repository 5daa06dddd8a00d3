package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDryRun checks that `reload --dry-run` prints the changes that another directory would cause, and changes nothing.
func TestDryRun(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i", "b": "j"})
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	reload := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		gotCode, gotOut, gotErr := ran(append([]string{"reload", "--socket", socket}, args...)...)
		if gotCode != code || gotOut != stdout || !strings.Contains(gotErr, stderr) {
			t.Errorf("reload %v: code %d, stdout %q, stderr %q", args, gotCode, gotOut, gotErr)
		}
	}
	edit := func(old, with string) {
		t.Helper()
		if err := os.Rename(filepath.Join(other, old), filepath.Join(other, with)); err != nil {
			t.Fatal(err)
		}
	}
	reload(0, "nothing would change\n", "", "--dry-run")
	reload(0, "nothing would change\n", "", "--dry-run", other)
	edit("a.netsocket.json", "c.netsocket.json")
	edit("a.modsocket.json", "c.modsocket.json")
	reload(0, "c: would be renamed (before: a), now running\n", "", "--dry-run", other)
	edit("b.modsocket.json", "b.none")
	reload(1, "c: would be renamed (before: a), now running\n", "b: would be refused, and stay running: ", "--dry-run", other)
	reload(1, "", "no such file", "--dry-run", filepath.Join(other, "none"))
	reload(2, "", "needs --dry-run", other)
	reload(0, "nothing has changed\n", "")
}
