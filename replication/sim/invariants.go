package sim

import (
	"fmt"
	"slices"
	"time"

	"joolctl/session"
)

// Bounds parametrise the invariants.
type Bounds struct {
	// Yes is how long a host may say yes after it could know of a session that it lacks. Poll is added where a counter
	// has to reveal the loss, or that the table was emptied.
	Yes, Poll time.Duration
	// Alone is how long a host may say yes after it has heard the last datagram; 0: for ever.
	Alone time.Duration
	// Verify is how long a host may lack what no counter reveals; 0: for ever.
	Verify time.Duration
	// Strict counts Yes from the moment when a report left the peer's module, whether a datagram arrived since or not.
	Strict bool
	// Waited is how much older a session may look for a moment because its report waited for a worker that did not read.
	Waited time.Duration
	// Queued is how much older a session may look for as long as Healed, because a full sync has brought it while an older
	// report waited in the peer's module: for its flush deadline and its timer, 2 s each. The newer report waits behind.
	Queued time.Duration
	// Healed is how long a host may hold a session in a version that the session has moved back to, while nothing keeps the
	// newer version from it. The newer version's report waits in its module at most for the flush deadline and then for the
	// module's timer, 2 s each, and the refresh that follows waits for a refresh period of 1 s in its worker.
	Healed time.Duration
	// Young is how much younger than its last packet a session may be on a host that was given it.
	Young time.Duration
	// Receiving is the phase in which a Replica receives a full sync.
	Receiving string
	// Usage bounds what a host uses in any ten seconds; 0: no bound.
	Usage Usage
	// Forged is how many more full syncs may begin to arrive in ten seconds in which forged datagrams arrive: a forger repeats BEGINs.
	Forged int
}

// DefaultBounds returns the bounds of a host that polls its module's counters every 5 s when idle, and then sends a HELLO every 10 s.
func DefaultBounds() Bounds {
	return Bounds{Yes: 2 * time.Second, Poll: 5 * time.Second, Alone: 13 * time.Second, Queued: 4 * time.Second, Healed: 5 * time.Second, Young: 2 * time.Second}
}

// Rule is an invariant.
type Rule string

const (
	RuleYes     Rule = "a host says yes and lacks sessions"
	RuleAlone   Rule = "a host says yes and hears no other host"
	RuleEarly   Rule = "a host says yes before a full sync has brought the sessions"
	RuleBack    Rule = "a session moves back"
	RuleYoung   Rule = "a session is younger than its last packet"
	RulePhantom Rule = "a session exists that nobody opened"
	RuleGarbage Rule = "a JOOLD_ADD does not have the module's format"
	RuleUsage   Rule = "a host exceeds its bounds"
	RuleSettled Rule = "the hosts do not become complete and equal"
)

// Violation is an invariant that does not hold.
type Violation struct {
	At     time.Duration
	Host   int
	Rule   Rule
	Detail string
}

func (v Violation) String() string {
	return fmt.Sprintf("%v: host %d: %s: %s", v.At, v.Host, v.Rule, v.Detail)
}

// Monitor checks the invariants while the simulation runs.
type Monitor struct {
	Violations []Violation // the first of each rule and host

	s      *Simulation
	bounds Bounds
	moves  int                  // that were looked at
	back   []moved              // sessions that have moved back, and may have done so for a moment
	young  int                  // sessions that were looked at
	forged map[session.Key]bool // sessions that may be young because of a forged datagram
	usage  []Usage              // ten seconds ago
	turns  int
}

// Monitor returns a Monitor that checks periodically from now on.
func (s *Simulation) Monitor(every time.Duration, b Bounds) *Monitor {
	m := &Monitor{s: s, bounds: b, usage: make([]Usage, len(s.Nodes)), forged: make(map[session.Key]bool)}
	for _, n := range s.Nodes {
		n.receiving, n.completed = b.Receiving, m.checkEarly
	}
	s.Every(every, func(time.Time) { m.check() })
	s.Every(usageEvery, func(time.Time) { m.checkUsage() })
	return m
}

func (m *Monitor) violated(host int, r Rule, format string, args ...any) {
	for _, v := range m.Violations {
		if v.Host == host && v.Rule == r {
			return
		}
	}
	v := Violation{m.s.Clock.Elapsed(), host, r, fmt.Sprintf(format, args...)}
	m.s.Trace.Note(host, "violation: %s: %s", v.Rule, v.Detail)
	m.Violations = append(m.Violations, v)
}

func (m *Monitor) check() {
	for _, n := range m.s.Nodes {
		if n.Running() && !n.Upstream() && n.awake() && n.Verdict().Answer == Yes {
			m.checkHears(n)
			m.checkYes(n)
		}
	}
	m.checkMoves()
	for ; m.young < len(m.s.Truth.young); m.young++ {
		y := m.s.Truth.young[m.young]
		if m.s.forgedLately() {
			m.forged[y.Record.Key()] = true // peers get it later
		}
		if y.By > m.bounds.Young+m.bounds.Waited && !m.forged[y.Record.Key()] {
			m.violated(y.Host, RuleYoung, "%v", y)
		}
	}
	if m.turns++; m.turns%10 != 0 {
		return // these don't go away
	}
	for _, n := range m.s.Nodes {
		if p := m.s.Truth.Phantoms(n.ID); len(p) > 0 {
			m.violated(n.ID, RulePhantom, "%d, %s first", len(p), name(&p[0]))
		}
		if n.Module.Garbage() > 0 {
			m.violated(n.ID, RuleGarbage, "%d entries", n.Module.Garbage())
		}
	}
}

// forgedFor is how long after a forged datagram hosts may store and pass on what it has: a repeated BULK shows sessions as they
// were when it was first sent.
const forgedFor = 5 * time.Second

// forgedLately reports whether a host received a forged datagram a short time ago.
func (s *Simulation) forgedLately() bool {
	return !s.forged.IsZero() && s.Clock.Now().Sub(s.forged) < forgedFor
}

// unprotected reports whether nothing keeps an older version of a session from overwriting one: it stems from a forged
// datagram, or from an upstream joold.
func (s *Simulation) unprotected(id int, v Version) bool {
	by, is := s.Ledger.unnumbered[id]
	return s.forgedLately() || is && by.Sub(v.Updated) > -forgedFor
}

// advertisedTo reports whether a peer with another version of the wire format advertises its table. The host takes its datagrams as
// those of an upstream joold: it looks up as many sessions as it may, and gives the others to the module, which may have newer ones.
func (s *Simulation) advertisedTo(host int) bool {
	return slices.ContainsFunc(s.Nodes, func(p *Node) bool {
		return p.ID != host && len(p.pages) > 0 && !s.Network.understands(p.ID, host)
	})
}

// checkHears checks that a host that says yes hears another one, in the group that it is in now. A forged datagram may look like
// another host's.
func (m *Monitor) checkHears(n *Node) {
	heard := m.s.forged
	for _, p := range m.s.Nodes {
		if p != n {
			heard = latest(heard, m.s.Network.Contact(p.ID, n.ID).Heard)
		}
	}
	switch {
	case heard.Before(n.moved):
		m.violated(n.ID, RuleAlone, "it has moved to another group, and has heard no host since")
	case m.bounds.Alone > 0 && m.s.Clock.Now().Sub(heard) > m.bounds.Alone:
		m.violated(n.ID, RuleAlone, "for %v", m.s.Clock.Now().Sub(heard))
	}
}

// checkYes checks whether a host may say yes.
func (m *Monitor) checkYes(n *Node) {
	lacks, first, worst := 0, Lack{}, time.Duration(0)
	for _, l := range m.s.Truth.Lacks(n.ID) {
		if over := m.overdue(l); over > 0 {
			if lacks++; over > worst {
				first, worst = l, over
			}
		}
	}
	if lacks > 0 {
		m.violated(n.ID, RuleYes, "%d sessions, %v too long: %v", lacks, worst, first)
	}
}

// checkEarly checks a host that has just changed its verdict to yes. The host must hold all sessions of peers that it
// heard before it received its last full sync, because these peers' tables held them at that time. A peer whose worker
// is stalled has not announced the sessions that its module reported during the stall, so the host must have heard the
// peer after a session became known there. With several peers, another peer's table may lack a session that a module
// lost silently and that a full sync gave to one peer; only a verification finds that. The host may also hold a session
// that is older by a tolerance.
func (m *Monitor) checkEarly(n *Node) {
	if n.received.IsZero() || n.received.Before(n.since) {
		return
	}
	peers := 0
	for _, p := range m.s.Nodes {
		if _, live := m.s.Truth.Live(n.ID, p.ID); live {
			peers++
		}
	}
	for _, l := range m.s.Truth.Lacks(n.ID) {
		if peers > 1 && m.s.Clock.Now().Sub(l.Live) < heardBefore {
			continue // the full sync came from another peer
		}
		if l.Known.IsZero() || !l.Known.Before(n.received) {
			continue
		}
		if p := m.s.Nodes[l.Peer]; p.stalledDuring(l.First) && m.s.Clock.Now().Sub(p.stalledTo) <= m.bounds.Yes {
			continue // the peer has sent it as if its report had waited for as long as the stall, and sends it again
		}
		if l.Conflict || l.Emptied || peers > 1 && (l.Silent || l.Near) || l.Origin > Stored || !l.Live.Before(n.received) || n.received.Sub(l.First) < reportedBefore {
			continue
		}
		m.violated(n.ID, RuleEarly, "%v", l)
		return
	}
}

// reportedBefore is how long before a full sync a session has become known that the full sync has to bring.
const reportedBefore = time.Second

// heardBefore is how long a host may say yes after it has heard a peer that has not said yet what it has, and some time
// for the datagrams.
const heardBefore = 600 * time.Millisecond

// overdue returns by how much a host has lacked a session for too long.
func (m *Monitor) overdue(l Lack) time.Duration {
	from := l.Known
	if m.bounds.Strict {
		from = l.Since
	}
	if l.Conflict || from.IsZero() {
		return 0 // a lost conflict is settled
	}
	if p := m.s.Nodes[l.Peer]; l.Older && p.stalledFrom.Sub(l.First).Abs() <= refreshWaits && !p.stalledFrom.Before(l.First) {
		if p.Stalled() {
			return 0
		}
		from = latest(from, p.stalledTo)
	}
	allowed := m.bounds.Yes
	switch {
	case l.Origin == Vanished && m.bounds.Verify == 0:
		return 0
	case l.Origin == Vanished:
		allowed += m.bounds.Verify
	case l.Origin == Dropped, l.Emptied:
		allowed += m.bounds.Poll
	}
	return m.s.Clock.Now().Sub(from) - allowed
}

// refreshWaits is how long a worker may keep a report that changes only the time left, to send it with others. A worker that is
// stopped meanwhile sends it afterwards, though it has sent other datagrams in between.
const refreshWaits = 150 * time.Millisecond

// Complete reports whether all hosts say yes.
func (m *Monitor) Complete() bool {
	return !slices.ContainsFunc(m.s.Nodes, func(n *Node) bool { return n.Running() && !n.Upstream() && n.Verdict().Answer != Yes })
}

// Settled checks that all hosts are complete and equal: to be called once the time that the hosts may take after the
// last fault has passed.
func (m *Monitor) Settled() {
	for _, n := range m.s.Nodes {
		if !n.Running() || n.Upstream() {
			continue
		}
		if n.Verdict().Answer != Yes {
			m.violated(n.ID, RuleSettled, "it says %v: %q", n.Verdict().Answer, n.Verdict().Reasons)
		}
		lacks, first := 0, Lack{}
		for _, l := range m.s.Truth.Lacks(n.ID) {
			if m.overdue(l) > 0 || m.unresolved(n, l) {
				if lacks++; lacks == 1 {
					first = l
				}
			}
		}
		if lacks > 0 {
			m.violated(n.ID, RuleSettled, "%d sessions: %v", lacks, first)
		}
	}
}

// unresolved reports whether a BIB entry is in the way of a peer's session although one of two hosts has received the other's table
// since the session became known: the younger mapping takes the place of the other.
func (m *Monitor) unresolved(n *Node, l Lack) bool {
	return l.Conflict && len(m.s.Nodes) == 2 && n.received.Sub(latest(l.First, l.Live)) > m.bounds.Yes && m.s.Clock.Now().Sub(n.received) > m.bounds.Healed
}
