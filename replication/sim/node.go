package sim

import (
	"math/rand/v2"
	"time"
)

// Delays are the times that a host needs for its work.
type Delays struct {
	WakeUp     Span // from an input to the Replica that sleeps
	Page       Span // to read a page of the table
	Background Span // for a job
}

// Usage counts the work of a host's Replicas since the start.
type Usage struct {
	Datagrams, Bytes int // sent
	Adds             int // JOOLD_ADDs
	Pages            int // of the table, read or looked up in
	Syncs            int // full syncs that began to arrive
	Kept             int // sessions that the Replica keeps in memory; not since the start, but now
}

// Node is one host: its module, its sockets, and the Replica that runs on it, if one runs.
type Node struct {
	ID     int
	Module *Module
	Usage  Usage

	clock   *Clock
	trace   *Trace
	network *Network
	rand    *rand.Rand
	seed    uint64
	delays  Delays
	buffer  int // bytes that each socket holds

	replica     Replica
	env         *Env
	upstream    bool      // the Replica is upstream's joold
	since       time.Time // when the Replica started
	until       time.Time // when the last Replica ended
	runs        int
	open        bool // the sockets exist
	stalled     int  // stalls that are in force
	stalledFrom time.Time
	stalledTo   time.Time // of the last stall
	turned      time.Time // when the Replica had its last turn
	moved       time.Time // when the Replica last learned of another multicast group
	reports     socket[[]byte]
	datagrams   socket[Datagram]
	overrun     bool   // reports were lost in the netlink socket
	toLose      int    // reports that are yet to be lost there
	pages       []Span // how long it takes to read a page while the host advertises
	deferred    []func(time.Time)
	drain, wake *Event
	verdict     Verdict
	phase       string
	changed     func(*Node) // the phase or the verdict has changed
	receiving   string      // the phase in which the Replica receives a full sync
	received    time.Time   // when it last entered that
	completed   func(*Node) // the answer has become yes
}

// socket is a receive buffer.
type socket[T any] struct {
	waiting []T
	bytes   int
}

// put keeps an item, or returns false if there is no room.
func (s *socket[T]) put(item T, bytes, limit int) bool {
	if s.bytes+bytes > limit {
		return false
	}
	s.waiting = append(s.waiting, item)
	s.bytes += bytes
	return true
}

// take returns what waits.
func (s *socket[T]) take() []T {
	items := s.waiting
	*s = socket[T]{}
	return items
}

// Running reports whether a Replica runs.
func (n *Node) Running() bool { return n.replica != nil }

// Stalled reports whether the Replica does not get the processor.
func (n *Node) Stalled() bool { return n.stalled > 0 }

// awake reports whether the Replica has had a turn since the last stall, so that its verdict is its own.
func (n *Node) awake() bool {
	return !n.Stalled() && (n.stalledTo.IsZero() || n.turned.After(n.stalledTo))
}

// stalledDuring reports whether the Replica did not get the processor at a moment, in its last stall.
func (n *Node) stalledDuring(at time.Time) bool {
	return !at.Before(n.stalledFrom) && at.Before(n.stalledTo)
}

// Upstream reports whether the Replica is upstream's joold.
func (n *Node) Upstream() bool { return n.upstream }

// Replica returns the Replica that runs; nil: none.
func (n *Node) Replica() Replica { return n.replica }

// kept returns how many sessions the Replica keeps in memory, if it says that.
func (n *Node) kept() int {
	if r, says := n.replica.(interface{ Kept() int }); says {
		return r.Kept()
	}
	return 0
}

// Verdict returns the Replica's verdict after its last turn.
func (n *Node) Verdict() Verdict { return n.verdict }

// start runs a new Replica.
func (n *Node) start(make Factory, upstream bool, kept []byte) {
	if n.replica != nil {
		return
	}
	now := n.clock.Now()
	n.runs++
	n.trace.Event(n.ID, "starts", kept, int64(n.runs))
	n.env = &Env{Host: n.ID, Rand: stream(n.seed, "replica", n.ID, n.runs), node: n}
	n.replica, n.upstream, n.since, n.open = make(n.env), upstream, now, true
	n.Module.Upstream = upstream
	n.verdict, n.phase = Verdict{}, ""
	n.enter(func(now time.Time) {
		n.replica.Start(now, kept)
		if !n.Module.Gone() { // else no worker runs
			n.deliverReports(now)
		}
	})
	n.schedule()
}

// stop ends the Replica in good order. Its sockets stay open if keepSockets.
func (n *Node) stop(keepSockets bool) (kept []byte) {
	if n.replica == nil {
		return nil
	}
	if n.Stalled() {
		n.kill()
		return nil
	}
	kept = n.replica.Stop(n.clock.Now())
	n.trace.Event(n.ID, "stops", kept)
	n.end(keepSockets)
	return kept
}

// kill ends the Replica without a word.
func (n *Node) kill() {
	if n.replica != nil {
		n.trace.Event(n.ID, "dies", nil)
		n.end(false)
	}
}

func (n *Node) end(keepSockets bool) {
	n.env.dead = true
	n.replica, n.env, n.deferred = nil, nil, nil
	n.until = n.clock.Now()
	n.wake.Cancel()
	if !keepSockets {
		n.closeSockets()
	}
	n.verdict, n.phase = Verdict{}, ""
	n.changed(n)
}

func (n *Node) closeSockets() {
	n.open, n.overrun = false, false
	n.reports.take()
	n.datagrams.take()
}

// stall keeps the processor from the Replica until the returned function is called.
func (n *Node) stall() (resume func()) {
	if n.stalled++; n.stalled == 1 {
		n.stalledFrom = n.clock.Now()
	}
	return func() {
		if n.stalled--; n.stalled == 0 {
			n.stalledTo = n.clock.Now()
			n.schedule()
		}
	}
}

// advertise has the Replica send its whole table. Until the returned function is called, reading a page takes up to page.
func (n *Node) advertise(page time.Duration) (undo func()) {
	n.pages = append(n.pages, Span{page / 2, page})
	n.enter(func(now time.Time) {
		n.trace.Event(n.ID, "advertises", nil)
		n.replica.Advertise(now)
	})
	return func() { n.pages = n.pages[1:] }
}

// pageDelay draws how long it takes to read a page of the table.
func (n *Node) pageDelay() time.Duration {
	if last := len(n.pages) - 1; last >= 0 {
		return n.pages[last].draw(n.rand)
	}
	return n.delays.Page.draw(n.rand)
}

// fromModule receives a report.
func (n *Node) fromModule(entries []byte) {
	n.trace.Event(n.ID, "reports", entries)
	if !n.open {
		return
	}
	if n.toLose > 0 {
		n.toLose--
		n.overrun = true
	} else if !n.reports.put(entries, len(entries)+netlinkOverhead, n.buffer) {
		n.overrun = true
	}
	n.schedule()
}

// overrunNext has the netlink socket lose the next reports.
func (n *Node) overrunNext(reports int) { n.toLose += reports }

// netlinkOverhead is the number of bytes that a message occupies in a socket's buffer besides its data.
const netlinkOverhead = 512

// fromNetwork receives a datagram, or returns false if no socket has room for it.
func (n *Node) fromNetwork(d Datagram) (kept bool) {
	if !n.open || !n.datagrams.put(d, len(d.Data)+netlinkOverhead, n.buffer) {
		return false
	}
	n.schedule()
	return true
}

// schedule has the Replica read its sockets soon.
func (n *Node) schedule() {
	if n.replica == nil || n.Stalled() || n.drain.Pending() {
		return
	}
	if len(n.reports.waiting)+len(n.datagrams.waiting)+len(n.deferred) > 0 || n.overrun {
		n.drain = n.clock.After(n.delays.WakeUp.draw(n.rand), n.read)
	}
}

// read gives the Replica everything that waits.
func (n *Node) read() {
	if n.replica == nil || n.Stalled() {
		return
	}
	n.enter(func(now time.Time) {
		deferred := n.deferred
		n.deferred = nil
		for _, fn := range deferred {
			fn(now)
		}
		if n.overrun {
			n.overrun = false
			n.replica.Overrun(now)
		}
		n.deliverReports(now)
		for _, d := range n.datagrams.take() {
			n.replica.Datagram(now, d)
		}
	})
}

// deliverReports gives the Replica the reports that wait.
func (n *Node) deliverReports(now time.Time) {
	for _, entries := range n.reports.take() {
		n.replica.Report(now, entries)
	}
}

// enter calls fn as a turn of the Replica's thread, now or after a stall.
func (n *Node) enter(fn func(now time.Time)) {
	switch {
	case n.replica == nil:
		return
	case n.Stalled():
		n.deferred = append(n.deferred, fn)
		return
	}
	now := n.clock.Now()
	n.turned = now
	fn(now)
	next := n.replica.Wake(now)
	n.wake.Cancel()
	n.wake = nil
	if !next.IsZero() {
		if !next.After(now) {
			next = now.Add(time.Microsecond) // a Replica that is always due must not stop the clock
		}
		n.wake = n.clock.At(next, func() { n.enter(func(time.Time) {}) })
	}
	n.look()
}

// look notes the Replica's verdict and phase.
func (n *Node) look() {
	v, phase := n.replica.Verdict(n.clock.Now()), n.replica.Phase()
	if v.Answer == n.verdict.Answer && phase == n.phase {
		n.verdict = v
		return
	}
	completed := v.Answer == Yes && n.verdict.Answer != Yes
	if phase == n.receiving && phase != n.phase {
		n.received = n.clock.Now()
		n.Usage.Syncs++
	}
	n.verdict, n.phase = v, phase
	n.trace.Event(n.ID, "verdict "+v.Answer.String()+", phase "+phase, nil)
	n.changed(n)
	if completed && n.completed != nil {
		n.completed(n)
	}
}
