package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"joolctl/supervisor"
)

// checkBuffers compares the receive buffers of the worker's sockets with the configured size.
func checkBuffers(_ context.Context, s *subject) []Finding {
	if s.row == nil || s.row.State != supervisor.Running || s.pid() == 0 {
		return nil // there are no sockets
	}
	network, _, err := s.networkSockets()
	if err != nil {
		return warn(err.Error(), "")
	}
	module, _ := s.moduleSockets() // checkModule and checkInstance say why there are none
	least, found := s.spec.ReceiveBuffer, 0
	for inode, fd := range s.descriptors() {
		if !network[inode] && !module[inode] {
			continue
		}
		granted, err := receiveBuffer(s.pid(), fd)
		if err != nil {
			return warn("the receive buffers are not known: "+err.Error(), "")
		}
		found++
		least = min(least, granted)
	}
	switch {
	case found == 0:
		return warn("the supervisor has no socket of this pair", "type: joolctl restart "+s.pair.Name)
	case least < s.spec.ReceiveBuffer:
		return warn(fmt.Sprintf("the supervisor's sockets have receive buffers of %d bytes, %d are configured", least, s.spec.ReceiveBuffer),
			fmt.Sprintf("give the supervisor CAP_NET_ADMIN, or type: sysctl net.core.rmem_max=%d; then: joolctl restart %s", s.spec.ReceiveBuffer, s.pair.Name))
	}
	return ok(fmt.Sprintf("the supervisor's sockets have receive buffers of %d bytes, as configured", least))
}

// socketsOf returns the descriptors of a process that are sockets, by the socket's inode.
func socketsOf(pid int) map[uint64]int {
	found := make(map[uint64]int)
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // fails for bad patterns only
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // the descriptor was closed
		}
		text, is := strings.CutPrefix(target, "socket:[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
		fd, fdErr := strconv.Atoi(filepath.Base(link))
		if is && err == nil && fdErr == nil {
			found[inode] = fd
		}
	}
	return found
}

// receiveBuffer returns the size in bytes of the receive buffer of another process's socket. The kernel grants twice that, for its own
// use of the memory.
func receiveBuffer(pid, fd int) (int, error) {
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
	doubled, err := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, err
}
