package sim

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// Errors of a module's requests.
var (
	ErrNoMemory   = errors.New("the module had no memory for some of the sessions")
	ErrNoInstance = errors.New("the instance does not exist")
)

// ModuleConfig describes a Jool instance.
type ModuleConfig struct {
	Version joolnl.Version
	Globals joolnl.Globals
	Pool4   []netip.Addr
	Ports   [2]uint16 // of pool4: the first and the last
	Jiffy   time.Duration
}

// DefaultModule returns a module of a version with Jool's default settings, session synchronisation on, and a pool4 of
// one address.
func DefaultModule(v joolnl.Version) ModuleConfig {
	g := joolnl.Globals{
		Pool6:          netip.MustParsePrefix("64:ff9b::/96"),
		TCPEstablished: 2 * time.Hour, TCPTransitory: 4 * time.Minute, UDP: 5 * time.Minute, ICMP: time.Minute,
		SSEnabled: true, SSFlushASAP: v.FlushesASAP(), SSFlushDeadline: 2 * time.Second, SSCapacity: 512, SSMaxPayload: 1452,
	}
	switch {
	case v.Format() == session.Packed40:
		g.SSMaxSessions = 36
	case v.ChecksCapacity():
		g.SSMaxSessions = 10
	}
	return ModuleConfig{v, g, []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, 1})}, [2]uint16{1024, 65535}, 4 * time.Millisecond}
}

// Module models a Jool instance: its BIB, its session table, and session synchronisation as far as records, counters
// and requests show it. Its methods take the present from the Clock.
type Module struct {
	clock   *Clock
	ledger  *Ledger
	rand    *rand.Rand
	config  ModuleConfig
	Globals joolnl.Globals

	gone     bool // the instance does not exist
	sessions map[session.Key]*tableEntry
	byID     []*tableEntry     // by the Ledger's number
	created  time.Time         // when the table was last empty
	evicted  map[int]time.Time // by the Ledger's number: when RemoveBIB removed the session; looked up only
	collided map[int]time.Time // by the Ledger's number: when a JOOLD_ADD of the session was last dropped; looked up only
	tables   [3][]*tableEntry
	suspects []*tableEntry // that were phantoms when they were inserted; some may be gone
	changes  changes
	bib      bib
	expiries expiries
	queue    queue
	counters counters

	// Report receives the packets of sessions that leave the module; nil: nobody listens, and they are lost.
	Report func(entries []byte)
	// Overwrites, if not nil, learns of each session that a JOOLD_ADD changes.
	Overwrites func(id int, r *session.Record, old, new Version)
	// Stores, if not nil, learns of each session that a JOOLD_ADD puts into the table or changes.
	Stores func(id int, r *session.Record, v Version)

	// NoMemory is the share of a JOOLD_ADD's sessions that the module fails to store, and RequestLoss the share of
	// requests that fail as a whole. ReportLoss is the share of reports that vanish without a counter.
	NoMemory, RequestLoss, ReportLoss float64

	// Upstream is true while an upstream joold takes the reports.
	Upstream bool
	// unnumbered counts the faults because of which some hosts do not understand the numbers of the datagrams with the reports.
	unnumbered int

	garbage int
}

// NewModule returns a module with an empty table. Its numbers come from a seed and a number of its own.
func NewModule(c *Clock, l *Ledger, seed uint64, number int, config ModuleConfig) *Module {
	m := &Module{clock: c, ledger: l, rand: stream(seed, "module", number), config: config}
	m.reset()
	c.After(time.Duration(m.rand.Int64N(int64(moduleTimer))), m.tick)
	return m
}

// moduleTimer is the period of the timer that all instances of a module share.
const moduleTimer = 2 * time.Second

func (m *Module) tick() {
	m.expire()
	m.look()
	m.clock.After(moduleTimer, m.tick)
}

func (m *Module) reset() {
	m.Globals = m.config.Globals
	m.sessions = make(map[session.Key]*tableEntry)
	m.created, m.evicted, m.collided = m.clock.Now(), make(map[int]time.Time), make(map[int]time.Time)
	for id := range m.byID {
		m.changes.note(id)
	}
	m.byID, m.tables, m.suspects, m.expiries = nil, [3][]*tableEntry{}, nil, nil
	m.bib = newBIB(m.config.Pool4, m.config.Ports, m.rand.Uint64())
	m.queue = queue{acked: true, flushed: m.clock.Now()}
	m.counters = counters{}
}

// Remove removes the instance: its table and its counters are lost, and requests fail.
func (m *Module) Remove() {
	m.reset()
	m.gone = true
}

// Create adds the instance again after Remove, with the settings that it had at first.
func (m *Module) Create() {
	m.reset()
	m.gone = false
}

// Recreate removes the instance and adds it again at once.
func (m *Module) Recreate() {
	m.Remove()
	m.Create()
}

// Gone reports whether the instance does not exist.
func (m *Module) Gone() bool { return m.gone }

// Version returns the module's version.
func (m *Module) Version() joolnl.Version { return m.config.Version }

// Len returns how many sessions the module holds.
func (m *Module) Len() int {
	m.expire()
	return len(m.sessions)
}

// Garbage returns how many entries a JOOLD_ADD carried that a real module would have misread.
func (m *Module) Garbage() int { return m.garbage }

// Update changes a setting.
func (m *Module) Update(changes ...joolnl.Change) error {
	if m.gone {
		return ErrNoInstance
	}
	for _, c := range changes {
		switch c.Setting {
		case joolnl.SSEnabled:
			m.Globals.SSEnabled = c.Value != 0
		case joolnl.SSFlushDeadline:
			m.Globals.SSFlushDeadline = time.Duration(c.Value) * time.Millisecond
		case joolnl.SSCapacity:
			m.Globals.SSCapacity = c.Value
		}
	}
	return nil
}

// Packet translates a packet, and returns the mask of its session, or false if the module drops the packet.
func (m *Module) Packet(p Packet) (netip.AddrPort, bool) {
	if m.gone {
		return netip.AddrPort{}, false
	}
	m.expire()
	if p.From4 {
		m.counters.received4++
	} else {
		m.counters.received6++
	}
	s := m.sessionFor(p)
	if s == nil {
		return netip.AddrPort{}, false
	}
	if s.id != phantom {
		m.ledger.last[s.id], m.ledger.led[s.id] = m.clock.Now(), s.Version
	}
	m.counters.success++
	m.enqueue(s)
	return s.record.Src4(), true
}

// sessionFor finds or makes the session of a packet, and changes it as the packet does.
func (m *Module) sessionFor(p Packet) *tableEntry {
	entry := m.mappingFor(p)
	if entry == nil {
		return nil
	}
	r := recordOf(p.Proto, entry, p.Dst4)
	now := m.clock.Now()
	s := m.sessions[r.Key()]
	if s == nil {
		v := Version{Updated: now}
		if p.Proto == session.TCP {
			if p.Flag != SYN {
				return nil
			}
			v.State, v.Timer = session.V6Init, session.TimerTransitory
			if p.From4 {
				v.State = session.V4Init
			}
		}
		m.bib.byHost[entry.host], m.bib.byMask[entry.mask] = entry, entry
		return m.insert(m.ledger.open(&r), r, entry, v)
	}
	v := s.Version
	renews := true
	if p.Proto == session.TCP {
		v.State, v.Timer, renews = tcpNext(s.State, s.Timer, p.Flag, p.From4)
	}
	if renews {
		v.Updated = now
	}
	m.change(s, v)
	return s
}

// mappingFor finds the BIB entry of a packet. For a packet from an IPv6 host without one it returns an entry with a free
// mask that is not in the BIB yet.
func (m *Module) mappingFor(p Packet) *mapping {
	if p.From4 {
		return m.bib.byMask[endpoint{p.Proto, p.Src4}]
	}
	host := endpoint{p.Proto, p.Src6}
	if entry := m.bib.byHost[host]; entry != nil {
		return entry
	}
	mask, free := m.bib.choose(host)
	if !free {
		return nil
	}
	return &mapping{host: host, mask: mask}
}

func recordOf(p session.Proto, entry *mapping, dst4 netip.AddrPort) session.Record {
	if p == session.ICMP {
		dst4 = netip.AddrPortFrom(dst4.Addr(), entry.mask.addr.Port())
	}
	return session.Session{Proto: p, Src6: entry.host.addr, Src4: entry.mask.addr, Dst4: dst4}.Record()
}

// insert puts a session into the table.
func (m *Module) insert(id int, r session.Record, entry *mapping, v Version) *tableEntry {
	s := &tableEntry{id: id, record: r, order: placeOf(&r), bib: entry}
	s.setVersion(v, m.ttl(r.Proto(), v.Timer))
	m.sessions[r.Key()] = s
	if id != phantom {
		for len(m.byID) <= id {
			m.byID = append(m.byID, nil)
		}
		m.byID[id] = s
	}
	m.changes.note(id)
	if !m.ledger.opened(&s.record) {
		m.suspects = append(m.suspects, s)
	}
	entry.sessions = append(entry.sessions, s)
	table := &m.tables[r.Proto()]
	at, _ := find(*table, s.order)
	*table = slices.Insert(*table, at, s)
	heap.Push(&m.expiries, s)
	return s
}

func (m *Module) change(s *tableEntry, v Version) {
	s.setVersion(v, m.ttl(s.record.Proto(), v.Timer))
	heap.Fix(&m.expiries, s.index)
	m.changes.note(s.id)
}

func (m *Module) remove(s *tableEntry) {
	delete(m.sessions, s.record.Key())
	if s.id != phantom {
		m.byID[s.id] = nil
	}
	m.changes.note(s.id)
	m.bib.leave(s)
	table := &m.tables[s.record.Proto()]
	if at, is := find(*table, s.order); is {
		*table = slices.Delete(*table, at, at+1)
	}
	heap.Remove(&m.expiries, s.index)
	s.index = -1
}

// expire removes the sessions whose time left has ended. An ESTABLISHED connection becomes TRANS first.
func (m *Module) expire() {
	now := m.clock.Now()
	for len(m.expiries) > 0 && !m.expiries[0].ends.After(now) {
		s := m.expiries[0]
		if s.record.Proto() == session.TCP && s.State == session.Established {
			m.change(s, Version{session.Trans, session.TimerTransitory, s.ends})
			continue
		}
		m.remove(s)
	}
}

// syn4Timeout is the fixed timeout of TimerSYN4.
const syn4Timeout = 6 * time.Second

func (m *Module) ttl(p session.Proto, t session.Timer) time.Duration {
	switch {
	case p == session.UDP:
		return m.Globals.UDP
	case p == session.ICMP:
		return m.Globals.ICMP
	case t == session.TimerSYN4:
		return syn4Timeout
	case t == session.TimerTransitory:
		return m.Globals.TCPTransitory
	}
	return m.Globals.TCPEstablished
}
