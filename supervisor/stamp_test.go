package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// stampedDir returns a directory with pairs in every possible form, old enough for a trusted stamp.
func stampedDir(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "joold.d")
	must(t, os.MkdirAll(filepath.Join(dir, "inside"), 0o755))
	must(t, os.Mkdir(filepath.Join(root, "other"), 0o755))
	for _, file := range []string{"joold.d/flat.netsocket.json", "joold.d/inside/netsocket.json", "target", "other/file"} {
		must(t, os.WriteFile(filepath.Join(root, file), []byte("{}"), 0o644))
	}
	must(t, os.Symlink("../target", filepath.Join(dir, "link.netsocket.json")))
	must(t, os.Symlink("../nowhere", filepath.Join(dir, "broken.netsocket.json")))
	must(t, os.Symlink("../other", filepath.Join(dir, "linked")))
	return dir
}

// awaitTick waits until a new change gets a later time than before: the file system's clock ticks every few
// milliseconds.
func awaitTick(t *testing.T, probe string, before int64) {
	t.Helper()
	for {
		must(t, os.WriteFile(probe, nil, 0o644))
		info, err := os.Stat(probe)
		must(t, err)
		if info.ModTime().UnixNano() > before {
			return
		}
	}
}

func TestStamp(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(dir string) error
		same   bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"a file read", func(dir string) error { _, err := os.ReadFile(filepath.Join(dir, "flat.netsocket.json")); return err }, true},
		{"a file elsewhere", func(dir string) error { return os.WriteFile(filepath.Join(dir, "../unrelated"), nil, 0o644) }, true},
		{"a file of another size", func(dir string) error { return os.WriteFile(filepath.Join(dir, "flat.netsocket.json"), nil, 0o644) }, false},
		{"a file of the same size", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "flat.netsocket.json"), []byte("[]"), 0o644)
		}, false},
		{"a file of the same size and time", func(dir string) error {
			path := filepath.Join(dir, "flat.netsocket.json")
			was, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte("[]"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(path, was.ModTime(), was.ModTime())
		}, false},
		{"a file's mode", func(dir string) error { return os.Chmod(filepath.Join(dir, "flat.netsocket.json"), 0) }, false},
		{"a new file", func(dir string) error { return os.WriteFile(filepath.Join(dir, "flat.modsocket.json"), nil, 0o644) }, false},
		{"a file deleted", func(dir string) error { return os.Remove(filepath.Join(dir, "flat.netsocket.json")) }, false},
		{"a file renamed", func(dir string) error {
			return os.Rename(filepath.Join(dir, "flat.netsocket.json"), filepath.Join(dir, "new.netsocket.json"))
		}, false},
		{"a file inside", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "inside", "netsocket.json"), []byte("[]"), 0o644)
		}, false},
		{"a new file inside", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "inside", "modsocket.json"), nil, 0o644)
		}, false},
		{"a link's target", func(dir string) error { return os.WriteFile(filepath.Join(dir, "../target"), []byte("[]"), 0o644) }, false},
		{"a link's target made", func(dir string) error { return os.WriteFile(filepath.Join(dir, "../nowhere"), nil, 0o644) }, false},
		{"a file behind a link", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "../other/netsocket.json"), nil, 0o644)
		}, false},
		{"a key file elsewhere", func(dir string) error { return os.WriteFile(filepath.Join(dir, "../key"), nil, 0o644) }, false},
		{"the directory swapped", func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(filepath.Join(dir+".old", "inside")))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := stampedDir(t)
			before, ok := stampOf(dir, filepath.Join(dir, "../key"))
			awaitTick(t, dir+".probe", before.newest)
			must(t, c.change(dir))
			after, stillOK := stampOf(dir, filepath.Join(dir, "../key"))
			if !ok || !stillOK || (before == after) != c.same {
				t.Errorf("before %+v, after %+v", before, after)
			}
		})
	}
}

func TestStampSettles(t *testing.T) {
	dir := stampedDir(t)
	s, _ := stampOf(dir)
	if now := time.Now(); s.settled(now) || !s.settled(now.Add(settledAfter+time.Second)) {
		t.Errorf("changed %v ago: settled %v, later %v", now.Sub(time.Unix(0, s.newest)), s.settled(now), s.settled(now.Add(settledAfter+time.Second)))
	}
	if _, ok := stampOf(filepath.Join(dir, "missing")); ok {
		t.Error("a directory that isn't there has a stamp")
	}
}

// TestUnchanged checks when a due reading of the directory can be skipped.
func TestUnchanged(t *testing.T) {
	calm := true
	dir := stampedDir(t)
	w := &watch{dir: dir, changed: func() {}, calm: func() bool { return calm }}
	w.reportChange()
	if w.unchanged() {
		t.Error("files have just been written, and count as unchanged")
	}
	for _, c := range []struct {
		name string
		set  func()
		want bool
	}{
		{"it was read", func() {}, true},
		{"something is wrong with it", func() { calm = false }, false},
		{"there are no events", func() { w.blind = true }, false},
		{"it looks otherwise", func() { w.seen.sum++ }, false},
		{"it is gone", func() { w.dir += "/missing" }, false},
	} {
		w.dir, w.blind, calm = dir, false, true
		w.reportChange()
		w.certain = true // as if some seconds had passed
		c.set()
		if got := w.unchanged(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
