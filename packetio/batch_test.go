package packetio

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// fill adds datagrams of these lengths to a batch. All bytes of a datagram are its index plus 1.
func fill(b *Batch, lengths ...int) {
	for i, n := range lengths {
		b.Add(append(b.Next(), bytes.Repeat([]byte{byte(i + 1)}, n)...), All)
	}
}

func TestSendBatch(t *testing.T) {
	const room = 32
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, fromAddr := udp(t, addr)
		s, b, r := NewSender(toAddr, 0), NewBatch(4, room), NewReceiver(8, 1024)
		for _, lengths := range [][]int{
			{5},
			{room, 1},
			{3, 0, room, 900}, // the last one is longer than the memory of Next
			{0},
			{0, 0},
			{7, 8, 9},
		} {
			fill(b, lengths...)
			if b.Len() != len(lengths) || b.Full() != (len(lengths) == 4) {
				t.Errorf("%v: Len() = %d, Full() = %v", lengths, b.Len(), b.Full())
			}
			s.SendBatch(from, b, none(t))
			n, err := r.Receive(to)
			if n != len(lengths) || err != nil {
				t.Fatalf("%v: %d received, %v", lengths, n, err)
			}
			for i := range n {
				d, want := r.Datagram(i), bytes.Repeat([]byte{byte(i + 1)}, lengths[i])
				if !bytes.Equal(d.Data, want) || d.From != fromAddr {
					t.Errorf("%v: %x from %v", lengths, d.Data, d.From)
				}
				if !bytes.Equal(b.Datagram(i), want) || b.To(i) != All {
					t.Errorf("%v: Datagram(%d) = %x for %b", lengths, i, b.Datagram(i), b.To(i))
				}
			}
			b.Reset()
			if b.Len() != 0 || b.Full() {
				t.Errorf("after Reset: Len() = %d, Full() = %v", b.Len(), b.Full())
			}
		}
	})
}

// none returns a function that fails the test if the kernel refuses a datagram.
func none(t testing.TB) func(datagram, to int, err error) {
	return func(datagram, to int, err error) {
		t.Helper()
		t.Errorf("datagram %d for destination %d: %v", datagram, to, err)
	}
}

// failure is an error of the kernel for a datagram and a destination.
type failure struct {
	datagram, to int
	err          error
}

// failures sends a batch and returns the errors.
func failures(s *Sender, fd int, b *Batch) (all []failure) {
	s.SendBatch(fd, b, func(datagram, to int, err error) { all = append(all, failure{datagram, to, err}) })
	b.Reset()
	return all
}

// TestSendBatchErrors checks that SendBatch reports the datagrams that the kernel refuses, and sends the others.
func TestSendBatchErrors(t *testing.T) {
	const tooLong = 70_000
	to, toAddr := udp(t, "127.0.0.1")
	from, _ := udp(t, "127.0.0.1")
	r := NewReceiver(8, 16)
	for _, c := range []struct {
		lengths  []int
		failed   []int
		received []byte // the first bytes of the datagrams that arrive
	}{
		{[]int{tooLong}, []int{0}, nil},
		{[]int{tooLong, 1, 1}, []int{0}, []byte{2, 3}},
		{[]int{1, tooLong, 1}, []int{1}, []byte{1, 3}},
		{[]int{1, 1, tooLong}, []int{2}, []byte{1, 2}},
		{[]int{1, tooLong, tooLong, 1, 1}, []int{1, 2}, []byte{1, 4, 5}},
	} {
		b := NewBatch(5, 16)
		fill(b, c.lengths...)
		var want []failure
		for _, i := range c.failed {
			want = append(want, failure{i, 0, unix.EMSGSIZE})
		}
		if got := failures(NewSender(toAddr, 0), from, b); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", c.lengths, got, want)
		}
		var received []byte
		if n, err := r.Receive(to); err == nil {
			for i := range n {
				received = append(received, r.Datagram(i).Data[0])
			}
		}
		if !bytes.Equal(received, c.received) {
			t.Errorf("%v: received %v, want %v", c.lengths, received, c.received)
		}
	}
	b := NewBatch(2, 16)
	fill(b, 1, 1)
	if got := failures(NewSender(toAddr, 0), -1, b); !slices.Equal(got, []failure{{0, 0, unix.EBADF}, {1, 0, unix.EBADF}}) {
		t.Errorf("no descriptor: %v", got)
	}
}

// TestSendBatchTo sends each datagram of a batch to some of three destinations. The kernel refuses one
// destination; the others receive their datagrams in the order of the batch.
func TestSendBatchTo(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		first, firstAddr := udp(t, addr)
		second, secondAddr := udp(t, addr)
		from, fromAddr := udp(t, addr)
		refused := netip.AddrPortFrom(netip.MustParseAddr("255.255.255.255"), 9) // refused without SO_BROADCAST
		if fromAddr.Addr().Is6() {
			refused = netip.MustParseAddrPort("[::ffff:192.0.2.1]:9") // refused as a destination from an IPv6 address
		}
		s := NewSenderTo([]netip.AddrPort{firstAddr, refused, secondAddr}, 0, fromAddr.Addr())
		if s.Destinations() != 3 {
			t.Errorf("%d destinations", s.Destinations())
		}
		b, r := NewBatch(8, 16), NewReceiver(16, 16)
		for _, sets := range [][]Set{{0b101}, {0b100}, {All}, {0b010}, {0}, {0b111, 0b001, 0b100, 0b010, 0, 0b110, All}, {0b010, 0b010}} {
			want := make(map[int][]byte)
			var fail []failure
			for i, set := range sets {
				b.Add(append(b.Next(), byte(i)), set)
				for to := range 3 {
					switch {
					case !set.Has(to):
					case to == 1:
						fail = append(fail, failure{i, to, nil})
					default:
						want[to] = append(want[to], byte(i))
					}
				}
			}
			got := failures(s, from, b)
			for i := range got {
				if got[i].err == nil {
					t.Errorf("%b: a failure without an error", sets)
				}
				got[i].err = nil
			}
			if !slices.Equal(got, fail) {
				t.Errorf("%b: the kernel has refused %v, want %v", sets, got, fail)
			}
			for to, fd := range map[int]int{0: first, 2: second} {
				var received []byte
				n, _ := r.Receive(fd)
				for i := range n {
					d := r.Datagram(i)
					received = append(received, d.Data...)
					if d.From != fromAddr {
						t.Errorf("%b: from %v", sets, d.From)
					}
				}
				if !bytes.Equal(received, want[to]) {
					t.Errorf("%b: destination %d gets %v, want %v", sets, to, received, want[to])
				}
			}
		}
	})
}

// TestSource sets a source address that differs from the kernel's choice, on a socket that is bound to no
// address.
func TestSource(t *testing.T) {
	for _, c := range []struct{ to, source string }{{"127.0.0.1", "127.0.0.9"}, {"::1", "::1"}} {
		to, toAddr := udp(t, c.to)
		fd, err := unix.Socket(map[bool]int{true: unix.AF_INET, false: unix.AF_INET6}[toAddr.Addr().Is4()], unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		r := NewReceiver(1, 8)
		source := netip.MustParseAddr(c.source)
		if err := NewSenderTo([]netip.AddrPort{toAddr}, 0, source).Send(fd, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Receive(to); n != 1 || err != nil || r.Datagram(0).From.Addr() != source {
			t.Errorf("%d received from %v, %v, want %v", n, r.Datagram(0).From, err, source)
		}
	}
}

// linked opens a socket at one end of a new veth pair, and also returns the interface's index.
func linked(t testing.TB) (fd, ifindex int) {
	t.Helper()
	x, y := nstest.New(t), nstest.New(t)
	nstest.Veth(t,
		nstest.End{Namespace: x, Name: "sync", Addrs: []string{"10.64.0.1/24", "fd64::1/64"}},
		nstest.End{Namespace: y, Name: "sync", Addrs: []string{"10.64.0.2/24", "fd64::2/64"}})
	th, err := nsthread.NewPool().Get(x)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Release()
	doErr := th.Do(func() {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err == nil {
			ifindex, err = index(fd, "sync")
		}
	})
	if err != nil || doErr != nil {
		t.Fatal(err, doErr)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd, ifindex
}

// TestSendBatchFull fills a send buffer with part of a batch. The datagrams stay in the buffer, because the
// destination does not answer neighbour solicitations.
func TestSendBatchFull(t *testing.T) {
	from, _ := linked(t)
	set(t, from, unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10)
	batch := NewBatch(64, 1500)
	for !batch.Full() {
		fill(batch, 1400)
	}
	got := failures(NewSender(netip.MustParseAddrPort("[fd64::99]:9"), 0), from, batch)
	if len(got) <= 32 || len(got) == 64 {
		t.Fatalf("a full buffer has not taken %d of 64", len(got))
	}
	for i, f := range got {
		if f != (failure{64 - len(got) + i, 0, unix.EAGAIN}) {
			t.Fatalf("%v", got)
		}
	}
}

func TestSendBatchNoAllocations(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, _ := udp(t, addr)
		b, r, payload, failed := NewBatch(4, 128), NewReceiver(32, 128), make([]byte, 100), none(t)
		for _, destinations := range []int{1, 4} {
			s := NewSenderTo(slices.Repeat([]netip.AddrPort{toAddr}, destinations), 0, netip.Addr{})
			for _, size := range []int{1, 3} {
				if n := testing.AllocsPerRun(100, func() {
					for range size {
						b.Add(append(b.Next(), payload...), All)
					}
					s.SendBatch(from, b, failed)
					b.Reset()
					if n, err := r.Receive(to); n != size*destinations || err != nil {
						t.Fatal(n, err)
					}
				}); n != 0 {
					t.Errorf("a batch of %d for %d destinations: %v allocations", size, destinations, n)
				}
			}
		}
	})
}

// BenchmarkSend sends datagrams of the length of an Ethernet frame to a group without members, one by one and in
// batches.
func BenchmarkSend(b *testing.B) {
	from, ifindex := linked(b)
	set(b, from, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifindex)
	s, batch, payload := NewSender(netip.MustParseAddrPort("[ff08::99]:9"), 0), NewBatch(16, 1500), make([]byte, 1452)
	b.Run("one by one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Send(from, payload); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, size := range []int{1, 2, 4, 16} {
		b.Run(fmt.Sprint("by ", size), func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; n += size {
				for range size {
					batch.Add(append(batch.Next(), payload...), All)
				}
				s.SendBatch(from, batch, none(b))
				batch.Reset()
			}
		})
	}
}
