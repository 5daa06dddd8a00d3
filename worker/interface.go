package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// interfaceByName returns the index of an interface in a socket's namespace, 0 if there is none. net.InterfaceByName is not
// used because it lists all interfaces.
func interfaceByName(fd int, name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, nil // no interface can have a name of this length
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for its index: %w", err)
	}
	return int(ifr.Uint32()), nil
}

// askInterface makes a request about an interface, of which only the index is known, in a socket's namespace. It returns nil if the
// interface was deleted.
func askInterface(fd int, ifi *net.Interface, request uint) *unix.Ifreq {
	ifr, _ := unix.NewIfreq("by-index") // fails only for longer names
	ifr.SetUint32(uint32(ifi.Index))
	if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr) != nil {
		return nil
	}
	ifr, err := unix.NewIfreq(ifr.Name())
	if err != nil || unix.IoctlIfreq(fd, request, ifr) != nil {
		return nil
	}
	return ifr
}

// linkTrouble says which of two interfaces in a socket's namespace is down or has no carrier, and how to change that. It
// returns "" if neither is. A nil interface is one that the kernel chooses; it is not checked. ns is the name of the namespace.
func linkTrouble(fd int, ns string, in, out *net.Interface) string {
	for _, ifi := range []*net.Interface{in, out} {
		if ifi == nil || ifi == out && in != nil && in.Index == out.Index {
			continue
		}
		ifr := askInterface(fd, ifi, unix.SIOCGIFFLAGS)
		if ifr == nil {
			continue // the interface was deleted; stillThere returns the error
		}
		switch name, flags := ifr.Name(), ifr.Uint16(); {
		case flags&unix.IFF_UP == 0:
			m := Missing{
				What: fmt.Sprintf("interface %q is down %s", name, inNamespace(ns)),
				Fix:  inside(ns, fmt.Sprintf("ip link set %s up", name)),
			}
			return m.Error()
		case flags&unix.IFF_RUNNING == 0:
			return fmt.Sprintf("interface %q has no carrier %s; check its cable, and the device at the other end", name, inNamespace(ns))
		}
	}
	return ""
}

// interfaceByAddress returns the index of the interface that has an address in the calling thread's namespace, 0 if there is
// none.
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
			// On a point-to-point link, IFA_LOCAL is the own address and IFA_ADDRESS is that of the peer.
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
