package doctor

import (
	"net"

	"golang.org/x/sys/unix"
)

// supervisorPID returns the process ID of the supervisor behind the control socket; 0 if that is not known.
func (h *host) supervisorPID() int {
	conn, err := net.Dial("unix", h.Socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
