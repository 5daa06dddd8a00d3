package guest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// liveTraffic is a pace at which sessions are opened.
type liveTraffic struct {
	every time.Duration // average gap between two bursts
	burst int           // sessions opened back to back
	n     int           // sessions per round
	short int           // sessions per round with -test.short
}

var liveTraffics = map[string]liveTraffic{
	"1/s":     {time.Second, 1, 25, 5},
	"10/s":    {100 * time.Millisecond, 1, 120, 30},
	"100/s":   {10 * time.Millisecond, 1, 700, 200},
	"1000/s":  {time.Millisecond, 1, 4000, 1000},
	LiveBurst: {750 * time.Millisecond, 5, 120, 20},
}

// bursts reports whether sessions come too close together for a module that loses bursts.
func (l liveTraffic) bursts() bool { return l.burst > 1 || l.every < 5*time.Millisecond }

// gap is the time until the next burst. It is random, because the module's timers are periodic.
func (l liveTraffic) gap() time.Duration {
	return l.every/2 + rand.N(l.every)
}

// liveOpener opens new UDP sessions through J.
type liveOpener struct {
	sources []*net.UDPConn
	next    int // place of the next session, which determines its ports
}

// liveSource is the opener's first source port.
const liveSource = 12000

// newLiveOpener opens the sockets.
func (top *topology) newLiveOpener(t testing.TB) *liveOpener {
	t.Helper()
	return &liveOpener{sources: top.sources(t, portRange(liveSource, 40))}
}

// open opens the next session and returns the time before its packet was sent.
func (o *liveOpener) open() (time.Time, error) {
	c, port := o.sources[o.next%len(o.sources)], uint16(firstPort+o.next/len(o.sources))
	o.next++
	at := time.Now()
	_, err := c.WriteToUDPAddrPort([]byte("x"), dst6(port))
	return at, err
}

// placeOf is the place of a session of the opener's.
func (o *liveOpener) placeOf(s session.Session) int {
	return int(s.Dst4.Port()-firstPort)*len(o.sources) + int(s.Src6.Port()-liveSource)
}

// owns reports whether the opener has opened a session.
func (o *liveOpener) owns(s session.Session) bool {
	return s.Proto == session.UDP && int(s.Src6.Port())-liveSource < len(o.sources) && s.Src6.Port() >= liveSource
}

// progress tells the poller how many sessions have been opened.
type progress struct {
	opened atomic.Int64
	wake   chan struct{} // receives after each burst
	over   chan struct{} // closed after the last burst
}

// openPaced opens sessions at a pace. It does not catch up after a stall.
func (o *liveOpener) openPaced(l liveTraffic, p *progress) (opened []time.Time, err error) {
	precise()
	due := time.Now()
	for len(opened) < l.n {
		sleepUntil(due)
		for range l.burst {
			at, err := o.open()
			if err != nil {
				return opened, err
			}
			opened = append(opened, at)
			p.opened.Add(1)
		}
		select {
		case p.wake <- struct{}{}:
		default:
		}
		due = due.Add(l.gap())
		if now := time.Now(); now.After(due.Add(l.every)) {
			due = now
		}
	}
	return opened, nil
}

// arrivals has the times at which a poll of K found one more session.
type arrivals struct {
	at []time.Time
	// unseen sums up the time since the poll before, for each arrival.
	unseen time.Duration
}

const (
	// pollGap is the pause between two polls of K. Nobody polls while no session is under way.
	pollGap = time.Millisecond
	// lostAfter is longer than the module queues a session, and longer than joolctl takes to repair a loss.
	lostAfter = 12 * time.Second
)

// watch polls K's number of sessions, which was base before, until all sessions have arrived or none has arrived for
// lostAfter. The caller must be on K's thread.
func (a *arrivals) watch(c *joolnl.Conn, base int, p *progress) error {
	changed, looked := time.Now(), time.Now()
	for {
		for len(a.at) >= int(p.opened.Load()) {
			select {
			case <-p.wake:
			case <-p.over:
				if len(a.at) >= int(p.opened.Load()) {
					return nil
				}
			}
			looked = time.Now()
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
		if looked = now; now.Sub(changed) > lostAfter && p.isOver() {
			return nil
		}
		sleepUntil(now.Add(pollGap))
	}
}

func (p *progress) isOver() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// latency opens sessions and measures the time until K's kernel has them.
func (h *liveHosts) latency(t testing.TB, l liveTraffic) LiveLatency {
	t.Helper()
	var (
		opened  []time.Time
		arrived arrivals
		failed  error
	)
	base, first := h.top.k.sessionCount(t, "nat"), h.opener.next
	p := &progress{wake: make(chan struct{}, 1), over: make(chan struct{})}
	stalls, packets := startStallMeter(), h.top.startForwardMeter(t)
	go func() {
		defer close(p.over)
		opened, failed = h.opener.openPaced(l, p)
	}()
	h.top.k.onInstance(t, "nat", func(c *joolnl.Conn) error { return arrived.watch(c, base, p) })
	m := LiveLatency{Opened: len(opened), Stalls: stalls.stop()}
	if failed != nil {
		t.Fatal(failed)
	}
	m.Rate = float64(len(opened)-1) / opened[len(opened)-1].Sub(opened[0]).Seconds()
	forwarded := packets.stop(t)
	if len(forwarded) != len(opened) {
		t.Fatalf("%d packets of %d have reached n4", len(forwarded), len(opened))
	}
	places := h.arrived(t, first, len(opened), len(arrived.at))
	m.Lost = m.Opened - len(places)
	for i, place := range places {
		from, at := opened[place], arrived.at[i]
		// The packet's timestamp has no monotonic clock.
		m.Samples = append(m.Samples, LiveSample{Took: at.Sub(from), Forwarded: forwarded[place].Sub(from.Round(0)), Stall: stalls.within(from, at)})
	}
	if len(arrived.at) > 0 {
		m.Resolution = arrived.unseen / time.Duration(len(arrived.at))
	}
	return m
}

// arrived returns which of the opened sessions K has. Sessions arrive in the order in which they were opened, so the n-th
// arrival belongs to the n-th of these.
func (h *liveHosts) arrived(t testing.TB, first, opened, arrived int) (places []int) {
	t.Helper()
	has := make(map[int]bool)
	if arrived < opened {
		for _, s := range h.top.k.sessions(t, "nat") {
			if h.opener.owns(s) {
				has[h.opener.placeOf(s)-first] = true
			}
		}
	}
	for place := range opened {
		if arrived == opened || has[place] {
			places = append(places, place)
		}
	}
	if len(places) != arrived {
		t.Fatalf("K has %d of the sessions, but %d were seen to arrive", len(places), arrived)
	}
	return places
}

// String is for the test's log.
func (m LiveLatency) String() string {
	text := fmt.Sprintf("%s: %d opened at %.1f/s, %d lost", m.LiveRun, m.Opened, m.Rate, m.Lost)
	if len(m.Samples) > 0 {
		took := m.Times()
		text += fmt.Sprintf(", p50 %v, p99 %v, longest %v", tenths(quantile(took, 0.5)), tenths(quantile(took, 0.99)), tenths(took[len(took)-1]))
	}
	return text + fmt.Sprintf("; resolution %v, stalls: p50 %v, p99 %v, longest %v", m.Resolution, m.Stalls.P50, m.Stalls.P99, m.Stalls.Longest)
}
