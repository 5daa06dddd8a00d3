package guest

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv6"
)

// storm sends packets of many UDP connections through J at a steady rate, the connections in turn, and opens new
// connections meanwhile. J's module reports a session for each packet.
type storm struct {
	conns []*net.UDPConn
	all   []ipv6.Message // to each port that each of conns has a connection to
	next  int            // the next packet's connection
	fresh *net.UDPConn   // for the new connections
	open  int            // new connections until now
}

const (
	stormSource  = 14000
	stormSources = 20
	stormPorts   = 50 // of n4's, for each source
	// stormOpens is the number of connections that are opened in a second.
	stormOpens = 100
	stormTick  = 5 * time.Millisecond
)

func newStorm(t testing.TB, top *topology) *storm {
	t.Helper()
	conns := top.sources(t, portRange(stormSource, stormSources+1))
	return &storm{conns: conns[:stormSources], fresh: conns[stormSources], all: messagesTo(stormPorts)}
}

// blowing is a storm with a rate. It ends when it is stopped, or with the test.
type blowing struct {
	quit, ended chan struct{}
	sent        int
	err         error
}

// start begins to send that many packets a second. A slow machine sends fewer.
func (s *storm) start(t testing.TB, perSecond int) *blowing {
	b := &blowing{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		b.err = s.blow(b, perSecond)
	}()
	t.Cleanup(func() { b.end() })
	return b
}

func (s *storm) blow(b *blowing, perSecond int) error {
	tick := time.NewTicker(stormTick)
	defer tick.Stop()
	due, opens, at := 0., 0., time.Now()
	for {
		select {
		case <-b.quit:
			return nil
		case now := <-tick.C:
			passed := min(now.Sub(at), 4*stormTick).Seconds()
			due, opens, at = due+passed*float64(perSecond), opens+passed*stormOpens, now
		}
		for ; opens >= 1 && due >= 1; opens, due = opens-1, due-1 {
			if _, err := s.fresh.WriteToUDPAddrPort([]byte("x"), dst6(uint16(firstPort+s.open))); err != nil {
				return err
			}
			s.open++
			b.sent++
		}
		for due >= 1 {
			source, port := s.next/stormPorts%stormSources, s.next%stormPorts
			n := min(int(due), stormPorts-port)
			if err := writeAll(s.conns[source], s.all[port:port+n]); err != nil {
				return err
			}
			s.next += n
			b.sent += n
			due -= float64(n)
		}
	}
}

// end stops it, and returns how many packets it has sent.
func (b *blowing) end() (int, error) {
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	<-b.ended
	return b.sent, b.err
}

// stop is end; the storm must not have failed.
func (b *blowing) stop(t testing.TB) (sent int) {
	t.Helper()
	sent, err := b.end()
	if err != nil {
		t.Fatal(err)
	}
	return sent
}
