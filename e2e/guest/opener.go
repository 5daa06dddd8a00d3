package guest

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// opener opens UDP sessions through J, one after the other, until it is stopped.
type opener struct {
	quit  chan struct{}
	ended chan struct{}
	// sent and err are there once it has ended: a packet for each session.
	sent int
	err  error
}

// sources are sockets on ports of n6's. They are closed when the test ends.
func (top *topology) sources(t testing.TB, ports []uint16) []*net.UDPConn {
	t.Helper()
	conns := make([]*net.UDPConn, len(ports))
	top.n6.do(t, func() (err error) {
		for i, port := range ports {
			from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr6), port))
			if conns[i], err = net.ListenUDP("udp6", from); err != nil {
				return err
			}
			t.Cleanup(func() { conns[i].Close() })
		}
		return nil
	})
	return conns
}

// openSteadily starts an opener, which opens that many sessions a second with one packet each. A slow machine opens
// fewer sessions. It does not open the others later in a burst.
func (top *topology) openSteadily(t testing.TB, perSecond int) *opener {
	t.Helper()
	const sources, mostTicks = 40, 200 // more of them wear the machine out
	ticks := min(perSecond, mostTicks)
	conns := top.sources(t, portRange(10000, sources))
	o := &opener{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		tick := time.NewTicker(time.Second / time.Duration(ticks))
		defer tick.Stop()
		for o.err == nil {
			select {
			case <-o.quit:
				return
			case <-tick.C:
			}
			for i := 0; i < perSecond/ticks && o.err == nil; i++ {
				_, o.err = conns[o.sent%sources].WriteToUDPAddrPort([]byte("x"), dst6(uint16(firstPort+o.sent/sources)))
				o.sent++
			}
		}
	}()
	t.Cleanup(func() { o.stop() })
	return o
}

// stop ends it, and returns how many packets it has sent.
func (o *opener) stop() (int, error) {
	select {
	case <-o.quit:
	default:
		close(o.quit)
	}
	<-o.ended
	return o.sent, o.err
}

// openedAll stops an opener and waits until J has its sessions and K has J's.
func (top *topology) openedAll(t testing.TB, o *opener) {
	t.Helper()
	sent, err := o.stop()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, top.k.name+" has every session of "+top.j.name, func() string {
		return diff(top.j.sessions(t, "nat"), top.k.sessions(t, "nat"))
	})
	got := top.j.sessionCount(t, "nat")
	t.Logf("%s: %d packets, %d sessions", top.j.name, sent, got)
	if got != sent || got == 0 {
		t.Errorf("%s has %d sessions after %d packets that open one each", top.j.name, got, sent)
	}
}
