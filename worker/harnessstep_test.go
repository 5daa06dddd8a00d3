package worker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// stepped is a worker whose functions the test calls. The test has the other ends of the worker's sockets.
type stepped struct {
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

// step starts the worker, and calls do on its thread. No other function of the worker runs meanwhile. Namespace 1 has a peer.
func (h *host) step(do func(d *stepped)) {
	h.t.Helper()
	peer := h.bed.peerAt(1, group6, port, "sync")
	h.start()
	defer h.stop()
	h.instance.Wait(h.t, joolnl.JooldAck, 1)
	control[*syncwire.Hello](peer)
	// The worker's periodic requests get no reply while the test has the module's ends, and a request without a reply ends the
	// worker. So the timer is stopped, and the rest is one function on the thread, so that no request is sent in between.
	timer := h.running.timer
	h.onThread(func(p *pumps) {
		timer.Stop()
		defer timer.Stop()
		multicasts, requests, give := h.instance.Take(h.t)
		defer give()
		d := &stepped{t: h.t, pumps: p, multicasts: multicasts, requests: requests, group: fdOf(h.t, peer.UDPConn),
			to: packetio.NewSender(netip.AddrPortFrom(group6, port), 0), buf: make([]byte, 256<<10), poll: make([]unix.PollFd, 1)}
		d.borrow(func() { do(d) })
	})
}

// newLists returns n lists of new sessions in a format; each list has as many sessions as fit into a datagram.
func (d *stepped) newLists(f session.Format, n int) (lists [][]byte) {
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
func (d *stepped) numbered(lists [][]byte) [][]byte {
	for i, list := range lists {
		d.last++
		lists[i] = syncwire.Trailer{Sender: 0x10f, Seq: d.last}.Append(list)
	}
	return lists
}

// read reads the next message from a socket into buf, waits for it if necessary, and returns its length.
func (d *stepped) read(fd int) int {
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
func (d *stepped) wait(fd int) {
	d.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if n, err := unix.Poll(d.poll, int(patience.Milliseconds())); n != 1 {
		panic(fmt.Sprint("no message arrived: ", err))
	}
}

// multicast sends reports of the module and makes the worker process them together. It expects one request with ACKs for each
// batch of reports.
func (d *stepped) multicast(messages ...[]byte) {
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
func (d *stepped) sentAre(n, bytes int) {
	for range n {
		if got := d.read(d.group); got < bytes {
			d.t.Errorf("a datagram of %d bytes, want %d", got, bytes)
		}
	}
}

// hear sends one datagram to the worker, and makes it process what it has received.
func (d *stepped) hear(b []byte) {
	if err := d.to.Send(d.group, b); err != nil {
		panic(err)
	}
	d.wait(d.socket.fd)
	d.fromNetwork()
}

// receive sends datagrams to the worker, makes it process them, and waits until it has given all of them to the module.
func (d *stepped) receive(datagrams ...[]byte) {
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
