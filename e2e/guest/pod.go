package guest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envPod has the capabilities of a container, separated by commas. The test binary then becomes the container's program.
const envPod = "JOOLCTL_POD"

// capabilityNumbers are those of linux/capability.h that the example of a DaemonSet names.
var capabilityNumbers = map[string]uintptr{"NET_ADMIN": unix.CAP_NET_ADMIN, "SYS_ADMIN": unix.CAP_SYS_ADMIN}

// enterPod runs in a container's root directory and in its own namespaces of mounts and processes. It mounts what a container
// runtime mounts, gives up all other capabilities, and executes the program in its arguments.
func enterPod(capabilities string, args []string) error {
	for _, m := range []struct {
		what, where, kind string
		flags             uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"sysfs", "/sys", "sysfs", unix.MS_RDONLY},
		{"run", "/run/joolctl", "tmpfs", 0},
		{"", "/", "", unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY},
	} {
		if err := unix.Mount(m.what, m.where, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	var kept []uintptr
	for _, name := range strings.Split(capabilities, ",") {
		number, ok := capabilityNumbers[name]
		if !ok {
			return fmt.Errorf("unknown capability %q", name)
		}
		kept = append(kept, number)
	}
	for number := range uintptr(unix.CAP_LAST_CAP + 1) {
		if slices.Contains(kept, number) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil {
			return fmt.Errorf("capability %d: %w", number, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, []string{})
}

// becomePod is called before the tests. It does not return if the process is to be a container.
func becomePod() {
	if capabilities, ok := os.LookupEnv(envPod); ok {
		fmt.Fprintln(os.Stderr, enterPod(capabilities, os.Args[1:]))
		os.Exit(1)
	}
}
