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

// The name of a socket in the store says for which namespace, instance or address it can be used. An open socket keeps its
// namespace alive, so no other namespace can get the same inode number. A socket whose name has the number of the worker's
// namespace therefore belongs to that namespace.

// receiverKey returns the store's name for the netlink socket that receives an instance's multicasts. Its detail is the netlink
// family and group; both change when the module is loaded again.
func receiverKey(ns nsthread.ID, instance string) string {
	return fmt.Sprintf("kernel/%d-%d/%s", ns.Dev, ns.Ino, hex.EncodeToString([]byte(instance)))
}

func (p *pumps) receiverDetail() string { return fmt.Sprintf("%d-%d", p.conn.Family, p.conn.Group) }

// netKey returns the store's name for the network socket that is bound to an address. Its detail is the index of the interface on
// which it is a member of the group, and the number of its drops that have been counted.
func netKey(ns nsthread.ID, at netip.AddrPort) string {
	return fmt.Sprintf("net/%d-%d/%s/%d", ns.Dev, ns.Ino, hex.EncodeToString(at.Addr().AsSlice()), at.Port())
}

// leaveSockets puts the netlink socket and the network socket into the store, if the process is about to end. The next process
// then receives the reports and datagrams that are queued on them and that arrive meanwhile. It must be called on the
// instance's thread, after the last read.
func (p *pumps) leaveSockets() {
	store := p.w.env.Store
	if !store.Leaving() || p.conn == nil || p.socket == nil {
		return
	}
	spec := p.w.spec()
	store.Keep(receiverKey(p.thread.ID(), spec.Instance), p.receiverDetail(), p.conn.Receiver())
	store.Keep(netKey(p.socket.thread.ID(), spec.Bound()), fmt.Sprintf("%d-%d", p.socket.in, p.drops), p.socket.fd)
}

// takeReceiver replaces the connection's netlink socket by the one that the previous process left, if that one belongs to the
// module that is loaded now.
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
		p.w.log.warn("the netlink socket that the previous process left cannot be used; peers get the sessions reported on it by a full sync", "error", err)
		unix.Close(fd)
		return
	}
	p.adopted = true
	// The buffer still has the size of the previous configuration.
	if err := p.conn.SetReceiveBuffer(spec.ReceiveBuffer); err != nil {
		p.w.log.warn("the receive buffer of the netlink socket keeps the size of the previous configuration", "error", err)
	}
}

// adopt uses the socket that the previous process left for the same address and port, and moves its membership if it was a member on
// another interface. It returns false if there is no such socket, or if that cannot be used; then adopt has closed it.
func (s *netSocket) adopt(store *fdstore.Store, spec configdir.Spec, in, out *net.Interface) bool {
	fd, detail, ok := store.Take(netKey(s.thread.ID(), spec.Bound()))
	if !ok {
		return false
	}
	s.fd = fd
	if _, err := fmt.Sscanf(detail, "%d-%d", &s.in, &s.drops); err == nil && boundTo(fd, spec) {
		// With a sender, set treats it as a live socket whose configuration changes: it is a member of the group already.
		s.sender = packetio.NewSender(spec.Bound(), s.in)
		if s.set(spec, in, out) == nil {
			return true
		}
	}
	unix.Close(fd)
	*s = netSocket{thread: s.thread, fd: -1, owner: s.owner, claim: s.claim}
	return false
}

// boundTo reports whether a socket is bound to the spec's address and port.
func boundTo(fd int, spec configdir.Spec) bool {
	at := spec.Bound()
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr) == at.Addr() && a.Port == int(at.Port())
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr) == at.Addr() && a.Port == int(at.Port())
	}
	return false
}

// statsKey returns the store's name for a stats server's socket in the process's own namespace.
func statsKey(at netip.AddrPort) (string, error) {
	ns, err := nsthread.Identify("")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("stats/%d-%d/%s/%d", ns.Dev, ns.Ino, hex.EncodeToString(at.Addr().AsSlice()), at.Port()), nil
}

// openStatsSocket returns the stats server's socket that the previous process left, or opens one.
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

// leaveStatsSocket puts a stats server's socket into the store, if the process is about to end.
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
	_ = raw.Control(func(fd uintptr) { store.Keep(key, "", int(fd)) }) // fails only on a closed socket
}
