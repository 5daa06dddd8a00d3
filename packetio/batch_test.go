package packetio

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

// fill puts datagrams of these lengths into a batch, each of bytes that say its place.
func fill(b *Batch, lengths ...int) {
	for i, n := range lengths {
		b.Add(append(b.Next(), bytes.Repeat([]byte{byte(i + 1)}, n)...))
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
			{3, 0, room, 900}, // the last has outgrown its memory
			{0},
			{0, 0},
			{7, 8, 9},
		} {
			fill(b, lengths...)
			if b.Len() != len(lengths) || b.Full() != (len(lengths) == 4) {
				t.Errorf("%v: Len() = %d, Full() = %v", lengths, b.Len(), b.Full())
			}
			for begin := range lengths { // what is before that is left out
				if n, err := s.SendBatch(from, b, begin); n != len(lengths)-begin || err != nil {
					t.Fatalf("%v from %d on: %d sent, %v", lengths, begin, n, err)
				}
				n, err := r.Receive(to)
				if n != len(lengths)-begin || err != nil {
					t.Fatalf("%v from %d on: %d received, %v", lengths, begin, n, err)
				}
				for i := range n {
					d, want := r.Datagram(i), bytes.Repeat([]byte{byte(begin + i + 1)}, lengths[begin+i])
					if !bytes.Equal(d.Data, want) || d.From != fromAddr {
						t.Errorf("%v from %d on: %x from %v", lengths, begin, d.Data, d.From)
					}
					if !bytes.Equal(b.Datagram(begin+i), want) {
						t.Errorf("%v: Datagram(%d) = %x", lengths, begin+i, b.Datagram(begin+i))
					}
				}
			}
			b.Reset()
			if b.Len() != 0 || b.Full() {
				t.Errorf("after Reset: Len() = %d, Full() = %v", b.Len(), b.Full())
			}
		}
	})
}

// outcome is what SendBatch returns.
type outcome struct {
	sent int
	err  error
}

// sendAll sends a batch as its users do, and returns what each call came to.
func sendAll(s *Sender, fd int, b *Batch) (all []outcome) {
	for i := 0; i < b.Len(); {
		n, err := s.SendBatch(fd, b, i)
		all = append(all, outcome{n, err})
		if i += n; err != nil {
			i++
		}
	}
	b.Reset()
	return all
}

// TestSendBatchErrors has the kernel refuse some of a batch.
func TestSendBatchErrors(t *testing.T) {
	const tooLong = 70_000
	to, toAddr := udp(t, "127.0.0.1")
	from, _ := udp(t, "127.0.0.1")
	r := NewReceiver(8, 16)
	for _, c := range []struct {
		lengths  []int
		want     []outcome
		received []byte // places of those that come
	}{
		{[]int{tooLong}, []outcome{{0, unix.EMSGSIZE}}, nil},
		{[]int{tooLong, 1, 1}, []outcome{{0, unix.EMSGSIZE}, {2, nil}}, []byte{2, 3}},
		{[]int{1, tooLong, 1}, []outcome{{1, nil}, {0, unix.EMSGSIZE}, {1, nil}}, []byte{1, 3}},
		{[]int{1, 1, tooLong}, []outcome{{2, nil}, {0, unix.EMSGSIZE}}, []byte{1, 2}},
		{[]int{1, tooLong, tooLong, 1, 1}, []outcome{{1, nil}, {0, unix.EMSGSIZE}, {0, unix.EMSGSIZE}, {2, nil}}, []byte{1, 4, 5}},
	} {
		b := NewBatch(5, 16)
		fill(b, c.lengths...)
		got := sendAll(NewSender(toAddr, 0), from, b)
		if len(got) != len(c.want) {
			t.Errorf("%v: %v, want %v", c.lengths, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v: %v, want %v", c.lengths, got, c.want)
			}
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
	if got := sendAll(NewSender(toAddr, 0), -1, b); len(got) != 2 || got[0] != (outcome{0, unix.EBADF}) || got[1] != got[0] {
		t.Errorf("no descriptor: %v", got)
	}
}

// linked opens a socket at one end of a link of its own, and returns the interface's
// index too.
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

// TestSendBatchFull has a send buffer that holds but a part of a batch: what is for a
// host that does not answer waits in it.
func TestSendBatchFull(t *testing.T) {
	from, _ := linked(t)
	set(t, from, unix.SOL_SOCKET, unix.SO_SNDBUF, 16<<10)
	batch := NewBatch(64, 1500)
	for !batch.Full() {
		fill(batch, 1400)
	}
	got := sendAll(NewSender(netip.MustParseAddrPort("[fd64::99]:9"), 0), from, batch)
	if got[0].sent == 0 || got[0].sent >= 32 || got[0].err != nil {
		t.Fatalf("a full buffer took %d of 64 at first, %v", got[0].sent, got[0].err)
	}
	if len(got) != 1+64-got[0].sent {
		t.Errorf("%v", got)
	}
	for _, o := range got[1:] {
		if o != (outcome{0, unix.EAGAIN}) {
			t.Fatalf("%v", got)
		}
	}
}

func TestSendBatchNoAllocations(t *testing.T) {
	eachFamily(t, func(t *testing.T, addr string) {
		to, toAddr := udp(t, addr)
		from, _ := udp(t, addr)
		s, b, r, payload := NewSender(toAddr, 0), NewBatch(4, 128), NewReceiver(4, 128), make([]byte, 100)
		for _, size := range []int{1, 3} {
			if n := testing.AllocsPerRun(100, func() {
				for range size {
					b.Add(append(b.Next(), payload...))
				}
				if n, err := s.SendBatch(from, b, 0); n != size || err != nil {
					t.Fatal(n, err)
				}
				b.Reset()
				if n, err := r.Receive(to); n != size || err != nil {
					t.Fatal(n, err)
				}
			}); n != 0 {
				t.Errorf("a batch of %d: %v allocations", size, n)
			}
		}
	})
}

// BenchmarkSend sends datagrams of a frame's length to a group that nobody listens
// to, one by one and together.
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
					batch.Add(append(batch.Next(), payload...))
				}
				if n, err := s.SendBatch(from, batch, 0); n != size || err != nil {
					b.Fatal(n, err)
				}
				batch.Reset()
			}
		})
	}
}
