package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"joolctl/session"
)

// Add is a JOOLD_ADD. The error is ErrNoMemory if some of the sessions could not be stored; the others are stored.
func (m *Module) Add(entries []byte) error {
	if m.gone || !m.Globals.SSEnabled {
		return ErrNoInstance
	}
	if m.fails(m.RequestLoss) {
		return ErrNoMemory
	}
	m.expire()
	m.counters.packetsRcvd++
	var err error
	f := m.Version().Format()
	for len(entries) >= 4 && binary.NativeEndian.Uint16(entries) >= 4 {
		if f.Check(entries) != nil {
			m.garbage++ // a real module reads on, and stores a session that makes no sense
			return err
		}
		m.counters.sessionsRcvd++
		if m.fails(m.NoMemory) {
			err = ErrNoMemory
		} else {
			m.store(f.Record(entries))
		}
		entries = entries[f.EntryLen():]
	}
	return err
}

// fails draws a random number even if the share is 0, so that a fault does not shift what follows it.
func (m *Module) fails(share float64) bool { return m.rand.Float64() < share }

// store puts a peer's session into the table. An existing session takes state and age of the new one, older or not. A
// session whose mask belongs to another IPv6 endpoint is dropped without an error. If the IPv6 endpoint has another mask,
// a new session is stored under that mask, and an existing session is kept as it is.
func (m *Module) store(r session.Record) {
	now := m.clock.Now()
	host, mask := sides(&r)
	if other := m.bib.byMask[mask]; other != nil && other.host != host {
		m.collide(&r)
		return
	}
	s := m.sessions[r.Key()]
	entry := m.bib.byHost[host]
	if entry != nil && entry.mask != mask {
		m.collide(&r)
		if s != nil {
			return
		}
		setMask(&r, entry.mask.addr)
	}
	ttl := m.ttl(r.Proto(), r.Timer())
	left := time.Duration(r.Expires()) * time.Millisecond
	v := Version{r.State(), r.Timer(), now.Add(left - ttl)}
	if s != nil {
		m.overwrite(s, v)
		return
	}
	if left == 0 {
		return
	}
	if entry == nil {
		entry = m.bib.bind(host, mask)
	}
	s = m.insert(m.ledger.number(r.Key()), r, entry, v)
	s.reported.learn(v, now, true) // insert has noted the change
	m.stored(s)
}

// collide notes that a BIB entry is in the way of a session. No counter of the module's shows that.
func (m *Module) collide(r *session.Record) {
	m.counters.collisions++
	m.collided[m.ledger.number(r.Key())] = m.clock.Now()
}

func (m *Module) overwrite(s *tableEntry, v Version) {
	old := s.Version
	m.change(s, v)
	if v.MovesBack(old, 0) {
		s.reported = history{first: s.reported.first}
	}
	if v.MovesBack(old, sameMoment) {
		s.back = m.clock.Now()
	}
	s.reported.learn(v, m.clock.Now(), true)
	s.lost = loss{}
	if m.Overwrites != nil {
		m.Overwrites(s.id, &s.record, old, v)
	}
	m.stored(s)
	m.expire()
}

func (m *Module) stored(s *tableEntry) {
	if m.Stores != nil {
		m.Stores(s.id, &s.record, s.Version)
	}
}

// RemoveBIB removes a BIB entry and its sessions.
func (m *Module) RemoveBIB(p session.Proto, src4 netip.AddrPort) error {
	if m.gone {
		return ErrNoInstance
	}
	m.expire()
	entry := m.bib.byMask[endpoint{p, src4}]
	if entry == nil {
		return nil
	}
	for _, s := range slices.Clone(entry.sessions) {
		m.remove(s)
		m.evicted[s.id] = m.clock.Now()
	}
	return nil
}
