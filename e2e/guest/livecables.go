package guest

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Cables join J's machine to the machine of K, n6 and n4.
const (
	cable6    = "eth0" // to n6
	cable4    = "eth1" // to n4
	cableSync = "eth2" // to K
)

// LiveCables is the number of cables.
const LiveCables = 3

// useCables replaces J's links by the cables. It runs in J's machine.
func (top *topology) useCables(t testing.TB) {
	t.Helper()
	run(t, "modprobe", "virtio_net")
	top.j.ip(t, "link del e6\nlink del e4\nlink del "+syncLink)
	ip(t, fmt.Sprintf(`
link set %[1]s netns %[4]s name e6 address %[5]s
link set %[2]s netns %[4]s name e4 address %[6]s
link set %[3]s netns %[4]s name %[7]s
`, cable6, cable4, cableSync, top.j.name, mac6, mac4, syncLink))
	top.addAddresses(t, top.j, syncJ, syncJ6, "up")
}

// joinCables replaces J by the cables. It runs in K's machine.
func (top *topology) joinCables(t testing.TB) {
	t.Helper()
	run(t, "modprobe", "virtio_net")
	top.j.ip(t, "link del e6\nlink del e4")
	ip(t, fmt.Sprintf(`
link set %[1]s netns %[4]s
link set %[2]s netns %[4]s
link set %[3]s netns %[4]s
`, cable6, cable4, cableSync, top.sw.name))
	// A bridge joins K's sync link to the cable, so that K's link stays up when J crashes.
	top.j.ip(t, fmt.Sprintf("link set %s netns %s name ksync", syncLink, top.sw.name))
	top.sw.ip(t, fmt.Sprintf(`
link add brs type bridge mcast_snooping 0
link set ksync master brs up
link set %s master br6 up
link set %s master br4 up
link set %s master brs up
link set brs up
`, cable6, cable4, cableSync))
	// After K's link comes up, duplicate address detection would delay neighbour discovery by 1 s.
	top.k.sysctl(t, [2]string{"ipv6/conf/e6/accept_dad", "0"})
}

// cut makes J crash for everybody else: no frame passes the cables from the returned moment on. J itself runs on.
func (top *topology) cut(t testing.TB) (at time.Time) {
	t.Helper()
	top.sw.do(t, func() error {
		err := setPorts(portDisabled, cable6, cable4, cableSync)
		at = time.Now()
		return err
	})
	return at
}

// takeOver brings K's links to n6 and n4 up.
func (top *topology) takeOver(t testing.TB) {
	t.Helper()
	top.k.do(t, func() error { return setLinksUp("e6", "e4") })
}

// mend makes J the active NAT64 again.
func (top *topology) mend(t testing.TB) {
	t.Helper()
	// The kernel removes IPv6 addresses when a link goes down.
	top.k.ip(t, fmt.Sprintf("link set e6 down\nlink set e4 down\naddress replace %s/96 dev e6 nodad", gateway6))
	top.sw.do(t, func() error { return setPorts(portForwarding, cable6, cable4, cableSync) })
}

// setLinksUp brings links of the calling thread's namespace up. Starting ip would take tens of milliseconds.
func setLinksUp(names ...string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, name := range names {
		r, err := unix.NewIfreq(name)
		if err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r)
		}
		if err == nil {
			r.SetUint16(r.Uint16() | unix.IFF_UP)
			err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
		}
		if err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// States of a bridge port, from linux/if_bridge.h.
const (
	portDisabled   = 0
	portForwarding = 3
)

// setPorts sets the state of bridge ports in the calling thread's namespace, and flushes their forwarding entries. A
// port's state takes effect at once, while setting a link down waits for an RCU grace period first.
func setPorts(state byte, names ...string) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(unix.IFLA_PROTINFO, func(port *netlink.AttributeEncoder) error {
		port.Uint8(unix.IFLA_BRPORT_STATE, state)
		port.Flag(unix.IFLA_BRPORT_FLUSH, true)
		return nil
	})
	port, err := attributes.Encode()
	if err != nil {
		return err
	}
	for _, name := range names {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		info := make([]byte, unix.SizeofIfInfomsg)
		info[0] = unix.AF_BRIDGE
		binary.NativeEndian.PutUint32(info[4:], uint32(link.Index))
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_SETLINK, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append(info, port...),
		})
		if err != nil {
			return fmt.Errorf("port %s: %w", name, err)
		}
	}
	return nil
}
