package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestFilesThatAreNone replaces a file of a running pair by an object that can't be read as a file of a pair. The pair
// must keep running, its reason must name the object, and the attempt to read it must not block or allocate much memory.
func TestFilesThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name   string
		put    func(path string) error
		reason string
	}{
		{"FIFO", func(path string) error { return unix.Mkfifo(path, 0o644) }, "this is a FIFO"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "this is a directory"},
		{"socket", func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		}, "this is a socket"},
		{"device", func(path string) error { return os.Symlink("/dev/zero", path) }, "this is a device"},
		{"1 GiB", func(path string) error {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		}, "larger than 65536 bytes"},
		{"loop of links", func(path string) error { return os.Symlink(filepath.Base(path), path) }, "links lead in a circle"},
		{"link to nowhere", func(path string) error { return os.Symlink("none", path) }, "leads nowhere"},
		{"no file", func(string) error { return nil }, "file does not exist"},
		{"empty file", func(path string) error { return os.WriteFile(path, nil, 0o644) }, "a.netsocket.json:1:1: "},
		{"garbage", func(path string) error {
			return os.WriteFile(path, bytes.Repeat([]byte{0, 0xff, '{', '"'}, 1000), 0o644)
		}, "a.netsocket.json:1:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, two(t), func(r *rig) {
				r.fleet.notes()
				before := r.row("a")
				path := filepath.Join(r.dir, "a.netsocket.json")
				must(t, os.Remove(path))
				must(t, c.put(path))
				if got := r.reload(); len(got.Changes) != 0 || len(got.Refused) != 1 {
					t.Errorf("reload: %+v", got)
				}
				row := r.row("a")
				if row.State != Running || !strings.Contains(row.Reason, c.reason) {
					t.Errorf("%s: %s", row.State, row.Reason)
				}
				must(t, os.RemoveAll(path))
				write(t, r.dir, "a", files{instance: "i1", group: "1"})
				r.reload()
				if after := r.row("a"); after.Reason != "" || after.Since != before.Since || after.Restarts != 0 {
					t.Errorf("repaired: %+v", after)
				}
				r.wantNotes()
			})
		})
	}
}

// TestGarbage fills the directory with files that belong to no pair, and with broken pairs. The two good pairs must keep
// running, and the control API must answer.
func TestGarbage(t *testing.T) {
	inBubble(t, two(t), func(r *rig) {
		r.fleet.notes()
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 1000 {
			garbage := make([]byte, random.IntN(200))
			for j := range garbage {
				garbage[j] = byte(random.IntN(256))
			}
			name := fmt.Sprintf("garbage%d", i)
			switch i % 4 {
			case 0:
				name += ".netsocket.json"
			case 1:
				name = fmt.Sprintf("garbage%d.modsocket.json", i-1)
			case 2:
				name += "/netsocket.json"
				must(t, os.Mkdir(filepath.Join(r.dir, fmt.Sprintf("garbage%d", i)), 0o755))
			}
			must(t, os.WriteFile(filepath.Join(r.dir, name), garbage, 0o644))
		}
		got := r.reload()
		if len(got.Changes) != 0 || len(got.Refused) != 500 {
			t.Errorf("%d changes, %d refused", len(got.Changes), len(got.Refused))
		}
		status, err := r.Status(context.Background(), []string{"a", "b"})
		if err != nil || len(status.Workers) != 2 || status.Workers[0].State != Running || status.Workers[1].State != Running {
			t.Errorf("%v: %+v", err, status.Workers)
		}
		if n := len(r.status().Workers); n != 502 {
			t.Errorf("%d rows", n)
		}
		r.wantNotes()
	})
}

// TestDirectoryThatIsNone replaces the directory by objects that can't be read as a directory.
func TestDirectoryThatIsNone(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(path string) error
	}{
		{"file", func(path string) error { return os.WriteFile(path, nil, 0o644) }},
		{"FIFO", func(path string) error { return unix.Mkfifo(path, 0o644) }},
		{"loop of links", func(path string) error { return os.Symlink(filepath.Base(path), path) }},
		{"nothing", func(string) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, two(t), func(r *rig) {
				r.fleet.notes()
				must(t, os.Rename(r.dir, r.dir+".away"))
				must(t, c.put(r.dir))
				if _, err := r.Reload(context.Background()); err == nil {
					t.Error("it was read")
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				r.wantStates("a:running b:running")
				if s := r.status(); !strings.Contains(s.Reason, r.dir) {
					t.Errorf("reason: %q", s.Reason)
				}
				must(t, os.RemoveAll(r.dir))
				must(t, os.Rename(r.dir+".away", r.dir))
				r.reload()
				if s := r.status(); s.Reason != "" {
					t.Errorf("reason: %q", s.Reason)
				}
				r.wantNotes()
			})
		})
	}
}
