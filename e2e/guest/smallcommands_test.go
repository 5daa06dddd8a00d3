package guest

import (
	"path/filepath"
	"strings"
	"testing"
)

// testBundle checks that a bundle of a host that works has all parts: a part that cannot be had is a file with the error.
func testBundle(t *testing.T, s supervisor) {
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if out, code := s.command(t, "bundle", file); code != exitOK {
		t.Fatalf("exit status %d: %s", code, out)
	}
	list := run(t, "tar", "-tzf", file)
	for _, part := range []string{"status.json", "ready.json", "events.json", "metrics.txt", "doctor.json", "check.json", "version.json"} {
		if !strings.Contains(list, part+"\n") {
			t.Errorf("the bundle lacks %s:\n%s", part, list)
		}
	}
	if strings.Contains(list, ".error") {
		t.Errorf("parts are missing:\n%s", list)
	}
}

// testConfig checks the sources of two values of a pair, and that a reload of unchanged files would change nothing.
func testConfig(t *testing.T, s supervisor, p pair) {
	out, code := s.command(t, "config", p.name, s.dir)
	if code != exitOK || !strings.Contains(out, p.group) || !strings.Contains(out, "default") {
		t.Errorf("exit status %d: %s", code, out)
	}
	if out, code := s.command(t, "reload", "--dry-run"); code != exitOK || !strings.Contains(out, "nothing would change") {
		t.Errorf("exit status %d: %s", code, out)
	}
}
