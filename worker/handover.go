package worker

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/fdstore"
	"joolctl/nsthread"
	"joolctl/packetio"
)

// Sockets are left in the store under names that say what they are good for. A
// socket holds its namespace, so as long as it is open no other namespace has
// that one's number: who finds the number of its own namespace in the name has a
// socket of it.

// receiverKey names the netlink socket that hears an instance's multicasts. Its
// detail is the family and the group; both change with every load of the module.
func receiverKey(ns nsthread.ID, instance string) string {
	return fmt.Sprintf("kernel/%d-%d/%s", ns.Dev, ns.Ino, hex.EncodeToString([]byte(instance)))
}

func (p *pumps) receiverDetail() string { return fmt.Sprintf("%d-%d", p.conn.Family, p.conn.Group) }

// netKey names the network socket. Its detail is the interface that it is a
// member on, and how many drops have been counted.
func netKey(ns nsthread.ID, group netip.Addr, port uint16) string {
	return fmt.Sprintf("net/%d-%d/%s/%d", ns.Dev, ns.Ino, hex.EncodeToString(group.AsSlice()), port)
}

// leaveSockets leaves both to the next process, if this one is about to end.
// What waits on them and what comes meanwhile waits there for it. To be called
// on the thread, when nothing reads any more.
func (p *pumps) leaveSockets() {
	store := p.w.env.Store
	if !store.Leaving() || p.conn == nil || p.socket == nil {
		return
	}
	spec := p.w.spec()
	store.Keep(receiverKey(p.thread.ID(), spec.Instance), p.receiverDetail(), p.conn.Receiver())
	store.Keep(netKey(p.socket.thread.ID(), spec.Group, spec.Port), fmt.Sprintf("%d-%d", p.socket.in, p.drops), p.socket.fd)
}

// takeReceiver goes on with the netlink socket that the process before has left,
// if it is of the module that is loaded now.
func (p *pumps) takeReceiver(spec configdir.Spec) {
	fd, detail, ok := p.w.env.Store.Take(receiverKey(p.thread.ID(), spec.Instance))
	if !ok {
		return
	}
	if detail != p.receiverDetail() {
		unix.Close(fd)
		return
	}
	if err := p.conn.Adopt(fd); err != nil {
		p.w.log.warn("the netlink socket of the process before does not fit; a resync brings what it has missed", "problem", err)
		unix.Close(fd)
		return
	}
	p.adopted = true
	// The buffer is the old configuration's.
	if err := p.conn.SetReceiveBuffer(spec.ReceiveBuffer); err != nil {
		p.w.log.warn("the netlink socket keeps its old receive buffer", "problem", err)
	}
}

// adopt goes on with the socket that the process before has left for the group
// and port, whatever interface it was a member on. false: there is none, or it
// does not fit, and is closed.
func (s *netSocket) adopt(store *fdstore.Store, spec configdir.Spec, in, out *net.Interface) bool {
	fd, detail, ok := store.Take(netKey(s.thread.ID(), spec.Group, spec.Port))
	if !ok {
		return false
	}
	s.fd = fd
	if _, err := fmt.Sscanf(detail, "%d-%d", &s.in, &s.drops); err == nil && boundTo(fd, spec) {
		// As a live socket that is configured anew: it is a member already.
		s.sender = packetio.NewSender(netip.AddrPortFrom(spec.Group, spec.Port), s.in)
		if s.set(spec, in, out) == nil {
			return true
		}
	}
	unix.Close(fd)
	*s = netSocket{thread: s.thread, fd: -1, owner: s.owner, claim: s.claim}
	return false
}

// boundTo says whether a socket is bound to the spec's group and port.
func boundTo(fd int, spec configdir.Spec) bool {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr) == spec.Group && a.Port == int(spec.Port)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr) == spec.Group && a.Port == int(spec.Port)
	}
	return false
}

// statsKey names a stats server's socket, of the process's own namespace.
func statsKey(at netip.AddrPort) (string, error) {
	ns, err := nsthread.Identify("")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("stats/%d-%d/%s/%d", ns.Dev, ns.Ino, hex.EncodeToString(at.Addr().AsSlice()), at.Port()), nil
}

// openStatsSocket adopts or opens a stats server's socket.
func openStatsSocket(at netip.AddrPort, store *fdstore.Store) (*net.UDPConn, error) {
	if c := adoptStatsSocket(at, store); c != nil {
		return c, nil
	}
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
}

func adoptStatsSocket(at netip.AddrPort, store *fdstore.Store) *net.UDPConn {
	key, err := statsKey(at)
	if err != nil {
		return nil
	}
	fd, _, ok := store.Take(key)
	if !ok {
		return nil
	}
	f := os.NewFile(uintptr(fd), "stats socket")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil
	}
	udp, ok := c.(*net.UDPConn)
	if ok && udp.LocalAddr().(*net.UDPAddr).AddrPort() == at {
		return udp
	}
	c.Close()
	return nil
}

// leaveStatsSocket leaves it to the next process, if this one is about to end.
func leaveStatsSocket(c *net.UDPConn, store *fdstore.Store) {
	if !store.Leaving() {
		return
	}
	key, err := statsKey(c.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { store.Keep(key, "", int(fd)) }) // it fails only if it is closed
}
