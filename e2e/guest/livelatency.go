package guest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/joolnl"
)

// liveTraffic is sessions that are opened at a pace.
type liveTraffic struct {
	name  string
	every time.Duration // on average: between two sessions, or two bursts
	burst int           // sessions back to back
	n     int           // sessions in all
}

// liveTraffics are those of the full benchmark, and how many sessions a round opens.
var liveTraffics = []liveTraffic{
	{"1/s", time.Second, 1, 25},
	{"10/s", 100 * time.Millisecond, 1, 120},
	{"100/s", 10 * time.Millisecond, 1, 700},
	{"1000/s", time.Millisecond, 1, 4000},
	{"five at once", 750 * time.Millisecond, 5, 120},
}

// gap is the time to the next session or burst, half of every to one and a half: the module's timers are not to be met at the same point each time.
func (l liveTraffic) gap() time.Duration {
	return l.every/2 + rand.N(l.every)
}

// liveOpener opens UDP sessions through J, each once.
type liveOpener struct {
	sources []*net.UDPConn
	next    int // the place of the next one: of its source and its destination port
}

// liveSource is the first of its source ports.
const liveSource = 12000

// newLiveOpener makes one.
func (top *topology) newLiveOpener(t testing.TB) *liveOpener {
	t.Helper()
	return &liveOpener{sources: top.sources(t, portRange(liveSource, 40))}
}

// open opens the next session, and returns the moment before its packet.
func (o *liveOpener) open() (time.Time, error) {
	c, port := o.sources[o.next%len(o.sources)], uint16(firstPort+o.next/len(o.sources))
	o.next++
	at := time.Now()
	_, err := c.WriteToUDPAddrPort([]byte("x"), dst6(port))
	return at, err
}

// placeOf is the place of a session that the opener has opened.
func (o *liveOpener) placeOf(s joolnl.Session) int {
	return int(s.Dst4.Port()-firstPort)*len(o.sources) + int(s.Src6.Port()-liveSource)
}

// owns says whether the opener has opened a session.
func (o *liveOpener) owns(s joolnl.Session) bool {
	return s.Proto == joolnl.UDP && int(s.Src6.Port())-liveSource < len(o.sources) && s.Src6.Port() >= liveSource
}

// openPaced opens sessions at their pace, and counts them as it does. After a stall it goes on from where it is.
func (o *liveOpener) openPaced(l liveTraffic, count *atomic.Int64) (opened []time.Time, err error) {
	precise()
	due := time.Now()
	for len(opened) < l.n {
		sleepUntil(due)
		for range l.burst {
			count.Add(1) // before: the standby must be looked at from now on
			at, err := o.open()
			if err != nil {
				return opened, err
			}
			opened = append(opened, at)
		}
		due = due.Add(l.gap())
		if now := time.Now(); now.After(due.Add(l.every)) {
			due = now
		}
	}
	return opened, nil
}

// arrivals are the moments at which K was first seen to have one more session.
type arrivals struct {
	at []time.Time
	// unseen is, for all together, the time since K had been looked at before.
	unseen time.Duration
}

// lookEvery is how often K is asked for its number of sessions while one is on its way.
const lookEvery = time.Millisecond

// lostAfter is how long sessions may take that the module still holds, and those that joolctl finds itself.
const lostAfter = 12 * time.Second

// watch asks K for its number of sessions, which was base, until as many have arrived as opened says, or none has for long after the last was opened.
// To be called on K's thread.
func (a *arrivals) watch(c *joolnl.Conn, base int, opened *atomic.Int64, done <-chan struct{}) error {
	changed, looked, due := time.Now(), time.Now(), time.Now()
	over := false
	for {
		due = due.Add(lookEvery)
		if now := time.Now(); due.Before(now) {
			due = now.Add(lookEvery)
		}
		sleepUntil(due)
		if !over {
			select {
			case <-done:
				over, changed = true, time.Now()
			default:
			}
		}
		if len(a.at) >= int(opened.Load()) { // nothing is on its way: the module is left alone
			if over {
				return nil
			}
			looked = time.Now()
			continue
		}
		stats, err := c.AskStats()
		if err != nil {
			return err
		}
		now := time.Now()
		for n := int(stats.Get(joolnl.StatSessions)) - base; len(a.at) < n; {
			a.at = append(a.at, now)
			a.unseen += now.Sub(looked)
			changed = now
		}
		looked = now
		if over && time.Since(changed) > lostAfter {
			return nil
		}
	}
}

// latency opens sessions and measures how long they take to K's kernel.
func (top *topology) latency(t testing.TB, o *liveOpener, l liveTraffic) LiveLatency {
	t.Helper()
	base, first := top.k.sessionCount(t, "nat"), o.next
	var (
		opened  []time.Time
		count   atomic.Int64
		arrived arrivals
		failed  error
	)
	done := make(chan struct{})
	stalls := startStallMeter()
	go func() {
		defer close(done)
		opened, failed = o.openPaced(l, &count)
	}()
	top.k.onInstance(t, "nat", func(c *joolnl.Conn) error { return arrived.watch(c, base, &count, done) })
	m := LiveLatency{Opened: len(opened), Stalls: stalls.stop()}
	if failed != nil {
		t.Fatal(failed)
	}
	m.Rate = float64(len(opened)-1) / opened[len(opened)-1].Sub(opened[0]).Seconds()
	opened = top.without(t, o, first, opened, len(arrived.at))
	m.Lost = m.Opened - len(opened)
	for i, at := range arrived.at[:len(opened)] {
		m.Samples = append(m.Samples, LiveSample{Took: at.Sub(opened[i]), Stall: stalls.within(opened[i], at)})
	}
	if len(arrived.at) > 0 {
		m.Resolution = arrived.unseen / time.Duration(len(arrived.at))
	}
	return m
}

// without leaves out the sessions that K lacks, if fewer than all have arrived: the others have come in the order of their opening.
func (top *topology) without(t testing.TB, o *liveOpener, first int, opened []time.Time, arrived int) []time.Time {
	t.Helper()
	if arrived == len(opened) {
		return opened
	}
	has := make(map[int]bool)
	for _, s := range top.k.sessions(t, "nat") {
		if o.owns(s) {
			has[o.placeOf(s)] = true
		}
	}
	var kept []time.Time
	for i, at := range opened {
		if has[first+i] {
			kept = append(kept, at)
		}
	}
	if len(kept) != arrived {
		t.Fatalf("K has %d of the sessions, but %d were seen to arrive", len(kept), arrived)
	}
	return kept
}

// String words it for the test's log.
func (m LiveLatency) String() string {
	text := fmt.Sprintf("round %d, %s, %s: %d opened at %.1f/s, %d lost", m.Round, m.Variant, m.Traffic, m.Opened, m.Rate, m.Lost)
	if len(m.Samples) > 0 {
		took := m.sorted()
		text += fmt.Sprintf(", p50 %v, p99 %v, longest %v", tenths(quantile(took, 0.5)), tenths(quantile(took, 0.99)), tenths(took[len(took)-1]))
	}
	return text + fmt.Sprintf("; resolution %v, stalls: p50 %v, p99 %v, longest %v", m.Resolution, m.Stalls.P50, m.Stalls.P99, m.Stalls.Longest)
}
