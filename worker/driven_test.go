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

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// tap is a simulated kernel. The test forwards the requests between the worker and the kernel, and can stop that.
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

// hold stops forwarding. From then on the test itself reads the requests.
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

// ends is a simulated kernel that gives its ends of the sockets to the test after the worker has started.
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

// driven is a worker whose functions the test calls. The test has the other ends of the worker's sockets.
type driven struct {
	t testing.TB
	*pumps
	// multicasts and requests are the module's ends of the netlink sockets; group is the socket of a peer.
	multicasts, requests, group int
	to                          *packetio.Sender // sends to the group
	buf                         []byte
	poll                        []unix.PollFd
	first                       int          // the number of the next new session
	last                        syncwire.Seq // of the peer's datagrams
}

// drive starts a worker with all features switched on, and calls do on its thread. No other function of the worker runs
// meanwhile.
func drive(t testing.TB, v joolnl.Version, do func(d *driven)) {
	t.Helper()
	driveSpec(t, v, func(*configdir.Spec) {}, do)
}

// driveSpec is like drive, but the test changes the spec.
func driveSpec(t testing.TB, v joolnl.Version, change func(*configdir.Spec), do func(d *driven)) {
	t.Helper()
	a, b := hosts(t)
	peer := openPlain(t, b, group6, port, "sync")
	spec := standbySpec(a)
	change(&spec)
	h := newHost(t, v, spec)
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
	// The worker's periodic requests get no reply while the test has the module's ends, and a request without a reply ends the
	// worker. So the timer is stopped, and the rest is one function on the thread, so that no request is sent in between.
	timer := h.running.timer
	if err := h.running.thread.Do(func() {
		timer.Stop()
		defer timer.Stop()
		k.hold()
		d := &driven{t: t, pumps: h.running, multicasts: k.multicasts, requests: fdOf(t, k.near), group: fdOf(t, peer.UDPConn),
			to: packetio.NewSender(netip.AddrPortFrom(group6, port), 0), buf: make([]byte, 256<<10), poll: make([]unix.PollFd, 1)}
		d.borrow(func() { do(d) })
	}); err != nil {
		k.close() // a request of the worker fails then, instead of waiting for a reply
		t.Fatal(err)
	}
}

// newLists returns n lists of new sessions in a format; each list has as many sessions as fit into a datagram.
func (d *driven) newLists(f session.Format, n int) (lists [][]byte) {
	size := d.host.Limits.Sessions(f)
	for range n {
		lists = append(lists, append(make([]byte, 0, datagramSize), inFormat(d.t, f, d.first, size)...))
		d.first += size
	}
	return lists
}

// frame returns the limits of Ethernet with IPv6.
func frame(sealed bool) syncwire.Limits {
	return syncwire.NewLimits(syncwire.DefaultMTU, false, sealed)
}

// numbered appends trailers to lists of sessions, which thereby become a peer's next live datagrams.
func (d *driven) numbered(lists [][]byte) [][]byte {
	for i, list := range lists {
		d.last++
		lists[i] = syncwire.Trailer{Sender: 0x10f, Seq: d.last}.Append(list)
	}
	return lists
}

// read reads the next message from a socket into buf, waits for it if necessary, and returns its length.
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

// wait waits until a socket is readable.
func (d *driven) wait(fd int) {
	d.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if n, err := unix.Poll(d.poll, int(patience.Milliseconds())); n != 1 {
		panic(fmt.Sprint("no message arrived: ", err))
	}
}

// multicast sends reports of the module and makes the worker process them together. It expects one request with ACKs for each
// batch of reports.
func (d *driven) multicast(messages ...[]byte) {
	for _, m := range messages {
		if _, err := unix.Write(d.multicasts, m); err != nil {
			panic(err)
		}
	}
	d.takeReports()
	d.host.Stalls = replication.Stalls{}                      // after a stall of the test host, the worker would read the table and get no reply
	for range (len(messages) + multicasts - 1) / multicasts { // those that are read together are acknowledged together
		if d.read(d.requests); d.buf[16] != byte(joolnl.JooldAck) {
			d.t.Error("no acknowledgement")
		}
	}
}

// sentAre reads n datagrams that the worker has sent. Each must have at least the given number of bytes.
func (d *driven) sentAre(n, bytes int) {
	for range n {
		if got := d.read(d.group); got < bytes {
			d.t.Errorf("a datagram of %d bytes, want %d", got, bytes)
		}
	}
}

// receive sends datagrams to the worker, makes it process them, and waits until it has given all of them to the module.
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

// fdOf returns a connection's descriptor. The connection still owns it.
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
