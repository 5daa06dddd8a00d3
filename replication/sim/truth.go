package sim

import (
	"fmt"
	"slices"
	"time"

	"joolctl/session"
)

// Truth compares the tables of modules. It knows nothing of Replicas but which of them run.
type Truth struct {
	s     *Simulation
	moves []Move
	young []Young
	// behind has, for each host and each of its peers, the sessions that the host lacks of the peer, whether the peer is
	// live or not.
	behind [][]idSet
	ids    []int // that have changed
}

func newTruth(s *Simulation) *Truth {
	t := &Truth{s: s, behind: make([][]idSet, len(s.Nodes))}
	for i, n := range s.Nodes {
		t.behind[i] = make([]idSet, len(s.Nodes))
		n.Module.Overwrites = func(id int, r *session.Record, old, v Version) {
			if v.MovesBack(old, s.config.Tolerance) && len(t.moves) < maxMoves {
				t.moves = append(t.moves, Move{s.Clock.Now(), i, *r, old, v, id})
			}
		}
		n.Module.Stores = func(id int, r *session.Record, v Version) {
			if id == phantom || v.State == session.Trans || len(t.young) == maxMoves {
				return // a session that has become TRANS because its time ended counts from then on
			}
			if by := v.Updated.Sub(s.Ledger.last[id]); by > sameMoment {
				t.young = append(t.young, Young{s.Clock.Now(), i, *r, by})
			}
		}
	}
	return t
}

const maxMoves = 1000

// Move is a session that a JOOLD_ADD moved back, in state or in time left.
type Move struct {
	At       time.Time
	Host     int
	Record   session.Record // after it
	Old, New Version
	id       int // in the Ledger
}

func (m Move) String() string {
	return fmt.Sprintf("host %d: %s moved back from %v, renewed at %v, to %v, renewed at %v", m.Host, name(&m.Record),
		m.Old.State, m.Old.Updated.Sub(Epoch), m.New.State, m.New.Updated.Sub(Epoch))
}

// Young is a session that a JOOLD_ADD has stored with more time left than its last packet gave it.
type Young struct {
	At     time.Time
	Host   int
	Record session.Record
	By     time.Duration
}

func (y Young) String() string {
	return fmt.Sprintf("host %d: %s is %v younger than its last packet", y.Host, name(&y.Record), y.By)
}

// Moves returns the sessions that moved back beyond the tolerance, at most 1000 of them.
func (t *Truth) Moves() []Move { return t.moves }

// Origin is how a session became known outside of the peer's module that holds it.
type Origin uint8

const (
	Reported Origin = iota // it left the module in a report
	Stored                 // a JOOLD_ADD brought it
	Dropped                // the module dropped the report, and a counter shows that
	Vanished               // the report was lost, and no counter shows that
)

func (o Origin) String() string { return [...]string{"reported", "stored", "dropped", "vanished"}[o] }

// Lack is a session of a peer that a host does not hold, or holds in an older state.
type Lack struct {
	Host, Peer int
	Record     session.Record // as the peer's table has it
	Origin     Origin
	Older      bool // the host holds it in an older state
	// Near: the host holds the state that the peer has, older by two tolerances at most. Each full sync of a chain of hosts may
	// leave one tolerance.
	Near bool
	// Conflict: a BIB entry of the host is in the way of the peer's.
	Conflict bool
	// Since is when the peer's version became known, and the host has had a table and been in contact with the peer.
	Since time.Time
	// First is when the peer's version became known, whether the host could hear the peer then or not, and Live since when
	// it hears the peer.
	First, Live time.Time
	// Silent: the peer was given the session by a host whose module lost the report of it, and no counter shows that. So
	// others do not know that the peer has it.
	Silent bool
	// Emptied: Since is when the host's table was emptied, or the session's BIB entry removed.
	Emptied bool
	// Known is when the host received a datagram that the peer sent after Since; zero: it has received none.
	Known time.Time
}

func (l Lack) String() string {
	verb := "lacks"
	switch {
	case l.Conflict:
		verb = "has a conflict with"
	case l.Older:
		verb = "has an older version of"
	}
	return fmt.Sprintf("host %d %s %s of host %d, %v, since %v", l.Host, verb, name(&l.Record), l.Peer, l.Origin, l.Since.Sub(Epoch))
}

func name(r *session.Record) string {
	host, mask := sides(r)
	return fmt.Sprintf("%v session %v as %v (%v)", r.Proto(), host.addr, mask.addr, r.State())
}

// liveFor is how long after its last datagram a peer counts as live.
const liveFor = 3 * time.Second

// Live returns since when a peer has been live for a host: its own worker runs, and its datagrams arrive.
func (t *Truth) Live(host, peer int) (since time.Time, live bool) {
	if host == peer {
		return time.Time{}, false
	}
	p, c := t.s.Nodes[peer], t.s.Network.Contact(peer, host)
	if !p.Running() || p.upstream || c.Connected.IsZero() || t.s.Clock.Now().Sub(c.Heard) > liveFor {
		return time.Time{}, false
	}
	return latest(p.since, c.Connected, c.HeardFrom), true
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// Lacks returns the sessions of live peers that a host does not hold, or holds in an older state.
func (t *Truth) Lacks(host int) (lacks []Lack) {
	t.update()
	own := t.s.Nodes[host].Module
	for _, p := range t.s.Nodes {
		behind := t.behind[host][p.ID]
		if behind.len == 0 {
			continue
		}
		since, live := t.Live(host, p.ID)
		if !live {
			continue
		}
		for id := range behind.all {
			if l, is := t.compare(own, p.Module, id); is {
				l.Host, l.Peer, l.Silent = host, p.ID, l.Origin == Stored && t.vanished(id, p.Module.sessionByID(id).Version)
				if t.date(&l, own, id, since) {
					lacks = append(lacks, l)
				}
			}
		}
	}
	return lacks
}

// collided reports whether a module has dropped a JOOLD_ADD of about that version of a session, or of a later one, without a word. It
// may be another module than the one that lacks the session: a full sync from there does not bring it.
func (t *Truth) collided(id int, v Version) bool {
	return slices.ContainsFunc(t.s.Nodes, func(n *Node) bool { return n.Module.collided[id].Sub(v.Updated) > -sameMoment })
}

// vanished reports whether a module lost the reports of about that version of a session, and no counter shows that.
func (t *Truth) vanished(id int, v Version) bool {
	for _, n := range t.s.Nodes {
		s := n.Module.sessionByID(id)
		if s == nil || s.lost.since.IsZero() || s.lost.counted {
			continue
		}
		if v.Updated.Sub(s.lost.since) >= -sameMoment && v.Updated.Sub(s.lost.Updated) <= sameMoment {
			return true
		}
	}
	return false
}

// update compares the sessions that have changed since the last update. No session that a host holds becomes one that it
// lacks without a change: time only takes versions out of the comparison.
func (t *Truth) update() {
	for _, n := range t.s.Nodes {
		n.Module.expire()
	}
	for _, n := range t.s.Nodes {
		t.ids = n.Module.changes.take(t.ids[:0])
		for _, p := range t.s.Nodes {
			if p == n {
				continue
			}
			for _, id := range t.ids {
				_, lacks := t.compare(n.Module, p.Module, id)
				t.behind[n.ID][p.ID].set(id, lacks)
				_, lacks = t.compare(p.Module, n.Module, id)
				t.behind[p.ID][n.ID].set(id, lacks)
			}
		}
	}
}

// date moves a Lack's Since to the moment from which the host could have known, and finds when it did. It returns false if no host
// can know yet: a full sync has brought the peer a version that still waits in a module to be reported.
func (t *Truth) date(l *Lack, own *Module, id int, live time.Time) bool {
	if l.Origin == Stored {
		v := t.s.Nodes[l.Peer].Module.sessionByID(id).Version
		if t.waits(id, v) {
			return false
		}
		if r := t.s.Ledger.reported[id]; r.Updated.Sub(v.Updated).Abs() <= sameMoment {
			l.Since = latest(l.Since, r.at)
		}
	}
	l.First, l.Live = l.Since, live
	if emptied := latest(own.created, own.evicted[id]); emptied.After(l.Since) && emptied.After(live) {
		l.Since, l.Emptied = emptied, true
	}
	l.Since = latest(l.Since, live)
	l.Known, _ = t.s.Network.Knows(l.Peer, l.Host, l.Since)
	return true
}

// waits reports whether about that version of a session waits in a module to be reported.
func (t *Truth) waits(id int, v Version) bool {
	for _, n := range t.s.Nodes {
		if !n.Running() {
			continue // nobody will hear the report: the host that was given the session has to tell
		}
		for _, r := range n.Module.queue.reports {
			if r.session.id == id && r.Updated.Sub(v.Updated).Abs() <= sameMoment {
				return true
			}
		}
	}
	return false
}

// compare reports whether a module lacks what has become known of a peer's session.
func (t *Truth) compare(own, peer *Module, id int) (l Lack, lacks bool) {
	mine, s := own.sessionByID(id), peer.sessionByID(id)
	if s == nil {
		return l, false
	}
	tolerance := t.s.config.Tolerance
	left := sameMoment
	if mine == nil {
		left = tolerance // the host's record may have expired that much earlier
	}
	if v, known := s.reported.latest(); known && (mine == nil || v.Beats(mine.Version, tolerance)) && t.alive(peer, s, v, left) {
		if l.Origin = Reported; s.reported.added {
			l.Origin = Stored
		}
		l.Since = s.reported.first
		if mine != nil {
			l.Since = latest(s.reported.since(mine.Version, tolerance), mine.back)
		}
	} else if lost := s.lost; !lost.since.IsZero() && (mine == nil || lost.Beats(mine.Version, tolerance)) && t.alive(peer, s, lost.Version, left) {
		l.Since, l.Origin = lost.since, Vanished
		if lost.counted {
			l.Origin = Dropped
		}
	} else {
		return l, false
	}
	if t.collided(id, s.Version) {
		l.Origin = Vanished // the BIB entry in its way may be gone since
	}
	if by, is := t.s.Ledger.unnumbered[id]; is && l.Origin <= Stored && by.Sub(s.Updated) > -sameMoment {
		l.Origin = Vanished
	}
	l.Record, l.Older, l.Conflict = s.at(t.s.Clock.Now()), mine != nil, own.conflicts(&s.record)
	l.Near = l.Older && s.State == mine.State && !s.Beats(mine.Version, 2*tolerance)
	return l, true
}

// alive reports whether a version of a session has more than some time left.
func (t *Truth) alive(m *Module, s *tableEntry, v Version, left time.Duration) bool {
	return v.Updated.Add(m.ttl(s.record.Proto(), v.Timer)).After(t.s.Clock.Now().Add(left))
}

func (m *Module) sessionByID(id int) *tableEntry {
	if id < 0 || id >= len(m.byID) {
		return nil
	}
	return m.byID[id]
}

// conflicts reports whether a BIB entry is in the way of a record's.
func (m *Module) conflicts(r *session.Record) bool {
	host, mask := sides(r)
	byHost, byMask := m.bib.byHost[host], m.bib.byMask[mask]
	return byHost != nil && byHost.mask != mask || byMask != nil && byMask.host != host
}

// Differences returns what one host's table lacks of another's at this moment, whether it has been reported or not.
func (t *Truth) Differences(host, peer int) (lacks []Lack) {
	own, theirs := t.s.Nodes[host].Module, t.s.Nodes[peer].Module
	own.expire()
	theirs.expire()
	for _, s := range theirs.byID {
		if s == nil || !t.alive(theirs, s, s.Version, sameMoment) {
			continue
		}
		mine := own.sessionByID(s.id)
		if mine == nil || s.Beats(mine.Version, t.s.config.Tolerance) {
			lacks = append(lacks, Lack{Host: host, Peer: peer, Record: s.at(t.s.Clock.Now()), Older: mine != nil, Conflict: own.conflicts(&s.record)})
		}
	}
	return lacks
}

// Phantoms returns the sessions of a host that no packet opened, or whose mask no module chose.
func (t *Truth) Phantoms(host int) (phantoms []session.Record) {
	m := t.s.Nodes[host].Module
	m.expire()
	m.suspects = slices.DeleteFunc(m.suspects, func(s *tableEntry) bool { return s.index < 0 || t.s.Ledger.opened(&s.record) })
	for _, s := range m.suspects {
		phantoms = append(phantoms, s.at(t.s.Clock.Now()))
	}
	return phantoms
}
