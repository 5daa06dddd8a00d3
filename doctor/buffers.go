package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"joolctl/supervisor"
)

// mostBuffer is the largest receive buffer in bytes that the kernel grants: it doubles the size, in an int.
const mostBuffer = 1<<30 - 1

// checkBuffers compares the receive buffer of the worker's network socket with the configured size. The module's sockets of a namespace do not
// show which pair they belong to.
func checkBuffers(_ context.Context, s *subject) []Finding {
	if s.row == nil || s.row.State != supervisor.Running || s.pid() == 0 {
		return nil // there are no sockets
	}
	network, _, err := s.networkSockets()
	if err != nil {
		return warn(err.Error(), "")
	}
	wanted := min(s.spec.ReceiveBuffer, mostBuffer)
	for inode, fd := range s.descriptors() {
		if !network[inode] {
			continue
		}
		granted, err := receiveBuffer(s.pid(), fd, inode)
		switch {
		case err != nil:
			return nil // an old kernel, or no right to look into another process: nothing is wrong with the pair
		case granted < wanted:
			return warn(fmt.Sprintf("the worker's network socket has a receive buffer of %d bytes, %d are configured", granted, s.spec.ReceiveBuffer),
				fmt.Sprintf("give the supervisor CAP_NET_ADMIN, or type: sysctl net.core.rmem_max=%d; then: joolctl restart %s", wanted, s.pair.Name))
		}
		return ok(fmt.Sprintf("the worker's network socket has a receive buffer of %d bytes", granted))
	}
	return warn("the supervisor has no network socket of this pair", "type: joolctl restart "+s.pair.Name)
}

// socketsOf returns the descriptors of a process that are sockets, by the socket's inode.
func socketsOf(pid int) map[uint64]int {
	found := make(map[uint64]int)
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // fails for bad patterns only
	for _, link := range links {
		inode, is := socketInode(link)
		fd, err := strconv.Atoi(filepath.Base(link))
		if is && err == nil {
			found[inode] = fd
		}
	}
	return found
}

// receiveBuffer returns the size in bytes of the receive buffer of another process's socket. The kernel grants twice that, for its own
// use of the memory. It returns an error if the descriptor belongs to another socket meanwhile.
func receiveBuffer(pid, fd int, inode uint64) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, fmt.Errorf("opening process %d: %w", pid, err)
	}
	defer unix.Close(process)
	own, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return 0, fmt.Errorf("copying a descriptor of process %d: %w", pid, err)
	}
	defer unix.Close(own)
	var stat unix.Stat_t
	if err := unix.Fstat(own, &stat); err != nil || stat.Ino != inode {
		return 0, fmt.Errorf("descriptor %d of process %d is another socket by now (%v)", fd, pid, err)
	}
	doubled, err := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, err
}
