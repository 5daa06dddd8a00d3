package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// interfaceByName returns the index of an interface of the calling thread's
// namespace, 0 if there is none. Package net would list all of them.
func interfaceByName(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, nil // too long to be any interface's name
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for its index: %w", err)
	}
	return int(ifr.Uint32()), nil
}

// interfaceByAddress is the same for the interface that has an address.
func interfaceByAddress(address string) (int, error) {
	want := net.ParseIP(address)
	family := unix.AF_INET6
	if want.To4() != nil {
		family = unix.AF_INET
	}
	dump, err := syscall.NetlinkRIB(unix.RTM_GETADDR, family)
	if err != nil {
		return 0, fmt.Errorf("listing addresses: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return 0, fmt.Errorf("listing addresses: %w", err)
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWADDR || len(m.Data) < unix.SizeofIfAddrmsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return 0, fmt.Errorf("listing addresses: %w", err)
		}
		var mine net.IP
		for _, a := range attrs {
			// Where both are given, ADDRESS is the peer's.
			if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && mine == nil {
				mine = a.Value
			}
		}
		if mine.Equal(want) {
			return int(binary.NativeEndian.Uint32(m.Data[4:])), nil
		}
	}
	return 0, nil
}
