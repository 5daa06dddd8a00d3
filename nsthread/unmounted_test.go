package nsthread_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// TestNameWithoutMount identifies a name whose namespace is not mounted yet. It drops its capabilities, because
// the service lacks CAP_DAC_OVERRIDE too.
func TestNameWithoutMount(t *testing.T) {
	nstest.NeedRoot(t, "capabilities")
	path := filepath.Join(t.TempDir(), "name")
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
	identified := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread without capabilities must end
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capset(&header, &data[0]); err != nil {
			identified <- err
			return
		}
		_, err := nsthread.Identify(path)
		identified <- err
	}()
	if err := <-identified; !errors.Is(err, nsthread.ErrNotNamespace) {
		t.Errorf("%v, want %v", err, nsthread.ErrNotNamespace)
	}
}
