package guest

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// packaged is the program of the Debian package.
const packaged = "/usr/bin/joolctl"

// pairsDir is where the package's service finds its pairs.
const pairsDir = "/etc/joold.d"

// service is the package's service, which serves so many pairs.
type service struct{ pairs int }

// awaitGreen waits until all pairs run, and know that they have every session or no peer.
func (s service) awaitGreen(t testing.TB, synced string) status {
	t.Helper()
	var st status
	eventually(t, repairedWithin, "joolctl status is green", func() string {
		out, code := command(t, packaged, "status")
		if code != exitOK {
			return out
		}
		if st, code = readStatus(t, packaged, "status", "-o", "json"); code != exitOK || len(st.Workers) != s.pairs {
			return out
		}
		for _, w := range st.Workers {
			if w.State != "running" || w.Synced != synced {
				return out
			}
		}
		return ""
	})
	return st
}

// show returns a property of the service.
func (s service) show(t testing.TB, property string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "systemctl", "show", "-P", property, "joolctl"))
}

// logOnFailure prints the service's journal if the test fails.
func (s service) logOnFailure(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := command(t, "journalctl", "--no-pager", "-u", "joolctl", "-o", "short-monotonic")
			t.Logf("the journal of joolctl.service:\n%s", journal)
		}
	})
}

// checkState fails the test unless systemctl is-active and is-enabled print these words.
func (s service) checkState(t testing.TB, active, enabled string) {
	t.Helper()
	a, _ := command(t, "systemctl", "is-active", "joolctl")
	if a = strings.TrimSpace(a); a != active {
		t.Errorf("systemctl is-active says %q, want %q", a, active)
	}
	e, _ := command(t, "systemctl", "is-enabled", "joolctl")
	if e = strings.TrimSpace(e); e != enabled {
		t.Errorf("systemctl is-enabled says %q, want %q", e, enabled)
	}
}

// debVersion is the version of joolctl in a directory of Packages, and the installed one for "".
func debVersion(t testing.TB, dir string) string {
	t.Helper()
	if dir == "" {
		return strings.TrimSpace(run(t, "dpkg-query", "-W", "-f", "${Version}", "joolctl"))
	}
	return strings.TrimSpace(run(t, "dpkg-deb", "-f", deb(t, dir), "Version"))
}

// deb is the package in a directory of Packages.
func deb(t testing.TB, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(Packages, dir, "joolctl_*_amd64.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("expected one package in %s, found %q", filepath.Join(Packages, dir), found)
	}
	return found[0]
}

// checkNotReset fails the test if a counter of a worker, or of its instance's module, is less than before. No session may
// have ended meanwhile, because the module's counters have the number of its sessions among them.
func checkNotReset(t testing.TB, before, after status) {
	t.Helper()
	for i, w := range before.Workers {
		for _, counters := range []struct {
			of         string
			then, next map[string]uint64
		}{
			{"stats", w.Stats, after.Workers[i].Stats},
			{"losses", w.Losses, after.Workers[i].Losses},
			{"kernel", w.Kernel, after.Workers[i].Kernel},
		} {
			for _, name := range slices.Sorted(maps.Keys(counters.then)) {
				if next, ok := counters.next[name]; !ok || next < counters.then[name] {
					t.Errorf("%s: %s %s was %d, and now is %d", w.Name, counters.of, name, counters.then[name], next)
				}
			}
		}
	}
}

// grows are the directories in which any package's installation, and the system itself, leaves files.
var grows = []string{"/var/log", "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/var/tmp", "/tmp", "/out", "/root"}

// systemFiles lists the files and directories of the disk, but those that grow by themselves.
func systemFiles(t testing.TB) map[string]bool {
	t.Helper()
	files := make(map[string]bool)
	disk := deviceOf(t, "/")
	err := filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a program of the system deleted it meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(grows, path) || deviceOf(t, path) != disk) {
			return filepath.SkipDir
		}
		files[path] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func deviceOf(t testing.TB, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Dev
}

// checkLeft compares the files that came after an earlier look with those that may stay.
func checkLeft(t testing.TB, before map[string]bool, want ...string) {
	t.Helper()
	var left []string
	for _, file := range slices.Sorted(maps.Keys(systemFiles(t))) {
		if !before[file] {
			left = append(left, file)
		}
	}
	if !slices.Equal(left, want) {
		t.Errorf("after the purge, the files that are new are\n%s\nwant\n%s", strings.Join(left, "\n"), strings.Join(want, "\n"))
	}
}
