package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	keys    = 24
	longest = 10 * time.Minute // a session's longest life
)

// stamp names a version of a session. A later version replaces an earlier one; 0 is none.
type stamp int32

// table is a session table: the version of each key.
type table [keys]stamp

func (t *table) put(e entry) { t[e.key] = max(t[e.key], e.stamp) }

type entry struct {
	key   int
	stamp stamp
}

// stream records which live datagrams of an origin a host has heard.
type stream struct {
	first, next, top syncwire.Seq
	missing          []syncwire.Seq
	away, heard      bool
}

// last is the last datagram up to which every one from first on has come.
func (s *stream) last() syncwire.Seq {
	for _, seq := range s.missing {
		if !s.first.After(seq) {
			return seq - 1
		}
	}
	return s.next - 1
}

func (s *stream) lose(i int) {
	if seq := s.missing[i]; !s.first.After(seq) {
		s.first = seq + 1
	}
	s.missing = slices.Delete(s.missing, i, i+1)
}

// miss notes that everything before seq is missing.
func (s *stream) miss(seq syncwire.Seq) {
	for ; s.next != seq; s.next++ {
		s.missing = append(s.missing, s.next)
	}
	for s.away && len(s.missing) > 0 {
		s.lose(0)
	}
	s.away = false
}

// host is a host with its session table. Its methods use the vector as a worker does.
type host struct {
	w    *world
	id   syncwire.ID
	up   bool
	side int // hosts on different sides do not hear each other

	generation uint32
	seq        syncwire.Seq
	sent       map[syncwire.Seq]entry // live datagrams that can be repeated
	table      table
	streams    map[syncwire.ID]*stream

	vector  Vector
	stored  []syncwire.Component // from before live sessions began to wait; nil: none wait
	held    []entry
	doubts  int
	evicted bool                // while a full sync arrives
	served  map[syncwire.ID]int // doubts when the peer was sent the table that it has not returned anything for
	in      *incoming
}

// incoming is a full sync that arrives.
type incoming struct {
	from          syncwire.ID
	asked         bool
	vector, whole []syncwire.Component // the sender's and the own one, from before the tables were read
	believed      bool                 // the vector may be merged
	doubts        int                  // when the comparison that the vector is about began
	servedDoubts  int                  // the sender's, when it began
	theirs, own   *table               // nil: not read yet
	inject        []entry
	compared      bool
}

// returned are sessions on their way back to the sender of a full sync.
type returned struct {
	from, to syncwire.ID
	entries  []entry
	vector   []syncwire.Component
}

func (h *host) position() syncwire.Position {
	return syncwire.Position{Generation: h.generation, Seq: h.seq}
}

func (h *host) live(id syncwire.ID) bool {
	other := h.w.hosts[id]
	return other != nil && other != h && other.up && other.side == h.side
}

// peers are the live peers by their IDs.
func (h *host) peers() (live []*host) {
	for _, other := range h.w.order {
		if h.live(other.id) {
			live = append(live, other)
		}
	}
	return live
}

func (h *host) advance() {
	for _, id := range h.w.ids {
		s := h.streams[id]
		if s == nil {
			continue
		}
		live := h.live(id)
		if live {
			h.vector.Lives(id)
		}
		if live || s.heard {
			h.vector.Advance(id, s.first, s.last(), s.top)
		}
		s.heard = live
	}
	if h.vector.Age(h.w.now, longest, h.live) {
		h.generation++
		h.evicted = h.evicted || h.in != nil
	}
}

// components are the vector as peers get it.
func (h *host) components() []syncwire.Component {
	h.advance()
	return h.vector.Advertise(h.stored, h.w.now)
}

// hello is the vector of a HELLO.
func (h *host) hello() []syncwire.Component {
	list := h.components()
	return list[:min(len(list), syncwire.MaxComponents)]
}

// whole is the vector of a BEGIN.
func (h *host) whole() []syncwire.Component {
	return Whole(h.id, h.position(), h.components())
}

// doubt notes that the table may lack anything.
func (h *host) doubt() {
	h.advance()
	h.doubts++
	h.vector.ForgetAll()
	if h.stored != nil {
		h.stored = []syncwire.Component{}
	}
	for _, s := range h.streams {
		s.first = s.next
	}
}

func (h *host) merge(vector []syncwire.Component, doubts int) {
	if doubts != h.doubts {
		return
	}
	h.advance()
	h.vector.Merge(Others(vector, h.id), h.w.now, h.live)
}

// deliver takes a live session to the table, or has it wait for the full sync that is under way.
func (h *host) deliver(e entry) {
	if h.in != nil {
		h.held = append(h.held, e)
		return
	}
	h.table.put(e)
}

// stream is the one of an origin. If it is new, seq is expected next, unless the vector tells.
func (h *host) stream(origin syncwire.ID, seq syncwire.Seq) *stream {
	s := h.streams[origin]
	if s == nil {
		if c, found := h.vector.Get(origin); found && c.Known {
			seq = c.Complete.Seq + 1
		}
		s = &stream{first: seq, next: seq, top: seq - 1}
		h.streams[origin] = s
	}
	return s
}

// take receives a live datagram.
func (h *host) take(origin syncwire.ID, seq syncwire.Seq, e entry) {
	s := h.stream(origin, seq)
	if s.next.After(seq) {
		return
	}
	s.miss(seq)
	s.top = seq
	s.next++
	s.away = false
	h.deliver(e)
}

// repair receives the i-th missing datagram of an origin, whose session may have been reported again since.
func (h *host) repair(from *host, i int) {
	s := h.streams[from.id]
	seq := s.missing[i]
	e, kept := from.sent[seq]
	if !kept {
		s.lose(i)
		return
	}
	s.missing = slices.Delete(s.missing, i, i+1)
	if e.stamp != 0 {
		if seq.After(s.top) {
			s.top = seq
		}
		h.deliver(e)
	}
}

// hears receives a HELLO.
func (h *host) hears(from *host) {
	s := h.stream(from.id, from.seq+1)
	if !s.next.After(from.seq) {
		s.miss(from.seq + 1)
	} else if s.next == from.seq+1 {
		s.away = false
	}
	if from.position() == (syncwire.Position{}) {
		h.vector.Empty(from.id)
	}
}

// finish ends a full sync.
func (h *host) finish() {
	h.in, h.stored = nil, nil
	for _, e := range h.held {
		h.table.put(e)
	}
	h.held = nil
	if h.evicted { // no component counts the sessions that waited
		h.generation++
		h.evicted = false
	}
}
