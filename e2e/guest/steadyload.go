package guest

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv6"
)

// steadyLoad sends packets of many UDP connections through J at a steady rate, the connections in turn, and opens new
// connections meanwhile. J's module reports a session for each packet.
type steadyLoad struct {
	conns []*net.UDPConn
	all   []ipv6.Message // to each port that each of conns has a connection to
	next  int            // the next packet's connection
	fresh *net.UDPConn   // for the new connections
	open  int            // new connections until now
}

const (
	loadSource  = 14000
	loadSources = 20
	loadPorts   = 50 // of n4's, for each source
	// loadOpens is the number of connections that are opened in a second.
	loadOpens = 100
	loadTick  = 5 * time.Millisecond
)

func newSteadyLoad(t testing.TB, top *topology) *steadyLoad {
	t.Helper()
	conns := top.sources(t, portRange(loadSource, loadSources+1))
	return &steadyLoad{conns: conns[:loadSources], fresh: conns[loadSources], all: messagesTo(loadPorts)}
}

// runningLoad is a load with a rate. It ends when it is stopped, or with the test.
type runningLoad struct {
	quit, ended chan struct{}
	sent        int
	err         error
}

// start begins to send that many packets a second. A slow machine sends fewer.
func (s *steadyLoad) start(t testing.TB, perSecond int) *runningLoad {
	b := &runningLoad{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(b.ended)
		b.err = s.run(b, perSecond)
	}()
	t.Cleanup(func() { b.end() })
	return b
}

func (s *steadyLoad) run(b *runningLoad, perSecond int) error {
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	due, opens, at := 0., 0., time.Now()
	for {
		select {
		case <-b.quit:
			return nil
		case now := <-tick.C:
			passed := min(now.Sub(at), 4*loadTick).Seconds()
			due, opens, at = due+passed*float64(perSecond), opens+passed*loadOpens, now
		}
		for ; opens >= 1 && due >= 1; opens, due = opens-1, due-1 {
			if _, err := s.fresh.WriteToUDPAddrPort([]byte("x"), dst6(uint16(firstPort+s.open))); err != nil {
				return err
			}
			s.open++
			b.sent++
		}
		for due >= 1 {
			source, port := s.next/loadPorts%loadSources, s.next%loadPorts
			n := min(int(due), loadPorts-port)
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
func (b *runningLoad) end() (int, error) {
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	<-b.ended
	return b.sent, b.err
}

// stop is end; the load must not have failed.
func (b *runningLoad) stop(t testing.TB) (sent int) {
	t.Helper()
	sent, err := b.end()
	if err != nil {
		t.Fatal(err)
	}
	return sent
}
