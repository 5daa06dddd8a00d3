package sim

import (
	"slices"
	"time"
)

// moved is a session that has moved back.
type moved struct {
	Move
	since time.Time // from then on, nothing has kept the newer version from the host
}

// checkMoves looks at the sessions that have moved back. A move in time by more than a report waits in a module is a
// violation at once, unless a FIN has led to the new version: it does not renew the session, so that the report can be younger by any time. A shorter one, or a move in state between two versions of about the same time, is one if it lasts:
// reports of one connection may overtake each other on their ways through module, coalescer and full sync, and the last of
// them decides.
func (m *Monitor) checkMoves() {
	moves := m.s.Truth.Moves()
	for ; m.moves < len(moves); m.moves++ {
		switch move := moves[m.moves]; {
		case m.s.unprotected(move.id, move.Old), m.s.advertisedTo(move.Host):
		case !move.New.finished() && move.New.losesTime(move.Old, max(m.s.config.Tolerance, m.bounds.Queued)+m.bounds.Waited):
			m.violated(move.Host, RuleBack, "%v", move)
		case move.New.losesTime(move.Old, m.tolerance()), move.New.losesState(move.Old):
			m.back = append(m.back, moved{move, move.At})
		}
	}
	m.back = slices.DeleteFunc(m.back, func(b moved) bool { return m.healed(b.Move) })
	now := m.s.Clock.Now()
	for i := range m.back {
		b := &m.back[i]
		if n := m.s.Nodes[b.Host]; !n.Running() || !n.awake() || n.Verdict().Answer != Yes {
			b.since = now
		}
		b.since = latest(b.since, m.reachedSince(b.Host))
		if now.Sub(b.since) >= m.bounds.Healed {
			m.violated(b.Host, RuleBack, "for %v: %v", m.bounds.Healed, b.Move)
		}
	}
}

// deadFor is how long after a host's death another one may report older versions than that host did: the peers compare their
// tables once the host does not count as live any more, and the host that translates now reports what it has until then.
const deadFor = 5 * time.Second

// tolerance is how much older a session may look for ever.
func (m *Monitor) tolerance() time.Duration { return m.s.config.Tolerance + m.bounds.Waited }

// healed reports whether a session that has moved back is gone, has its time and its state again, or has been changed by a
// later packet. The newer version may also have died with the host that knew it, a short time before or since.
func (m *Monitor) healed(move Move) bool {
	own := m.s.Nodes[move.Host].Module.sessionByID(move.id)
	if own == nil || own.makesUpFor(move.Old) && !own.losesTime(move.Old, m.tolerance()) || m.closesOtherwise(own, move.Old) {
		return true
	}
	for _, n := range m.s.Nodes {
		if !n.until.IsZero() && n.until.Add(deadFor).After(move.At) {
			return true
		}
	}
	return false
}

// closesOtherwise reports whether a session has the state after the first FIN of one side where the active host has that
// of the other side, and the session's last packet led to this state. Around a failover, each of the two hosts
// translates one FIN. The second host does not know the first FIN yet, so the second FIN also leads from ESTABLISHED to
// the state after a first FIN, and does not renew the session. No packet followed, and neither state is further on than
// the other, so both hosts may hold the active host's state.
func (m *Monitor) closesOtherwise(own *tableEntry, old Version) bool {
	led := m.s.Ledger.led[own.id]
	return old.finished() && led.finished() && led.State != old.State && own.State == led.State && own.Updated.Sub(led.Updated).Abs() <= sameMoment
}

// reachedSince returns since when a host has heard every worker that runs.
func (m *Monitor) reachedSince(host int) (since time.Time) {
	for _, n := range m.s.Nodes {
		if n.ID == host || !n.Running() || n.Upstream() {
			continue
		}
		heard, live := m.s.Truth.Live(host, n.ID)
		if !live {
			return m.s.Clock.Now()
		}
		since = latest(since, heard)
	}
	return since
}
