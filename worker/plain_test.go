package worker

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/syncwire"
)

// plain is an ordinary UDP socket in a namespace. It is a member of the group on one interface, and sends through this
// interface.
type plain struct {
	*net.UDPConn
	t  testing.TB
	to *net.UDPAddr
	p4 *ipv4.PacketConn
	p6 *ipv6.PacketConn
}

func openPlain(t testing.TB, ns string, group netip.Addr, port int, ifname string) *plain {
	t.Helper()
	pool := nsthread.NewPool()
	th, err := pool.Get(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Release()
	p := &plain{t: t, to: &net.UDPAddr{IP: group.AsSlice(), Port: port}}
	doErr := th.Do(func() { err = p.open(group, port, ifname) })
	if err != nil || doErr != nil {
		t.Fatal(err, doErr)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func (p *plain) open(group netip.Addr, port int, ifname string) error {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return err
	}
	network := "udp6"
	if group.Is4() {
		network = "udp4"
	}
	if p.UDPConn, err = net.ListenUDP(network, &net.UDPAddr{Port: port}); err != nil {
		return err
	}
	if err := p.buffer(16 << 20); err != nil {
		return err
	}
	if group.Is4() {
		p.p4 = ipv4.NewPacketConn(p.UDPConn)
		if err := p.p4.SetControlMessage(ipv4.FlagTTL, true); err != nil {
			return err
		}
		if err := p.p4.SetMulticastLoopback(false); err != nil {
			return err
		}
		if err := p.p4.SetMulticastInterface(ifi); err != nil {
			return err
		}
		return p.p4.JoinGroup(ifi, p.to)
	}
	p.p6 = ipv6.NewPacketConn(p.UDPConn)
	if err := p.p6.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
		return err
	}
	if err := p.p6.SetMulticastLoopback(false); err != nil {
		return err
	}
	if err := p.p6.SetMulticastInterface(ifi); err != nil {
		return err
	}
	return p.p6.JoinGroup(ifi, p.to)
}

// buffer sets the socket's receive buffer. On a busy host the test may read a table more slowly than it arrives, and must not
// lose END, which is sent only once.
func (p *plain) buffer(bytes int) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	})
	return errors.Join(err, set)
}

// send sends a datagram to the group.
func (p *plain) send(b []byte) {
	p.t.Helper()
	if _, err := p.WriteToUDP(b, p.to); err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next datagram and its time to live.
func (p *plain) receive() ([]byte, int) {
	p.t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	var n, ttl int
	var err error
	if p.p4 != nil {
		var cm *ipv4.ControlMessage
		if n, cm, _, err = p.p4.ReadFrom(b); cm != nil {
			ttl = cm.TTL
		}
	} else {
		var cm *ipv6.ControlMessage
		if n, cm, _, err = p.p6.ReadFrom(b); cm != nil {
			ttl = cm.HopLimit
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return b[:n], ttl
}

// control reads datagrams until it receives a control message of type T, and returns its body and the message.
func control[T syncwire.Body](p *plain) (T, syncwire.Message) {
	p.t.Helper()
	for {
		b, _ := p.receive()
		if m, err := syncwire.Parse(slices.Clone(b)); err == nil {
			if body, ok := m.Body.(T); ok {
				return body, m
			}
		}
	}
}
