package guest

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

const (
	probeSource = 10000 // n6's port
	probePorts  = 1024  // n4's first one
)

// probe opens sessions through J at a steady pace, each to another port of n4's, and knows when it opened which.
type probe struct {
	mu     sync.Mutex
	opened []time.Time // by place: the port is probePorts more
	src4   netip.AddrPort
	pauses atomic.Bool
}

// startProbe starts one, which ends with the test.
func (top *topology) startProbe(t testing.TB, every time.Duration) *probe {
	t.Helper()
	var c *net.UDPConn
	top.n6.do(t, func() (err error) {
		c, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr6), probeSource)))
		return err
	})
	p := &probe{}
	stop, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-ended; c.Close() })
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if !p.pauses.Load() {
				p.open(c)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return p
}

// open opens the next session. That it can't be opened is part of some faults.
func (p *probe) open(c *net.UDPConn) {
	p.mu.Lock()
	place := len(p.opened)
	if place == 1<<16-probePorts {
		p.mu.Unlock()
		return
	}
	p.opened = append(p.opened, time.Now())
	p.mu.Unlock()
	_, _ = c.WriteToUDPAddrPort([]byte("x"), dst6(uint16(probePorts+place)))
}

// next returns the number of the session that is opened next.
func (p *probe) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.opened)
}

// openedAt returns when the session of that number was opened.
func (p *probe) openedAt(place int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened[place]
}

// placeOf returns the number of a session, or false if it is not the probe's.
func placeOf(s session.Session) (int, bool) {
	if s.Proto != session.UDP || s.Src6.Port() != probeSource {
		return 0, false
	}
	return int(s.Dst4.Port()) - probePorts, true
}

// crossed reports whether K has one of the probe's sessions with a number of at least from. All of them have the same
// address on J's pool, so they are adjacent in the table, and the table need not be read from its beginning.
func (top *topology) crossed(t testing.TB, p *probe, from int) bool {
	t.Helper()
	if !p.src4.IsValid() {
		for _, s := range top.j.sessions(t, "nat") {
			if _, ok := placeOf(s); ok {
				p.src4 = s.Src4
				break
			}
		}
		if !p.src4.IsValid() {
			return false
		}
	}
	behind := session.Session{
		Proto: session.UDP,
		Src6:  netip.AddrPortFrom(netip.MustParseAddr(addr6), probeSource),
		Dst6:  dst6(uint16(probePorts + from - 1)),
		Src4:  p.src4,
		Dst4:  netip.AddrPortFrom(netip.MustParseAddr(addr4), uint16(probePorts+from-1)),
	}
	found := false
	top.k.onInstance(t, "nat", func(c *joolnl.Conn) error {
		page, _, err := c.AskSessions(nil, session.UDP, &behind)
		for _, s := range page {
			if place, ok := placeOf(s); ok && place >= from {
				found = true
			}
		}
		return err
	})
	return found
}

// awaitCrossing waits until a session that is opened from now on is at K.
func (top *topology) awaitCrossing(t testing.TB, p *probe, limit time.Duration) (time.Duration, bool) {
	t.Helper()
	begin, from := time.Now(), p.next()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(begin) < limit {
		if top.crossed(t, p, from) {
			return time.Since(begin), true
		}
		<-tick.C
	}
	return 0, false
}

// expiresSoon is the rest of life below which sessions are not compared: two hosts need not expire them at once.
const expiresSoon = 20 * time.Second

// ends identify a session without its mask.
type ends struct {
	proto      session.Proto
	src6, dst4 netip.AddrPort
}

func endsOf(s session.Session) ends { return ends{s.Proto, s.Src6, s.Dst4} }

// missing are the sessions that J has and K lacks; but not those of the probe's from a place on, nor those that
// are about to expire.
func (top *topology) missing(t testing.TB, before int) (missing []session.Session) {
	t.Helper()
	inJ := top.j.sessions(t, "nat")
	inK := make(map[ends]bool)
	for _, s := range top.k.sessions(t, "nat") {
		inK[endsOf(s)] = true
	}
	for _, s := range inJ {
		if place, ok := placeOf(s); ok && place >= before || s.Expires < expiresSoon {
			continue
		}
		if !inK[endsOf(s)] {
			missing = append(missing, s)
		}
	}
	return missing
}
