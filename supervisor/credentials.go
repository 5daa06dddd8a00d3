package supervisor

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// caller is the process at the other end of a control connection, as the kernel reports it.
type caller struct {
	known  bool
	uid    uint32
	groups []uint32
}

// callerOf reads the peer's credentials, which the kernel recorded when the connection was made.
func callerOf(c *net.UnixConn) caller {
	var who caller
	raw, err := c.SyscallConn()
	if err != nil {
		return who
	}
	raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		who = caller{known: true, uid: cred.Uid, groups: append(peerGroups(fd), cred.Gid)}
	})
	return who
}

// peerGroups returns the supplementary groups of the peer; nil: there are more than 1024, or the kernel does not say.
func peerGroups(fd uintptr) []uint32 {
	groups := make([]uint32, 1024)
	size := uint32(len(groups)) * 4
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	return groups[:size/4]
}

// mayChange is true for root, for the supervisor's own user, and for members of the socket's group. An administrator
// permits other users by changing that group (chgrp).
func (c caller) mayChange(socket string) bool {
	if !c.known {
		return false
	}
	if c.uid == 0 || c.uid == uint32(os.Geteuid()) {
		return true
	}
	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil {
		return false
	}
	return slices.Contains(c.groups, st.Gid)
}

// LetIn returns the advice for a user without permission to use the control socket, or with permission only to read.
func LetIn(socket string) string {
	var st unix.Stat_t
	if err := unix.Stat(socket, &st); err != nil || st.Gid == 0 {
		return "run it as root"
	}
	name := strconv.Itoa(int(st.Gid))
	if group, err := user.LookupGroupId(name); err == nil {
		name = group.Name
	}
	return fmt.Sprintf("run it as root, or become a member of the group %q: type, as root, `usermod --append --groups %[1]s USER`, and log in again", name)
}
