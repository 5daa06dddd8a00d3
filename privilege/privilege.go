// Package privilege gives up what a process may do and no longer needs.
package privilege

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capData is both halves of a thread's capabilities, as capset(2) takes them.
type capData [2]unix.CapUserData

// Drop takes a capability (unix.CAP_…) from all threads of the process, for good: a program that it executes does not get
// it back either if the process may not gain privileges (NoNewPrivileges= of systemd). A capability that the process does not
// have is no error. It fails in programs that were built with cgo, whose threads Go does not know.
func Drop(capability uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data capData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	data.remove(capability)
	// A header of zero is the calling thread.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// remove clears a capability in all three sets.
func (d *capData) remove(capability uint) {
	half, rest := &d[capability/32], ^uint32(1<<(capability%32))
	half.Effective &= rest
	half.Permitted &= rest
	half.Inheritable &= rest
}
