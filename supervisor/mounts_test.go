package supervisor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"joolctl/nsthread/nstest"
)

// TestWatchMounts mounts and unmounts a file system on the directory, and on a pair's own directory. inotify does not
// report this.
func TestWatchMounts(t *testing.T) {
	nstest.NeedRoot(t, "mounts")
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	must(t, os.Mkdir(own, 0o755))
	for _, point := range []string{dir, own} {
		wait := watched(t, dir)
		must(t, syscall.Mount("none", point, "tmpfs", 0, ""))
		mounted := true
		t.Cleanup(func() {
			if mounted {
				_ = syscall.Unmount(point, syscall.MNT_DETACH)
			}
		})
		wait("a mount")
		must(t, os.WriteFile(filepath.Join(point, "netsocket.json"), []byte("{}"), 0o644))
		wait("a file in it")
		must(t, syscall.Unmount(point, syscall.MNT_DETACH))
		mounted = false
		wait("the unmount")
	}
}
