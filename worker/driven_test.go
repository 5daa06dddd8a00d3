package worker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
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

// driven is a worker that runs when the test has it run, between sockets whose other
// ends the test has.
type driven struct {
	t testing.TB
	*pumps
	// multicasts and requests are the module's ends, group is a socket of a peer's.
	multicasts, requests, group int
	to                          *packetio.Sender // to the group
	buf                         []byte
	poll                        []unix.PollFd
	first                       int          // the number of the next new session
	last                        syncwire.Seq // of the peer's datagrams
}

// drive has do run on the thread of a worker with everything on, where nothing else
// of it runs meanwhile.
func drive(t testing.TB, v joolnl.Version, do func(d *driven)) {
	t.Helper()
	a, b := hosts(t)
	peer := openPlain(t, b, group6, port, "sync")
	h := newHost(t, v, standbySpec(a))
	k := &ends{tap: tap{Kernel: h.kernel}}
	h.env.Kernel = k
	h.start()
	defer func() {
		h.stop()
		k.close()
		unix.Close(k.multicasts)
	}()
	h.instance.Wait(t, joolnl.JooldAck, 1)
	control[*syncwire.Hello](peer)
	// Nobody answers what it asks every now and then. All of this happens on the thread at once: what asks in between would
	// end the worker, and its descriptors would be somebody else's.
	timer := h.running.timer
	if err := h.running.thread.Do(func() {
		timer.Stop()
		defer timer.Stop()
		k.hold()
		d := &driven{t: t, pumps: h.running, multicasts: k.multicasts, requests: fdOf(t, k.near), group: fdOf(t, peer.UDPConn),
			to: packetio.NewSender(netip.AddrPortFrom(group6, port), 0), buf: make([]byte, 256<<10), poll: make([]unix.PollFd, 1)}
		d.borrow(func() { do(d) })
	}); err != nil {
		t.Fatal(err)
	}
}

// newLists are n lists of as many new sessions as fit a datagram of this format.
func (d *driven) newLists(f session.Format, n int) (lists [][]byte) {
	size := f.PerDatagram(maxSessionBytes)
	for range n {
		lists = append(lists, append(make([]byte, 0, datagramSize), inFormat(d.t, f, d.first, size)...))
		d.first += size
	}
	return lists
}

// numbered puts the trailers of a peer's next datagrams behind their sessions.
func (d *driven) numbered(lists [][]byte) [][]byte {
	for i, list := range lists {
		d.last++
		lists[i] = syncwire.Trailer{Sender: 0x10f, Seq: d.last}.Append(list)
	}
	return lists
}

// read takes what has come to one of the sockets, or comes soon, and returns how long
// it is.
func (d *driven) read(fd int) int {
	n, err := unix.Read(fd, d.buf)
	if err == unix.EAGAIN {
		d.wait(fd)
		n, err = unix.Read(fd, d.buf)
	}
	if err != nil {
		panic(err)
	}
	return n
}

// wait waits until there is something to read.
func (d *driven) wait(fd int) {
	d.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if n, err := unix.Poll(d.poll, int(patience.Milliseconds())); n != 1 {
		panic(fmt.Sprint("nothing comes: ", err))
	}
}

// multicast has the module report all that it has in one go.
func (d *driven) multicast(messages ...[]byte) {
	for _, m := range messages {
		if _, err := unix.Write(d.multicasts, m); err != nil {
			panic(err)
		}
	}
	d.takeReports()
	d.host.Stalls = replication.Stalls{}                      // after a stall of the host the worker would ask the module, and nobody answers here
	for range (len(messages) + multicasts - 1) / multicasts { // those that are read together are acknowledged together
		if d.read(d.requests); d.buf[16] != byte(joolnl.JooldAck) {
			d.t.Error("no acknowledgement")
		}
	}
}

// sentAre takes n datagrams that the worker has sent, each of at least so many bytes.
func (d *driven) sentAre(n, bytes int) {
	for range n {
		if got := d.read(d.group); got < bytes {
			d.t.Errorf("a datagram of %d bytes, want %d", got, bytes)
		}
	}
}

// receive has the worker receive datagrams and give them to the module.
func (d *driven) receive(datagrams ...[]byte) {
	for _, b := range datagrams {
		if err := d.to.Send(d.group, b); err != nil {
			panic(err)
		}
	}
	for adds := 0; adds < len(datagrams); {
		d.wait(d.socket.fd)
		d.fromNetwork()
		for n, _ := unix.Read(d.requests, d.buf); n > 0; n, _ = unix.Read(d.requests, d.buf) {
			for b := d.buf[:n]; len(b) > 0; b = b[binary.NativeEndian.Uint32(b):] {
				if adds++; b[16] != byte(joolnl.JooldAdd) {
					d.t.Error("no addition")
				}
			}
		}
	}
}

// fdOf is a connection's descriptor, which stays the connection's.
func fdOf(t testing.TB, c syscall.Conn) int {
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
