package worker

import (
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/worker/workertest"
)

// tap is a kernel whose requests pass through the test.
type tap struct {
	*workertest.Kernel
	near, far *os.File
	passed    chan struct{}
}

func (k *tap) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	inner, err := k.Kernel.Dial(instance, receiveBuffer)
	if err != nil {
		return nil, err
	}
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	k.near, k.far = os.NewFile(uintptr(p[1]), "worker"), os.NewFile(uintptr(inner.Asker()), "kernel")
	k.passed = make(chan struct{}, 2)
	pass := func(to, from *os.File) {
		buf := make([]byte, 256<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				break
			}
			_, _ = to.Write(buf[:n])
		}
		k.passed <- struct{}{}
	}
	go pass(k.near, k.far)
	go pass(k.far, k.near)
	return joolnl.NewConn(inner.Requests, inner.Receiver(), p[0]), nil
}

// hold ends the passing of requests and leaves them to the test.
func (k *tap) hold() {
	past := time.Unix(1, 0)
	_ = k.near.SetDeadline(past)
	_ = k.far.SetDeadline(past)
	<-k.passed
	<-k.passed
}

func (k *tap) close() {
	k.near.Close()
	k.far.Close()
}

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
	// Nobody answers what it asks every now and then.
	if err := h.running.thread.Do(func() { h.running.timer.Stop() }); err != nil {
		t.Fatal(err)
	}
	k.hold()

	peerFD, near := fdOf(t, peer.UDPConn), fdOf(t, k.near)
	p := h.running
	fromKernel, fromNetwork := p.guard(p.fromKernel), p.guard(p.fromNetwork)
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
			fromKernel()
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
			fromNetwork()
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

// fdOf is a connection's descriptor, which stays the connection's.
func fdOf(t *testing.T, c syscall.Conn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	if err := raw.Control(func(fd uintptr) { n = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return n
}
