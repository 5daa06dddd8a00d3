package guest

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"joolctl/session"
)

const (
	// callWithin is how long an echo may take before its connection counts as broken. A failover takes up to 4 s, and the
	// pause between two retransmissions of a segment doubles each time.
	callWithin = 15 * time.Second
	// callEvery is the pause of a busy call between two echoes.
	callEvery = 200 * time.Millisecond
	// firstCall is the source port of the first call.
	firstCall = 32000
)

// calls are TCP connections that have to survive failovers. One half is busy all the time, also while no host serves. The
// others are quiet except after each change, so that no packet restores a session that a host lacks.
type calls struct {
	top            *topology
	to             []netip.AddrPort // the addresses of n4's echo, one for each instance
	open           []*call
	opened, broken int
}

// call is one of the connections.
type call struct {
	connection
	port        uint16
	busy        bool
	quit, ended chan struct{} // of a busy call

	mu     sync.Mutex
	echoes int // of a busy call
	err    error
}

// newCalls serves the echo. The calls have the given addresses of n4.
func newCalls(t testing.TB, top *topology, addresses ...string) *calls {
	t.Helper()
	top.serveEcho(t)
	c := &calls{top: top}
	for _, a := range addresses {
		c.to = append(c.to, netip.AddrPortFrom(netip.MustParseAddr(a), echoPort))
	}
	return c
}

// more opens a busy and a quiet call through each instance.
func (c *calls) more(t testing.TB) {
	t.Helper()
	for _, to := range c.to {
		for _, busy := range []bool{true, false} {
			port := uint16(firstCall + c.opened)
			one := &call{connection: c.top.connectTo(t, port, to), port: port, busy: busy}
			one.mustEcho(t, "hello")
			if busy {
				one.quit, one.ended = make(chan struct{}), make(chan struct{})
				go one.talk()
				t.Cleanup(one.hangUp)
			}
			c.open = append(c.open, one)
			c.opened++
		}
	}
}

// talk echoes until the call breaks or is over.
func (c *call) talk() {
	defer close(c.ended)
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for {
		err := c.echo("busy", callWithin)
		c.mu.Lock()
		c.echoes++
		c.err = err
		c.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-c.quit:
			return
		case <-tick.C:
		}
	}
}

// hangUp ends a busy call.
func (c *call) hangUp() {
	close(c.quit)
	_ = c.Close() // interrupts an echo
	<-c.ended
}

// works reports whether an echo that begins now comes back.
func (c *call) works() error {
	if !c.busy {
		return c.echo("quiet", callWithin)
	}
	state := func() (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.echoes, c.err
	}
	before, _ := state()
	tick := time.NewTicker(callEvery)
	defer tick.Stop()
	for { // an echo ends within callWithin, with or without an error
		if echoes, err := state(); err != nil || echoes >= before+2 {
			return err
		}
		<-tick.C
	}
}

// check looks which calls still work, and forgets the others.
func (c *calls) check(t testing.TB, when string) {
	t.Helper()
	errs := make([]error, len(c.open))
	var all sync.WaitGroup
	for i, one := range c.open {
		all.Go(func() { errs[i] = one.works() })
	}
	all.Wait()
	var left []*call
	for i, one := range c.open {
		if errs[i] == nil {
			left = append(left, one)
			continue
		}
		c.broken++
		t.Logf("%s: the connection from port %d (busy: %v) is broken: %v", when, one.port, one.busy, errs[i])
	}
	c.open = left
}

// String words the result.
func (c *calls) String() string { return fmt.Sprintf("%d of %d connections broke", c.broken, c.opened) }

// survive has hosts fail and return, ten times or twice in the short form. switchover returns the host that fails in a
// round, and the host that serves meanwhile. No connection may break, except with C joold.
func (c *calls) survive(t *testing.T, switchover func(round int) (fails, stays *gateway)) {
	t.Helper()
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	var outages []time.Duration
	ours := false
	for round := range rounds {
		fails, stays := switchover(round)
		ours = fails.kind.ours()
		c.more(t)
		c.awaitStored(t, stays)
		died := time.Now()
		fails.crash(t)
		stays.awaitServing(t)
		outages = append(outages, time.Since(died))
		c.check(t, fmt.Sprintf("failover %d", round+1))
		fails.boot(t)
		fails.awaitServing(t)
		c.check(t, fmt.Sprintf("failback %d", round+1))
	}
	t.Logf("%d failovers and %[1]d failbacks: %[2]v; after a crash, all traffic went through the other host within %[3]v", rounds, c, rounded(slices.Max(outages)))
	if ours && c.broken > 0 {
		t.Errorf("%v", c)
	}
}

// awaitStored waits until a host has the sessions of all calls. C joold may never have some of them.
func (c *calls) awaitStored(t testing.TB, h *gateway) {
	t.Helper()
	const limit = 15 * time.Second
	missing := func() int {
		stored := make(map[uint16]bool)
		for _, p := range h.pairs {
			for _, s := range p.in.sessions(t, p.instance.name) {
				stored[s.Src6.Port()] = stored[s.Src6.Port()] || s.Proto == session.TCP && s.State == session.Established
			}
		}
		n := 0
		for _, one := range c.open {
			if !stored[one.port] {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(limit); ; <-time.After(pollEvery) {
		n := missing()
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			if h.kind.ours() {
				t.Fatalf("%s lacks %d of %d connections after %v", h.name, n, len(c.open), limit)
			}
			t.Logf("%s lacks %d of %d connections after %v", h.name, n, len(c.open), limit)
			return
		}
	}
}
