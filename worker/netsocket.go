package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/nsthread"
	"joolctl/packetio"
	"joolctl/replication"
)

// sendBuffer is room for what a slow link holds up, in bytes: with less of it
// a burst would be refused, and lost.
const sendBuffer = 4 << 20

// netSocket is a pair's UDP socket: bound to the group, so that it hears
// nothing else, and a member of it on one interface.
type netSocket struct {
	thread  *nsthread.Thread // of the socket's namespace
	fd      int
	in, out int // interface indices; 0: the kernel's choice
	// drops is the count of its drops up to when it was opened or adopted.
	drops  uint32
	sender *packetio.Sender
	// trouble is why nothing comes or goes by its interfaces, "" if nothing keeps it.
	trouble string
	// former is the interface index before in, while datagrams that arrived there may still wait in the socket; nil: none.
	former *int
	owner  *Worker
	claim  *claim // of the group and port on in
}

// hears says whether what came by an interface is meant for this socket: IPv6
// also gives it what another member of the group on this host asked for.
func (s *netSocket) hears(index int) bool {
	member := func(in int) bool { return in == 0 || index == 0 || index == in }
	return member(s.in) || s.former != nil && member(*s.former)
}

// openNetSocket opens it in the spec's network namespace, or adopts the one that
// the process before has left there for the same group and port.
func openNetSocket(w *Worker, spec configdir.Spec) (*netSocket, error) {
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
	if doErr := thread.Do(func() { err = s.open(spec) }); doErr != nil {
		err = doErr
	}
	if err != nil {
		return nil, err
	}
	opened = true
	return s, nil
}

// open is openNetSocket inside the namespace.
func (s *netSocket) open(spec configdir.Spec) error {
	family := unix.AF_INET6
	if spec.Group.Is4() {
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
	trouble := linkTrouble(fd, spec.NetNamespace, in, out)
	if s.adopt(s.owner.env.Store, spec, in, out) {
		unix.Close(fd)
		s.trouble = trouble
		return nil
	}
	s.fd, s.trouble = fd, trouble
	if err := s.bind(spec, index(in)); err != nil {
		return socketError(spec, err)
	}
	return socketError(spec, s.set(spec, in, out))
}

func (s *netSocket) close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
	s.owner.env.Claims.drop(s.claim)
	s.thread.Release()
}

// socketError says which socket an error is about.
func socketError(spec configdir.Spec, err error) error {
	if err == nil || errors.As(err, new(*Missing)) {
		return err
	}
	return fmt.Errorf("network socket for %v port %d %s: %w", spec.Group, spec.Port, inNamespace(spec.NetNamespace), err)
}

// findInterfaces looks for both in the calling thread's namespace, which is that of the
// socket fd too.
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

// waits reports whether a datagram is there to be read.
func (s *netSocket) waits() bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n == 1
}

// arrived returns when the host received a datagram that is read now, as far as that is known. The wall clock may have been
// set meanwhile. A stamp in the future is not believed, nor one that is older than the thread's last stall and than the time
// after which a peer counts as absent. The datagram may have waited for the whole stall, then: a peer corrects a session that
// is too old here, but one that is too young spreads.
func arrived(d packetio.Datagram, now time.Time, stood time.Duration) time.Time {
	waited := time.Duration(0)
	if !d.Arrived.IsZero() {
		waited = now.Round(0).Sub(d.Arrived)
		if waited < 0 || waited > max(stood, replication.AbsentAfter) {
			waited = stood
		}
	}
	return now.Add(-waited)
}

// bind binds the socket to the group. Before that it is told to hear its own
// memberships only, not the whole host's.
func (s *netSocket) bind(spec configdir.Spec, in int) error {
	type option struct {
		level, opt, val int
		name            string
	}
	opts := []option{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, b2i(spec.ReuseAddr), "SO_REUSEADDR"},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"},
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"},
	}
	if spec.Group.Is4() {
		opts = append(opts, option{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"})
	} else {
		opts = append(opts, option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL"},
			option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY"})
	}
	for _, o := range opts {
		if err := unix.SetsockoptInt(s.fd, o.level, o.opt, o.val); err != nil {
			return fmt.Errorf("setting %s: %w", o.name, err)
		}
	}
	if in == 0 && needsInterface(spec.Group) {
		return errors.New("bind: a group of one link alone needs an \"in interface\" in netsocket")
	}
	err := unix.Bind(s.fd, groupAddress(spec, in))
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("bind: %w: another program has it, and one of the two has no \"reuseaddr\": 1", err)
	}
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if needsInterface(spec.Group) {
		// The address is bound, and no longer the interface: it may change, and
		// sending may go by another.
		err := unix.BindToDevice(s.fd, "")
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("a group of one link alone needs CAP_NET_RAW (in joolctl.service: CapabilityBoundingSet), or another group such as ff08::db8:64:64: %w", err)
		}
		if err != nil {
			return fmt.Errorf("unbinding from the interface: %w", err)
		}
	}
	return nil
}

// set gives the bound socket everything that may change while it lives. To be
// called in its namespace. On an error a membership that was new is left again.
func (s *netSocket) set(spec configdir.Spec, in, out *net.Interface) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, b2i(spec.ReuseAddr)); err != nil {
		return fmt.Errorf("setting SO_REUSEADDR: %w", err)
	}
	if err := forceBuffers(s.fd, spec.ReceiveBuffer); err != nil {
		return fmt.Errorf("setting the buffers: %w", err)
	}
	sendBy := out
	if out == nil && needsInterface(spec.Group) {
		sendBy = in
	}
	err := s.withConn(spec, func(c multicastConn) error {
		undo, settle, err := s.join(c, spec, in)
		if err != nil {
			return err
		}
		if err := s.setSending(c, spec, sendBy); err != nil {
			undo()
			return err
		}
		settle()
		return nil
	})
	if err != nil {
		return err
	}
	s.in, s.out = index(in), index(out)
	s.sender = packetio.NewSender(netip.AddrPortFrom(spec.Group, spec.Port), index(sendBy))
	return nil
}

// join makes the socket a member of the group on another interface than before,
// or for the first time. Either undo or settle must follow; only then the old
// membership is sure to last, or gone.
func (s *netSocket) join(c multicastConn, spec configdir.Spec, in *net.Interface) (undo, settle func(), err error) {
	group := &net.UDPAddr{IP: spec.Group.AsSlice()}
	first, was, now := s.sender == nil, &net.Interface{Index: s.in}, &net.Interface{Index: index(in)}
	nothing := func() {}
	if !first && was.Index == now.Index {
		return nothing, nothing, nil
	}
	undo, settle = nothing, nothing
	if !first {
		undo = func() { _ = c.LeaveGroup(now, group) }
		// The old interface may be gone, and its membership with it.
		settle = func() { _ = c.LeaveGroup(was, group) }
	}
	if !first && (was.Index == 0 || now.Index == 0) {
		// The kernel does not tell a membership on an interface of its own choice
		// from another one: there is only room for one of the two.
		leaveNew := undo
		settle()
		undo = func() {
			leaveNew()
			_ = c.JoinGroup(was, group)
		}
		settle = nothing
	}
	if err := joined(c.JoinGroup(in, group), spec); err != nil {
		undo()
		return nil, nil, err
	}
	return undo, settle, nil
}

// setSending sets what concerns what is sent.
func (s *netSocket) setSending(c multicastConn, spec configdir.Spec, out *net.Interface) error {
	if err := c.SetTTL(spec.TTL); err != nil {
		return fmt.Errorf("ttl %d: %w", spec.TTL, err)
	}
	if err := c.SetMulticastLoopback(false); err != nil {
		return fmt.Errorf("switching the multicast loop off: %w", err)
	}
	if err := c.SetOut(s.fd, spec, out); err != nil {
		return fmt.Errorf("out interface %q: %w", spec.OutInterface, err)
	}
	return nil
}

// withConn lends the socket to x/net as a connection of Go's. It is a copy of
// the descriptor and gone at the end: as long as it lived, each datagram would
// wake Go's poller too.
func (s *netSocket) withConn(spec configdir.Spec, use func(multicastConn) error) error {
	fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copying the descriptor: %w", err)
	}
	f := os.NewFile(uintptr(fd), "network socket")
	defer f.Close()
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	defer c.Close()
	if spec.Group.Is4() {
		return use(conn4{ipv4.NewPacketConn(c)})
	}
	return use(conn6{ipv6.NewPacketConn(c)})
}

// joined sorts what joining a group can fail with.
func joined(err error, spec configdir.Spec) error {
	if err == nil {
		return nil
	}
	if spec.InInterface == "" && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return &Missing{
			What: fmt.Sprintf("no interface leads to %v %s, and netsocket names no \"in interface\"", spec.Group, inNamespace(spec.NetNamespace)),
			Fix:  inside(spec.NetNamespace, fmt.Sprintf("ip route add %v dev …", spec.Group)),
			Err:  err,
		}
	}
	if errors.Is(err, unix.ENODEV) {
		return &Missing{
			What: fmt.Sprintf("in interface %q has just gone %s", spec.InInterface, inNamespace(spec.NetNamespace)),
			Fix:  inside(spec.NetNamespace, fmt.Sprintf("ip link add %s …", spec.InInterface)),
			Err:  err,
		}
	}
	return fmt.Errorf("joining the group: %w", err)
}

// forceBuffers sets the buffers past the system's limits where the process may.
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

func groupAddress(spec configdir.Spec, in int) unix.Sockaddr {
	if spec.Group.Is4() {
		return &unix.SockaddrInet4{Port: int(spec.Port), Addr: spec.Group.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(spec.Port), Addr: spec.Group.As16()}
	if needsInterface(spec.Group) {
		sa.ZoneId = uint32(in)
	}
	return sa
}

// needsInterface tells whether the group's address means something on one
// interface only.
func needsInterface(group netip.Addr) bool {
	return group.Is6() && (group.IsLinkLocalMulticast() || group.IsInterfaceLocalMulticast())
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stillThere says whether namespace and interfaces are still the ones that the
// socket was set up for: an interface that was made anew has another index, and
// no member. To be called on its thread.
func (s *netSocket) stillThere(spec configdir.Spec) error {
	if err := sameNamespace(spec.NetNamespace, s.thread); err != nil {
		return err
	}
	in, out, err := findInterfaces(s.fd, spec)
	if err != nil {
		return err
	}
	if index(in) != s.in || index(out) != s.out {
		return &Missing{What: fmt.Sprintf("an interface was made anew %s", inNamespace(spec.NetNamespace))}
	}
	s.trouble = linkTrouble(s.fd, spec.NetNamespace, in, out)
	return nil
}
