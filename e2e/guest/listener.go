package guest

import (
	"net"
	"net/netip"
	"testing"

	"joolctl/session"
	"joolctl/syncwire"
)

// listenGroup opens a socket that receives the datagrams of the IPv6 group.
func (n *namespace) listenGroup(t testing.TB) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	n.do(t, func() error {
		link, err := net.InterfaceByName(syncLink)
		if err != nil {
			return err
		}
		group := netip.AddrPortFrom(netip.MustParseAddr(group6), groupPort)
		c, err = net.ListenMulticastUDP("udp6", link, net.UDPAddrFromAddrPort(group))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// listener listens to a group, and counts the control messages of joolctl's workers.
type listener struct {
	socket    *net.UDPConn
	ended     chan struct{}
	messages  map[syncwire.Type]int // whole ones
	datagrams map[syncwire.Kind]int // with sessions and a trailer
	senders   map[syncwire.ID]bool
}

// hear listens to the IPv6 group until the listener is stopped, or the test ends.
func (n *namespace) hear(t testing.TB) *listener {
	t.Helper()
	e := &listener{
		socket:    n.listenGroup(t),
		ended:     make(chan struct{}),
		messages:  make(map[syncwire.Type]int),
		datagrams: make(map[syncwire.Kind]int),
		senders:   make(map[syncwire.ID]bool),
	}
	format := module(t).Format()
	go func() {
		defer close(e.ended)
		b := make([]byte, 2048)
		for {
			n, err := e.socket.Read(b)
			if err != nil {
				return
			}
			e.count(b[:n], format)
		}
	}()
	return e
}

func (e *listener) count(b []byte, format session.Format) {
	if m, err := syncwire.Parse(b); err == nil {
		e.messages[syncwire.Type(b[3])]++
		e.senders[m.Sender] = true
		return
	}
	_, behind, err := syncwire.Sessions(b, format)
	if err != nil {
		return
	}
	if trailer, ok := syncwire.ParseTrailer(behind); ok {
		e.datagrams[trailer.Kind]++
	}
}

// stop ends the listener. Its counts may be read after that.
func (e *listener) stop() {
	e.socket.Close()
	<-e.ended
}
