package worker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// withoutCapabilities calls fn on a thread that has lost these capabilities.
func withoutCapabilities(t *testing.T, fn func(), lost ...int) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			done <- err
			return
		}
		for _, c := range lost {
			data[c/32].Effective &^= 1 << (c % 32)
		}
		if err := unix.Capset(&header, &data[0]); err != nil {
			done <- err
			return
		}
		fn()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestNotPermitted opens namespaces with the capabilities that joolctl.service has.
func TestNotPermitted(t *testing.T) {
	nstest.Need(t)
	process := exec.Command("sleep", "1h")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	pid := process.Process.Pid
	named, own := nstest.New(t), nstest.Name()
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	link := "/run/netns/" + own
	closed := t.TempDir()
	for _, err := range []error{
		os.Symlink(path, link),
		os.Chown(closed, 1, 1),
		os.Chmod(closed, 0o700),
		os.WriteFile(filepath.Join(closed, "ns"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Remove(link) })
	for _, c := range []struct {
		name, ns string
		want     []string // of the error; nil: there is none
	}{
		{"by name", named, nil},
		{"its own", "", nil},
		{"its own by path", "/proc/self/ns/net", nil},
		{"another process's", path, []string{"needs CAP_SYS_PTRACE", fmt.Sprintf("ip netns attach blue %d", pid)}},
		{"another process's by link", own, []string{"it leads to " + path,
			fmt.Sprintf("needs CAP_SYS_PTRACE; type: rm %s && ip netns attach %s %d", link, own, pid)}},
		{"in a directory of another user", closed + "/ns", []string{"permission denied; look at the owner and the mode of " + closed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			withoutCapabilities(t, func() {
				pool := nsthread.NewPool()
				var th *nsthread.Thread
				if th, err = getThread(pool, c.ns); err == nil {
					th.Release()
				}
			}, unix.CAP_SYS_PTRACE, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH)
			if c.want != nil {
				wantError(t, err, false, c.want...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
