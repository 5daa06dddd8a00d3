package packetio

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/internal/await"
)

// udp opens a UDP socket on a loopback address and also returns the socket's address and port.
func udp(t testing.TB, addr string) (int, netip.AddrPort) {
	t.Helper()
	ip := netip.MustParseAddr(addr)
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: ip.As16()})
	if ip.Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		return fd, netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port))
	case *unix.SockaddrInet6:
		return fd, netip.AddrPortFrom(netip.AddrFrom16(b.Addr), uint16(b.Port))
	}
	t.Fatalf("bound to a %T", bound)
	return -1, netip.AddrPort{}
}

func set(t testing.TB, fd, level, opt, value int) {
	t.Helper()
	if err := unix.SetsockoptInt(fd, level, opt, value); err != nil {
		t.Fatal(err)
	}
}

// loopback returns the index of the loopback interface.
func loopback(t testing.TB) int {
	t.Helper()
	fd, _ := udp(t, "127.0.0.1")
	i, err := index(fd, "lo")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// index returns the index of an interface in the socket's namespace.
func index(fd int, name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	return int(ifr.Uint32()), err
}

func eachFamily(t *testing.T, fn func(t *testing.T, addr string)) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) { fn(t, addr) })
	}
}

func TestBatches(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, fromAddr := udp(t, addr)
		set(t, to, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		if toAddr.Addr().Is6() {
			set(t, to, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		s := NewSender(toAddr, 0)
		const sent = 7
		for i := range sent {
			if err := s.Send(from, fmt.Append(nil, "datagram ", i)); err != nil {
				t.Fatal(err)
			}
		}
		r, lo, got := NewReceiver(3, 64), loopback(t), 0
		if r.Batch() != 3 {
			t.Errorf("Batch() = %d", r.Batch())
		}
		for _, want := range []int{3, 3, 1} {
			n, err := r.Receive(to)
			if n != want || err != nil {
				t.Fatalf("Receive: %d, %v; want %d", n, err, want)
			}
			for i := range n {
				d := r.Datagram(i)
				if want := fmt.Sprint("datagram ", got); string(d.Data) != want || d.Truncated {
					t.Errorf("%q, truncated %v; want %q", d.Data, d.Truncated, want)
				}
				if d.From != fromAddr || d.Interface != lo || d.Drops != 0 {
					t.Errorf("from %v by %d with %d drops, want %v, %d, 0", d.From, d.Interface, d.Drops, fromAddr, lo)
				}
				got++
			}
		}
		if n, err := r.Receive(to); n != 0 || err != unix.EAGAIN {
			t.Errorf("Receive from an empty buffer: %d, %v; want EAGAIN", n, err)
		}
	})
}

func TestLengths(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, _ := udp(t, addr)
		s := NewSender(toAddr, 0)
		const room = 32
		lengths := []int{room, 0, room + 1, 1, 4 * room, 5}
		for _, n := range lengths {
			if err := s.Send(from, bytes.Repeat([]byte{byte(n)}, n)); err != nil {
				t.Fatal(err)
			}
		}
		r := NewReceiver(len(lengths)+1, room)
		if n, err := r.Receive(to); n != len(lengths) || err != nil {
			t.Fatalf("Receive: %d, %v", n, err)
		}
		for i, n := range lengths {
			d := r.Datagram(i)
			want := bytes.Repeat([]byte{byte(n)}, min(n, room))
			if !bytes.Equal(d.Data, want) || d.Truncated != (n > room) || !d.From.IsValid() {
				t.Errorf("%d bytes sent: %x, truncated %v, from %v", n, d.Data, d.Truncated, d.From)
			}
			if d.Interface != 0 {
				t.Errorf("an interface %d that nobody asked for", d.Interface)
			}
		}
	})
}

// TestDrops overruns a socket's receive buffer, and checks that received and dropped datagrams add up.
func TestDrops(t *testing.T) {
	to, toAddr := udp(t, "127.0.0.1")
	from, _ := udp(t, "127.0.0.1")
	set(t, to, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	set(t, to, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // sets the minimum size
	s, r := NewSender(toAddr, 0), NewReceiver(64, 256)
	const sent = 300
	payload := make([]byte, 200)
	for range sent {
		if err := s.Send(from, payload); err != nil {
			t.Fatal(err)
		}
	}
	got := receiveAll(t, r, to)
	if err := s.Send(from, payload); err != nil { // carries the count of the drops before it
		t.Fatal(err)
	}
	if n, err := r.Receive(to); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if drops := int(r.Datagram(0).Drops); drops == 0 || got+drops != sent {
		t.Errorf("%d sent, %d received, %d dropped", sent, got, drops)
	}
}

// TestArrived reads datagrams after their arrival, with and without SO_TIMESTAMPNS.
func TestArrived(t *testing.T) {
	to, toAddr := udp(t, "127.0.0.1")
	from, _ := udp(t, "127.0.0.1")
	s, r := NewSender(toAddr, 0), NewReceiver(2, 256)
	// send returns the time after the datagram's arrival.
	send := func() (after time.Time) {
		t.Helper()
		if err := s.Send(from, []byte("x")); err != nil {
			t.Fatal(err)
		}
		// Before Linux 6.5, a busy kernel may deliver the datagram a moment later.
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(to), Events: unix.POLLIN}}, 10_000); n != 1 {
			t.Fatal("the datagram does not arrive: ", err)
		}
		return time.Now()
	}
	// read returns the time before it reads the datagram, and the datagram's Arrived.
	read := func() (before, arrived time.Time) {
		t.Helper()
		before = time.Now()
		if n, err := r.Receive(to); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		return before, r.Datagram(0).Arrived
	}
	send()
	if _, arrived := read(); !arrived.IsZero() {
		t.Errorf("Arrived is %v without SO_TIMESTAMPNS", arrived)
	}
	set(t, to, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	// The kernel starts to stamp datagrams a moment after the first socket has set SO_TIMESTAMPNS. Until then,
	// Arrived is the time of reading.
	await.Within(t, 10*time.Second, "the kernel stamps what arrives", func() bool {
		send()
		reading, arrived := read()
		return arrived.Before(reading)
	})
	before := time.Now()
	after := send()
	if _, arrived := read(); arrived.Before(before.Add(-time.Millisecond)) || arrived.After(after) {
		t.Errorf("sent between %v and %v, arrived %v", before, after, arrived)
	}
}

func receiveAll(t *testing.T, r *Receiver, fd int) int {
	t.Helper()
	for got := 0; ; {
		n, err := r.Receive(fd)
		if err == unix.EAGAIN {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

func TestReceiveErrors(t *testing.T) {
	r := NewReceiver(1, 8)
	if n, err := r.Receive(-1); n != 0 || !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %d, %v", n, err)
	}
	// No socket listens on the port: the host answers with an ICMP error, which becomes an error of the socket.
	from, _ := udp(t, "127.0.0.1")
	gone, goneAddr := udp(t, "127.0.0.1")
	set(t, from, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	unix.Close(gone)
	if err := NewSender(goneAddr, 0).Send(from, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Receive(from); n != 0 || err != unix.ECONNREFUSED {
		t.Errorf("refused: %d, %v", n, err)
	}
	if n, err := r.Receive(from); n != 0 || err != unix.EAGAIN {
		t.Errorf("once refused: %d, %v", n, err)
	}
}

func TestSendErrors(t *testing.T) {
	from, _ := udp(t, "127.0.0.1")
	s := NewSender(netip.MustParseAddrPort("127.0.0.1:9"), 0)
	if err := s.Send(from, make([]byte, 70_000)); err != unix.EMSGSIZE {
		t.Errorf("too long: %v", err)
	}
	if err := s.Send(-1, nil); err != unix.EBADF {
		t.Errorf("no descriptor: %v", err)
	}
}

func pair(t testing.TB, typ int) (a, b int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func TestGather(t *testing.T) {
	a, b := pair(t, unix.SOCK_SEQPACKET)
	g := NewGather(2)
	for _, pieces := range [][]string{
		{"one"},
		{"one", "", "two", ""},
		{"more ", "than ", "it ", "was ", "made ", "for"},
		{"", ""},
		{},
	} {
		g.Reset()
		want := ""
		for _, p := range pieces {
			g.Add([]byte(p))
			want += p
		}
		if g.Len() != len(want) {
			t.Errorf("%q: Len() = %d", pieces, g.Len())
		}
		if err := g.Send(a); err != nil {
			t.Errorf("%q: %v", pieces, err)
		}
		buf := make([]byte, 100)
		n, err := unix.Read(b, buf)
		if want == "" {
			if err != unix.EAGAIN {
				t.Errorf("%q: an empty message was sent: %d, %v", pieces, n, err)
			}
			continue
		}
		if err != nil || string(buf[:n]) != want {
			t.Errorf("%q: received %q, %v", pieces, buf[:max(n, 0)], err)
		}
	}
}

func TestGatherFull(t *testing.T) {
	a, _ := pair(t, unix.SOCK_SEQPACKET)
	g := NewGather(1)
	g.Add(make([]byte, 1000))
	for range 1_000_000 {
		err := g.Send(a)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("a socket that nobody reads never was full")
}

// TestGatherNetlink sends two requests in one message; the kernel answers both.
func TestGatherNetlink(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	g := NewGather(4)
	for seq := range byte(2) {
		// A request of type 0x10 (the generic netlink controller) without a command, which it answers with an
		// error.
		g.Add([]byte{20, 0, 0, 0, 0x10, 0, 1, 0})
		g.Add([]byte{seq + 1, 0, 0, 0, 0, 0, 0, 0, 250, 1, 0, 0})
	}
	if err := g.Send(fd); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for seq := range byte(2) {
		n, err := unix.Read(fd, buf)
		if err != nil || n < 12 || buf[4] != unix.NLMSG_ERROR || buf[8] != seq+1 {
			t.Errorf("answer %d: %x, %v", seq+1, buf[:max(n, 0)], err)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, _ := udp(t, addr)
		set(t, to, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		set(t, to, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		s, r, payload := NewSender(toAddr, 0), NewReceiver(4, 128), make([]byte, 100)
		if n := testing.AllocsPerRun(100, func() {
			for range 3 {
				if err := s.Send(from, payload); err != nil {
					t.Fatal(err)
				}
			}
			n, err := r.Receive(to)
			if n != 3 || err != nil {
				t.Fatal(n, err)
			}
			for i := range n {
				if d := r.Datagram(i); len(d.Data) != len(payload) {
					t.Fatal(d)
				}
			}
			if _, err := r.Receive(to); err != unix.EAGAIN {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("sending and receiving: %v allocations", n)
		}
	})
	a, b := pair(t, unix.SOCK_SEQPACKET)
	g, buf, payload := NewGather(8), make([]byte, 4096), make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		for range 8 {
			g.Add(payload)
		}
		if err := g.Send(a); err != nil {
			t.Fatal(err)
		}
		g.Reset()
		if n, err := unix.Read(b, buf); n != 800 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("gathering: %v allocations", n)
	}
}
