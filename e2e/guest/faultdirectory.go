package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// directoryFaults are faults of the directory of the standby's supervisor.
func directoryFaults() []fault {
	check := func(t testing.TB, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	garbage := func(h *host, i int) string { return filepath.Join(h.files, fmt.Sprintf("garbage%d.netsocket.json", i)) }
	const garbageFiles = 1000
	mount := func(t testing.TB, h *host) {
		check(t, syscall.Mount(h.files+".full", h.files, "", syscall.MS_BIND, ""))
	}
	// swapLink makes the directory's link point to a new directory, and returns its previous target.
	swapLink := func(t testing.TB, h *host) (old string) {
		old = h.files
		h.files += "+"
		check(t, os.Mkdir(h.files, 0o755))
		h.write(h.files)
		check(t, os.Symlink(h.files, h.dir+".new"))
		check(t, os.Rename(h.dir+".new", h.dir))
		return old
	}
	return []fault{
		{
			name: "directory of files replaced by rename", short: time.Second, full: 2 * time.Second, onK: true, onlyOurs: true, nobody: true,
			breaks: func(t testing.TB, s *site) {
				h := s.hostK
				check(t, os.Mkdir(h.files+".new", 0o755))
				h.write(h.files + ".new")
				check(t, os.Rename(h.files, h.files+".old"))
				check(t, os.Rename(h.files+".new", h.files))
			},
			repairs: func(t testing.TB, s *site) { check(t, os.RemoveAll(s.hostK.files+".old")) },
		},
		{
			name: "directory replaced by link swap", short: time.Second, full: 2 * time.Second, onK: true, onlyOurs: true, nobody: true,
			breaks: func(t testing.TB, s *site) {
				old := swapLink(t, s.hostK)
				check(t, os.RemoveAll(old))
			},
			repairs: func(t testing.TB, s *site) {},
		},
		{
			name: "directory unmounted and mounted", short: 2 * time.Second, full: 5 * time.Second, onK: true, onlyOurs: true, everyone: true,
			breaks: func(t testing.TB, s *site) {
				h := s.hostK
				check(t, os.Rename(h.files, h.files+".full"))
				check(t, os.Mkdir(h.files, 0o755))
				mount(t, h)
				reload(t, h)
				check(t, syscall.Unmount(h.files, syscall.MNT_DETACH))
			},
			repairs: func(t testing.TB, s *site) {
				mount(t, s.hostK)
				point := s.hostK.files
				s.hostK.t.Cleanup(func() { _ = syscall.Unmount(point, syscall.MNT_DETACH) }) // so that it can be removed
			},
			ends: func(t testing.TB, s *site) { // a mount point can't be renamed by the next
				point := swapLink(t, s.hostK)
				reload(t, s.hostK)
				check(t, syscall.Unmount(point, syscall.MNT_DETACH))
			},
		},
		{
			name: "1,000 garbage files in the directory", short: time.Second, full: 5 * time.Second, onlyOurs: true, nobody: true,
			breaks: func(t testing.TB, s *site) {
				for i := range garbageFiles {
					check(t, os.WriteFile(garbage(s.hostJ, i), []byte("garbage\x00\n"), 0o644))
				}
			},
			repairs: func(t testing.TB, s *site) {
				for i := range garbageFiles {
					check(t, os.Remove(garbage(s.hostJ, i)))
				}
			},
		},
		{
			name: "files written byte by byte", onlyOurs: true, nobody: true,
			breaks: func(t testing.TB, s *site) {
				name := s.hostJ.netsocket(s.pairJ)
				text, err := os.ReadFile(name)
				check(t, err)
				f, err := os.Create(name)
				check(t, err)
				defer f.Close()
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for i := range text {
					<-tick.C
					_, err := f.Write(text[i : i+1])
					check(t, err)
				}
			},
			repairs: func(t testing.TB, s *site) {},
		},
	}
}
