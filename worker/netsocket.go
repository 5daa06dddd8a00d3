package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/nsthread"
	"joolctl/packetio"
	"joolctl/replication"
)

// sendBuffer is the size of the send buffer in bytes. It holds the datagrams of a burst until a slow link has sent them; from
// a full buffer the kernel refuses datagrams, and they are lost.
const sendBuffer = 4 << 20

// netSocket is a pair's UDP socket. It is bound to the group's address, so that it receives no other datagrams, and is a member
// of the group on one interface. Without a group, it is bound to an address of this host, or to none.
type netSocket struct {
	thread  *nsthread.Thread // of the socket's namespace
	fd      int
	in, out int // interface indices; 0: the kernel chooses
	only    int // index of the only interface whose datagrams are taken; 0: all
	// peers are the sender's destinations; empty: the group is the only one. listed are those whose datagrams are taken; empty:
	// everybody's.
	peers  []netip.AddrPort
	listed configdir.Peers
	// drops is the kernel's count of the socket's dropped datagrams when it was opened or adopted.
	drops  uint32
	sender *packetio.Sender
	// trouble says why no datagram can pass its interfaces; "" if they are up and have a carrier.
	trouble string
	mtu     int // of the interface that datagrams leave by; 0: not known
	// former is the previous value of only, while the socket may still hold datagrams that arrived there; nil if it does not.
	former *int
	owner  *Worker
	claim  *claim // reserves the address and port for this worker
}

// hears reports whether a datagram that arrived on an interface is meant for this socket. An IPv6 socket also receives
// datagrams that arrived on interfaces where only other sockets of this host are members of the group.
func (s *netSocket) hears(index int) bool {
	member := func(only int) bool { return only == 0 || index == 0 || index == only }
	return member(s.only) || s.former != nil && member(*s.former)
}

// openNetSocket opens the network socket in the spec's network namespace, or adopts the one that the previous process left for
// the same namespace, address and port. beside is a socket of this worker that may be bound to the same port; nil: there is none.
func openNetSocket(w *Worker, spec configdir.Spec, beside *netSocket) (*netSocket, error) {
	thread, err := getThread(w.env.Threads, spec.NetNamespace)
	if err != nil {
		return nil, err
	}
	s := &netSocket{thread: thread, fd: -1, owner: w}
	opened := false
	defer func() { // after a panic too
		if !opened {
			s.close()
		}
	}()
	if doErr := thread.Do(func() { err = s.open(spec, beside) }); doErr != nil {
		err = doErr
	}
	if err != nil {
		return nil, err
	}
	opened = true
	return s, nil
}

// open does the part of openNetSocket that must run on the namespace's thread.
func (s *netSocket) open(spec configdir.Spec, beside *netSocket) error {
	family := unix.AF_INET6
	if spec.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("opening the network socket %s: %w", inNamespace(spec.NetNamespace), err)
	}
	in, out, err := findInterfaces(fd, spec)
	if err != nil {
		unix.Close(fd)
		return err
	}
	if s.claim, err = s.owner.claimSocket(s.thread.ID(), index(in), spec); err != nil {
		unix.Close(fd)
		return err
	}
	s.mtu = linkMTU(fd, spec, in, out)
	trouble := linkTrouble(fd, spec.NetNamespace, in, out)
	if s.adopt(s.owner.env.Store, spec, in, out) {
		unix.Close(fd)
		s.trouble = trouble
		return nil
	}
	s.fd, s.trouble = fd, trouble
	if err := s.bindBeside(beside, spec, index(in)); err != nil {
		return socketError(spec, err)
	}
	return socketError(spec, s.set(spec, in, out))
}

// bindBeside binds the socket. If another socket of the worker is in the way, because both are bound to one port and one of
// them to no address, both share the port until the other one is closed.
func (s *netSocket) bindBeside(beside *netSocket, spec configdir.Spec, in int) error {
	old := s.owner.spec()
	if beside == nil || beside.thread != s.thread || !overlap(old.Bound(), spec.Bound()) {
		return s.bind(spec, in)
	}
	was, err := unix.GetsockoptInt(beside.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
	if err != nil {
		return fmt.Errorf("asking for SO_REUSEADDR: %w", err)
	}
	if err := unix.SetsockoptInt(beside.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("setting SO_REUSEADDR: %w", err)
	}
	shared := spec
	shared.ReuseAddr = true
	if err := s.bind(shared, in); err != nil {
		_ = unix.SetsockoptInt(beside.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, was)
		return err
	}
	return nil
}

// overlap reports whether the kernel refuses to bind two sockets to these addresses unless both set SO_REUSEADDR.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

func (s *netSocket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
	s.owner.env.Claims.drop(s.claim)
	s.thread.Release()
}

// socketError adds the socket's address, port and namespace to an error. A *Missing names them already.
func socketError(spec configdir.Spec, err error) error {
	if err == nil || errors.As(err, new(*Missing)) {
		return err
	}
	at := spec.Bound()
	return fmt.Errorf("network socket for %v port %d %s: %w", at.Addr(), at.Port(), inNamespace(spec.NetNamespace), err)
}

// findInterfaces looks up the input and the output interface. The calling thread and the socket fd must be in the same
// namespace. See findInterface for nil.
func findInterfaces(fd int, spec configdir.Spec) (in, out *net.Interface, err error) {
	if in, err = findInterface(fd, spec.InInterface, "in interface", spec.NetNamespace); err != nil {
		return nil, nil, err
	}
	out, err = findInterface(fd, spec.OutInterface, "out interface", spec.NetNamespace)
	return in, out, err
}

func index(ifi *net.Interface) int {
	if ifi == nil {
		return 0
	}
	return ifi.Index
}

// waits reports whether the socket has a datagram to read.
func (s *netSocket) waits() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n == 1
}

// arrived returns when the host received a datagram that is read now. The kernel's time stamp uses the wall clock, which may
// have been set since. So arrived ignores a stamp in the future, and one that is older than both the thread's last stall and
// replication.AbsentAfter. It then assumes that the datagram waited for the whole stall: peers correct a session that is too
// old here, but they adopt one that is too young.
func arrived(d packetio.Datagram, now time.Time, stall time.Duration) time.Time {
	waited := time.Duration(0)
	if !d.Arrived.IsZero() {
		waited = now.Round(0).Sub(d.Arrived)
		if waited < 0 || waited > max(stall, replication.AbsentAfter) {
			waited = stall
		}
	}
	return now.Add(-waited)
}

// socketOption is an option of a socket with its value and the name of the option in messages.
type socketOption struct {
	level, opt, val int
	name            string
}

func (s *netSocket) setOptions(opts []socketOption) error {
	for _, o := range opts {
		if err := unix.SetsockoptInt(s.fd, o.level, o.opt, o.val); err != nil {
			return fmt.Errorf("setting %s: %w", o.name, err)
		}
	}
	return nil
}

// bind binds the socket to the group, or without a group to an address of this host or to none. Before that it restricts the
// socket to its own memberships, of which there are none without a group: by default, a socket receives the groups of all members
// on the host.
func (s *netSocket) bind(spec configdir.Spec, in int) error {
	opts := []socketOption{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, b2i(spec.ReuseAddr), "SO_REUSEADDR"},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"},
	}
	if spec.Is4() {
		opts = append(opts, socketOption{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"})
	} else {
		opts = append(opts, socketOption{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL"},
			socketOption{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY"})
	}
	if err := s.setOptions(opts); err != nil {
		return err
	}
	if in == 0 && needsInterface(spec.Group) {
		return errors.New("bind: a link-local or interface-local group needs an \"in interface\" in netsocket")
	}
	err := unix.Bind(s.fd, boundAddress(spec, in))
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("bind: %w: another program is bound to it, and this pair or that program does not set \"reuseaddr\": 1", err)
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if needsInterface(spec.Group) {
		// Binding such an address also binds the socket to the interface. The binding to the interface is removed, because the
		// input interface may change later, and the output interface may be another one.
		err := unix.BindToDevice(s.fd, "")
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("a link-local or interface-local group needs CAP_NET_RAW (in joolctl.service: CapabilityBoundingSet); add it, or choose a group such as ff08::db8:64:64: %w", err)
		}
		if err != nil {
			return fmt.Errorf("unbinding from the interface: %w", err)
		}
	}
	return nil
}

// forceBuffers sets the buffer sizes. They exceed the system's limits only if the process has CAP_NET_ADMIN.
func forceBuffers(fd, receive int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receive) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive); err != nil {
			return err
		}
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	return nil
}

func boundAddress(spec configdir.Spec, in int) unix.Sockaddr {
	at := spec.Bound()
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if needsInterface(at.Addr()) || at.Addr().IsLinkLocalUnicast() {
		sa.ZoneId = uint32(in)
	}
	return sa
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stillThere returns an error unless the socket's namespace and interfaces are still those that it was opened for: a recreated
// interface has another index, and the socket is not a member of the group there. It also updates trouble. It must be called
// on the socket's thread.
func (s *netSocket) stillThere(spec configdir.Spec) error {
	if err := sameNamespace(spec.NetNamespace, s.thread); err != nil {
		return err
	}
	in, out, err := findInterfaces(s.fd, spec)
	if err != nil {
		return err
	}
	if index(in) != s.in || index(out) != s.out {
		return &Missing{What: fmt.Sprintf("an interface was recreated %s", inNamespace(spec.NetNamespace))}
	}
	s.mtu = linkMTU(s.fd, spec, in, out)
	s.trouble = linkTrouble(s.fd, spec.NetNamespace, in, out)
	return nil
}
