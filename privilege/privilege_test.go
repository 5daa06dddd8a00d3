package privilege_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread/nstest"
	"joolctl/privilege"
)

// envRun in the environment makes the test program drop CAP_SYS_ADMIN and print what its threads may do.
const envRun = "JOOLCTL_TEST_PRIVILEGE"

func TestMain(m *testing.M) {
	if os.Getenv(envRun) == "" {
		os.Exit(m.Run())
	}
	if err := report(); err != nil {
		fmt.Println(err)
	}
}

// report drops the capability while another thread waits, and prints the effective and permitted capabilities of all threads,
// each once.
func report() error {
	started, end := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(started)
		<-end
	}()
	<-started
	defer close(end)
	if err := privilege.Drop(unix.CAP_SYS_ADMIN); err != nil {
		return err
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(status)) {
			if (strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "CapPrm")) && !seen[line] {
				seen[line] = true
				fmt.Print(line)
			}
		}
	}
	fmt.Println("several threads:", len(threads) > 1)
	return nil
}

// TestDrop has a process with two capabilities drop one.
func TestDrop(t *testing.T) {
	nstest.NeedRoot(t, "capabilities")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv (Debian: util-linux)")
	}
	c := exec.Command(setpriv, "--bounding-set=-all,+net_admin,+sys_admin", self)
	c.Env = append(os.Environ(), envRun+"=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), syscall.ENOTSUP.Error()) {
		t.Skip("the test program was built with cgo, whose threads Go does not know")
	}
	const netAdminOnly = "0000000000001000\n"
	if want := "CapPrm:\t" + netAdminOnly + "CapEff:\t" + netAdminOnly + "several threads: true\n"; string(out) != want {
		t.Errorf("the process printed %q, want %q", out, want)
	}
}
