package guest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"joolctl/session"
)

// load is the traffic that a topology has had, and the sessions that it must have opened.
type load struct {
	sessions map[session.Proto]int
	traffic  []func()
}

// keep runs traffic that opens so many sessions, and keeps it for repetition.
func (l *load) keep(sessions map[session.Proto]int, traffic func()) {
	traffic()
	l.traffic = append(l.traffic, traffic)
	for proto, n := range sessions {
		l.sessions[proto] += n
	}
}

// repeat runs all traffic again, which opens nothing new. It does so in another order each time, so that a module that
// loses some does not lose the same again.
func (l *load) repeat() {
	for _, i := range rand.Perm(len(l.traffic)) {
		l.traffic[i]()
	}
}

// trafficOf is how many sessions of each protocol one mixedTraffic makes.
var trafficOf = map[session.Proto]int{session.TCP: 5, session.UDP: 20, session.ICMP: 5}

// mixedTraffic opens sessions of every protocol through J, other ones each
// time. n4 must echo.
func (top *topology) mixedTraffic(t testing.TB) {
	t.Helper()
	first := uint16(10000 + 100*len(top.traffic))
	var open []connection
	for _, port := range portRange(first, trafficOf[session.TCP]) {
		open = append(open, top.connect(t, port))
	}
	const ports = 5
	top.keep(trafficOf, func() {
		p := slowly()
		for _, c := range open {
			p.wait()
			c.mustEcho(t, "hello from "+c.LocalAddr().String())
		}
		top.ping(t, portRange(first, trafficOf[session.ICMP]), slowly())
		top.sendUDP(t, portRange(first, trafficOf[session.UDP]/ports), ports, slowly())
	})
}

// syncedWithin is how long sessions may take to the other side. The kernel
// keeps a batch that isn't full for up to 4 s; the machine is slow.
const syncedWithin = 30 * time.Second

// repairedWithin is how long it may take if the module loses some, a part of
// which it loses again each time that their traffic is repeated.
const repairedWithin = 2 * time.Minute

// awaitSynced waits until K's "nat" has the sessions of J's, which are those
// that the traffic has opened.
func (top *topology) awaitSynced(t testing.TB) {
	t.Helper()
	top.awaitSame(t, "nat", top.sessions, func([]session.Session) { top.repeat() })
}

// awaitSame waits until an instance has the same sessions in J and in K, so
// many of each protocol. A module that loses some is helped by more traffic of the
// sessions that differ.
func (top *topology) awaitSame(t testing.TB, instance string, want map[session.Proto]int, more func([]session.Session)) {
	t.Helper()
	// The last packets may still be on their way to J, or may have been lost before it.
	var before map[session.Proto]int
	eventually(t, replyWithin, "all traffic has gone through J", func() string {
		got := count(top.j.sessions(t, instance))
		if maps.Equal(got, want) {
			return ""
		}
		if maps.Equal(got, before) {
			top.repeat()
		}
		before = got
		return fmt.Sprintf("%s has sessions %v in J, want %v", instance, got, want)
	})
	limit, lossy := syncedWithin, losesBursts(module(t))
	if lossy {
		limit = repairedWithin
	}
	eventually(t, limit, fmt.Sprintf("%s has the same sessions in %s", instance, top.k.name), func() string {
		sessions, differences := unlike(top.j.sessions(t, instance), top.k.sessions(t, instance))
		if len(sessions) > 0 && lossy {
			more(sessions)
		}
		return differences
	})
}
