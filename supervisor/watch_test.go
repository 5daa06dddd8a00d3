package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watched watches a directory. wait waits for the next change.
func watched(t *testing.T, dir string) (wait func(what string)) {
	t.Helper()
	changes := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, slog.New(slog.DiscardHandler), dir, func() { changes <- struct{}{} }, func() bool { return true })
	}()
	t.Cleanup(func() { cancel(); <-done })
	wait = func(what string) {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(10 * time.Second):
			t.Fatalf("not noticed: %s", what)
		}
	}
	wait("the beginning")
	return wait
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "joold.d")
	must(t, os.Mkdir(dir, 0o755))
	wait := watched(t, dir)

	write(t, dir, "a", files{instance: "i1"})
	wait("new files")
	write(t, dir, "a", files{instance: "i2"})
	wait("changed files")
	rename(t, dir, "a", "b")
	wait("renamed files")

	must(t, os.Mkdir(filepath.Join(dir, "c"), 0o755))
	wait("a pair's directory")
	must(t, os.WriteFile(filepath.Join(dir, "c", "netsocket.json"), []byte("{}"), 0o644))
	wait("a file in it")
	must(t, os.WriteFile(filepath.Join(dir, "c", "netsocket.json"), []byte("{ }"), 0o644))
	wait("a changed file in it")

	must(t, os.Rename(dir, dir+".old"))
	wait("the directory renamed")
	must(t, os.Mkdir(dir, 0o755))
	wait("the directory made again")
	write(t, dir, "a", files{instance: "i1"})
	wait("files in the new one")
	must(t, os.RemoveAll(dir))
	wait("the directory removed")
}

// TestWatchLinkSwap changes files like a Kubernetes ConfigMap does: the files are links through one link, which is
// replaced.
func TestWatchLinkSwap(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"..1", "..2"} {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		write(t, filepath.Join(dir, version), "a", files{instance: "i" + version[2:]})
	}
	must(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	for _, file := range []string{"a.netsocket.json", "a.modsocket.json"} {
		must(t, os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)))
	}
	wait := watched(t, dir)
	must(t, os.Symlink("..2", filepath.Join(dir, "..tmp")))
	must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	wait("the swap")
	must(t, os.WriteFile(filepath.Join(dir, "..2", "a.netsocket.json"), nil, 0o644))
	wait("a change behind the link")
}

func TestWatchThroughLinks(t *testing.T) {
	root := t.TempDir()
	real, dir := filepath.Join(root, "real"), filepath.Join(root, "link")
	elsewhere := filepath.Join(root, "elsewhere")
	must(t, os.Mkdir(real, 0o755))
	must(t, os.Mkdir(elsewhere, 0o755))
	must(t, os.Symlink("real", dir))
	must(t, os.WriteFile(filepath.Join(elsewhere, "file"), nil, 0o644))
	must(t, os.Symlink(filepath.Join(elsewhere, "file"), filepath.Join(real, "a.netsocket.json")))
	wait := watched(t, dir)
	write(t, real, "b", files{instance: "i1"})
	wait("a file in the real directory")
	must(t, os.WriteFile(filepath.Join(elsewhere, "file"), []byte("{}"), 0o644))
	wait("a change of what a link leads to")
	must(t, os.Mkdir(filepath.Join(root, "other"), 0o755))
	must(t, os.Symlink("other", filepath.Join(root, "new")))
	must(t, os.Rename(filepath.Join(root, "new"), dir))
	wait("the directory's link swapped")
	write(t, filepath.Join(root, "other"), "c", files{instance: "i1"})
	wait("a file in the new directory")
}

// TestWatchDebounces checks that many writes within a short time count as one change.
func TestWatchDebounces(t *testing.T) {
	dir := t.TempDir()
	wait := watched(t, dir)
	file, err := os.Create(filepath.Join(dir, "a.netsocket.json"))
	must(t, err)
	defer file.Close()
	start := time.Now()
	for range 2000 {
		_, err := file.WriteString(" ")
		must(t, err)
	}
	wait("the writes")
	if took := time.Since(start); took < quiet {
		t.Errorf("noticed after %v", took)
	}
}

// watchedBy runs a watch that the test has prepared.
func watchedBy(t *testing.T, w *watch) (told chan time.Time) {
	t.Helper()
	told = make(chan time.Time, 100)
	w.log, w.changed = slog.New(slog.DiscardHandler), func() { told <- time.Now() }
	w.renew()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.close()
		w.loop(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return told
}

// TestWatchByteByByte checks that a file written byte by byte is one change, which takes effect within a second of the
// last write.
func TestWatchByteByByte(t *testing.T) {
	dir := t.TempDir()
	told := watchedBy(t, &watch{dir: dir, slow: time.Hour, calm: func() bool { return true }})
	var late time.Duration
	for range 3 { // on a busy machine, one of three attempts must succeed within a second
		file, err := os.Create(filepath.Join(dir, "a.netsocket.json"))
		must(t, err)
		var last time.Time
		pace := time.NewTicker(quiet / 30)
		for range 50 {
			_, err := file.WriteString(" ")
			must(t, err)
			last = <-pace.C
		}
		pace.Stop()
		must(t, file.Close())
		first := <-told
		select {
		case <-told:
			t.Error("it is more than one change")
		case <-time.After(2 * quiet):
		}
		if late = first.Sub(last); late < 0 {
			t.Errorf("told %v before the last write", -late)
		}
		if late < time.Second {
			return
		}
	}
	t.Errorf("told %v after the last write", late)
}

// TestWatchOverflow lets the kernel's event queue overflow. Events are lost, so the directory must be read again.
func TestWatchOverflow(t *testing.T) {
	w := &watch{dir: t.TempDir(), slow: time.Hour, calm: func() bool { return true }}
	told := watchedBy(t, w)
	first := w.watcher
	first.Errors <- fsnotify.ErrEventOverflow
	<-told
	if _, open := <-first.Events; open {
		t.Error("the watches are still the old ones")
	}
}

// TestWatchSlowly checks that the directory is checked periodically without any event.
func TestWatchSlowly(t *testing.T) {
	told := watchedBy(t, &watch{dir: t.TempDir(), slow: 10 * time.Millisecond, calm: func() bool { return false }})
	<-told
	<-told
}

// TestWatchKeyFiles checks that changes of key files are noticed in any directory.
func TestWatchKeyFiles(t *testing.T) {
	root := t.TempDir()
	dir, elsewhere := filepath.Join(root, "joold.d"), filepath.Join(root, "keys")
	for _, path := range []string{dir, elsewhere, filepath.Join(root, "versions")} {
		must(t, os.Mkdir(path, 0o755))
	}
	named := func(file string) []byte { return fmt.Appendf(nil, `{"key file": %q}`, file) }
	must(t, os.WriteFile(filepath.Join(elsewhere, "k"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "a.netsocket.json"), named("../keys/k"), 0o644))
	wait := watched(t, dir)
	must(t, os.WriteFile(filepath.Join(elsewhere, "k"), []byte("1"), 0o600))
	wait("a key file elsewhere")
	must(t, os.WriteFile(filepath.Join(dir, "own.key"), nil, 0o600))
	wait("a new file in the directory")
	must(t, os.WriteFile(filepath.Join(dir, "a.netsocket.json"), named("own.key"), 0o644))
	wait("the netsocket file")
	must(t, os.WriteFile(filepath.Join(dir, "own.key"), []byte("1"), 0o600))
	wait("a key file in the directory")
	must(t, os.Chmod(filepath.Join(dir, "own.key"), 0o644))
	wait("the mode of a key file")
	must(t, os.WriteFile(filepath.Join(dir, "a.netsocket.json"), named(filepath.Join(elsewhere, "link")), 0o644))
	wait("the netsocket file again")
	must(t, os.WriteFile(filepath.Join(root, "versions", "k"), nil, 0o600))
	must(t, os.Symlink("../versions/k", filepath.Join(elsewhere, "link")))
	wait("a link that appears")
	must(t, os.WriteFile(filepath.Join(root, "versions", "k"), []byte("1"), 0o600))
	wait("what a link leads to")
}
