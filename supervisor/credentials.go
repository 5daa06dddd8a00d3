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

// caller is who is at the other end of a control connection.
type caller struct {
	known  bool
	uid    uint32
	groups []uint32
}

// callerOf asks the kernel, which noted it when the connection was made.
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

// peerGroups are the supplementary groups, as far as they fit.
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

// mayChange is true for root, for the supervisor's own user, and for members
// of the socket's group, whom an administrator lets in by chgrp.
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

// LetIn tells a user who may not use a control socket, or only read, what to do about it.
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
