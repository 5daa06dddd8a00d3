package worker

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/worker/workertest"
)

// ends is a kernel that leaves its ends of the sockets to the test, once the
// worker runs.
type ends struct {
	tap
	multicasts int
}

func (k *ends) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	c, err := k.tap.Dial(instance, receiveBuffer)
	if err != nil {
		return nil, err
	}
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	k.multicasts = p[1]
	err = unix.Dup3(p[0], c.Receiver(), unix.O_CLOEXEC)
	unix.Close(p[0])
	return c, err
}

// TestNoAllocations counts them on the worker's own thread, where nothing else
// of it runs meanwhile.
func TestNoAllocations(t *testing.T) {
	a, b := hosts(t)
	peer := openPlain(t, b, group6, port, "sync")
	h := newHost(t, jool4115, specFor(a, group6))
	k := &ends{tap: tap{Kernel: h.kernel}}
	h.env.Kernel = k
	h.start()
	defer func() {
		h.stop()
		k.close()
		unix.Close(k.multicasts)
	}()
	h.instance.Wait(t, joolnl.JooldAck, 1)
	k.hold()

	rawPeer, err := peer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rawNear, err := k.near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var peerFD, near int
	_ = rawPeer.Control(func(fd uintptr) { peerFD = int(fd) })
	_ = rawNear.Control(func(fd uintptr) { near = int(fd) })
	p := h.running
	to := packetio.NewSender(netip.AddrPortFrom(group6, port), 0)
	lists := make([][]byte, 300)
	multicasts := make([][]byte, len(lists))
	for i := range lists {
		lists[i] = entries(t, jool4115, 40*i, 36)
		multicasts[i] = workertest.Multicast(jool4115, "nat", lists[i])
	}
	buf := make([]byte, 256<<10)
	next := 0
	if err := p.thread.Do(func() {
		n := testing.AllocsPerRun(100, func() {
			if _, err := unix.Write(k.multicasts, multicasts[next]); err != nil {
				t.Error(err)
			}
			next++
			p.fromKernel()
			if n, err := unix.Read(near, buf); err != nil || buf[16] != byte(joolnl.JooldAck) {
				t.Error("no acknowledgement", n, err)
			}
			if n, err := unix.Read(peerFD, buf); err != nil || n < len(lists[0]) {
				t.Error("no datagram", n, err)
			}
		})
		if n != 0 {
			t.Errorf("from the kernel to the network: %v allocations a datagram", n)
		}
		next = 0
		n = testing.AllocsPerRun(100, func() {
			if err := to.Send(peerFD, lists[next]); err != nil {
				t.Error(err)
			}
			next++
			p.fromNetwork()
			if n, err := unix.Read(near, buf); err != nil || buf[16] != byte(joolnl.JooldAdd) || n < len(lists[0]) {
				t.Error("no addition", n, err)
			}
		})
		if n != 0 {
			t.Errorf("from the network to the kernel: %v allocations a datagram", n)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
