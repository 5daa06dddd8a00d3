package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	keys    = 24
	longest = 10 * time.Minute // a session's longest life
	// reportedWithin is a worker's: a session is in a live datagram or in its host's generation by then. A module of the model
	// is faster.
	reportedWithin = 10 * time.Second
	moduleWithin   = 8 * time.Second
	// goneAfter is the silence after which a peer is gone. absentAfter is the silence after which it is absent:
	// datagrams that it lacks are not retransmitted, and its last HELLO is void.
	goneAfter   = 12 * time.Second
	absentAfter = 25 * time.Second
	// listenFor is how long a host listens after its start.
	listenFor = 3 * time.Second
)

// stamp names a version of a session. A later version replaces an earlier one; 0 is none.
type stamp int32

// version describes one version of a session: its origin, and whether the origin's position counts it.
type version struct {
	at      time.Time
	origin  syncwire.ID
	counted bool
}

// table is a session table: the version of each key.
type table [keys]stamp

func (t *table) put(e entry) { t[e.key] = max(t[e.key], e.stamp) }

type entry struct {
	key   int
	stamp stamp
}

// neighbor is a host's knowledge of a peer.
type neighbor struct {
	host     *host // without its state, which belongs to the peer
	id       syncwire.ID
	live     bool      // heard lately
	replaced bool      // another incarnation of that host was heard later
	lived    bool      // see advance
	last     time.Time // when it was last heard

	// The rest is of its last HELLO.
	greeted    bool // false: there is none that counts
	hello      time.Time
	generation uint32
	vector     []syncwire.Component
	complete   bool

	// Of its live datagrams, each from first on has come or is missing. top is the last one that has come.
	first, next, top syncwire.Seq
	missing          []syncwire.Seq
	absent           bool // the datagrams that are missing next are lost
}

// lastReceived is the last datagram up to which every one from first on has come.
func (n *neighbor) lastReceived() syncwire.Seq {
	for _, seq := range n.missing {
		if !n.first.After(seq) {
			return seq - 1
		}
	}
	return n.next - 1
}

func (n *neighbor) lose(i int) {
	if seq := n.missing[i]; !n.first.After(seq) {
		n.first = seq + 1
	}
	n.missing = slices.Delete(n.missing, i, i+1)
}

// miss notes that everything before seq is missing.
func (n *neighbor) miss(seq syncwire.Seq) {
	for ; n.next != seq; n.next++ {
		n.missing = append(n.missing, n.next)
	}
	for n.absent && len(n.missing) > 0 {
		n.lose(0)
	}
	n.absent = false
}

// host is a host with its module and session table. Its methods use the vector as a worker does.
type host struct {
	w    *world
	id   syncwire.ID
	up   bool
	side int // hosts on different sides do not hear each other
	slow int // one of so many steps of a full sync is taken
	// boots counts the restarts of this incarnation.
	boots int

	// table, queue and dropped are the module's: queue has the sessions of the table that it has not reported yet, dropped is
	// since when its counter tells that it has dropped some of them.
	table   table
	queue   []entry
	dropped time.Time
	// refused is true if the module has refused a session, and the host has not read that error yet.
	refused bool

	generation uint32
	seq        syncwire.Seq
	sent       map[syncwire.Seq]entry // live datagrams that can be repeated
	known      []*neighbor            // in the order in which they were first heard
	listening  time.Time              // since when; zero: the host does not listen

	vector    Vector
	stored    []syncwire.Component // from before live sessions began to wait; nil: none wait
	held      []entry
	doubts    int
	evicted   bool // while a full sync arrives
	unclaimed map[syncwire.ID]time.Time
	bereaved  time.Time           // when a peer was last found to be gone
	served    map[syncwire.ID]int // doubts when the peer was sent the table that it has not returned anything for
	in        *modelIncoming
}

// modelIncoming is a full sync that arrives.
type modelIncoming struct {
	from          syncwire.ID
	boots         int // of the sender
	asked         bool
	vector, whole []syncwire.Component // the sender's and the own one, from before the tables were read
	wholeDoubts   int
	believed      bool // the vector may be merged
	doubts        int  // when the comparison that the vector is about began
	senderDoubts  int  // the sender's, when it sent BEGIN
	theirs, own   *table
	ended         bool // the sender has sent END
	compared      bool
	inject, give  []entry
}

// returned are sessions that a receiver returns to the sender of a full sync. They are queued at the receiver.
type returned struct {
	from, to syncwire.ID
	entries  []entry
	vector   []syncwire.Component
}

func (h *host) position() syncwire.Position {
	return syncwire.Position{Generation: h.generation, Seq: h.seq}
}

func (h *host) find(id syncwire.ID) *neighbor {
	for _, n := range h.known {
		if n.id == id {
			return n
		}
	}
	return nil
}

// hears reports whether a host is reachable for another one.
func (h *host) hears(other *host) bool {
	return other != nil && other != h && h.up && other.up && other.side == h.side
}

// live reports whether a host takes a peer to be there.
func (h *host) live(id syncwire.ID) bool {
	n := h.find(id)
	return n != nil && n.live
}

// advance updates the vector with the live datagrams that have arrived.
func (h *host) advance() {
	for _, n := range h.known {
		if n.live {
			h.vector.Lives(n.id)
		}
		if n.live || n.lived {
			h.vector.Advance(n.id, n.first, n.lastReceived(), n.top)
		}
		if n.lived && !n.live {
			h.bereaved = h.w.now
		}
		n.lived = n.live
	}
	if h.vector.Age(h.w.now, longest, h.live) {
		h.generation++
		h.evicted = h.evicted || h.stored != nil
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

// ownOf leaves the component of a vector's host.
func ownOf(id syncwire.ID, vector []syncwire.Component) []syncwire.Component {
	return slices.DeleteFunc(slices.Clone(vector), func(c syncwire.Component) bool { return c.Origin != id })
}

// doubt notes that the table may lack anything, and withdraws what the host is about to claim.
func (h *host) doubt() {
	h.advance()
	h.doubts++
	h.vector.ForgetAll()
	for i := range h.w.returns {
		if r := &h.w.returns[i]; r.from == h.id {
			r.vector = ownOf(h.id, r.vector)
		}
	}
	if h.stored != nil {
		h.stored = []syncwire.Component{}
	}
	for _, n := range h.known {
		n.first = n.next
	}
}

// readErrors learns that the module has refused sessions.
func (h *host) readErrors() {
	if h.refused {
		h.refused = false
		h.doubt()
	}
}

func (h *host) merge(vector []syncwire.Component, doubts int) {
	if doubts != h.doubts {
		return
	}
	h.advance()
	h.vector.Merge(Others(vector, h.id), h.w.now, h.live)
}

// store gives the module a session of another host's, which it may refuse.
func (h *host) store(e entry) {
	if !h.w.settling && h.w.rand.IntN(h.w.refuses) == 0 {
		h.refused = true
		return
	}
	h.table.put(e)
}

// deliver takes a live session to the table, or has it wait for the full sync that is under way.
func (h *host) deliver(e entry) {
	if h.in != nil {
		h.held = append(h.held, e)
		return
	}
	h.store(e)
}

// hear notes a datagram of a peer. If the peer is new, seq is expected next, unless the vector tells.
func (h *host) hear(from *host, seq syncwire.Seq) *neighbor {
	n := h.find(from.id)
	if n == nil {
		h.known = slices.DeleteFunc(h.known, func(n *neighbor) bool { return n.host == from && n.replaced })
		for _, n := range h.known {
			if n.host == from {
				n.live, n.replaced = false, true
			}
		}
		if c, found := h.vector.Get(from.id); found && c.Known {
			seq = c.Complete.Seq + 1
		}
		n = &neighbor{host: from, id: from.id, first: seq, next: seq, top: seq - 1, last: h.w.now}
		h.known = append(h.known, n)
	}
	if h.w.now.Sub(n.last) > absentAfter {
		n.greeted, n.absent = false, true
		delete(h.served, n.id)
	}
	n.live, n.replaced, n.last = true, false, h.w.now
	return n
}

// receive receives a live datagram.
func (h *host) receive(from *host, seq syncwire.Seq, e entry) {
	n := h.hear(from, seq)
	if n.next.After(seq) {
		return
	}
	n.miss(seq)
	n.top = seq
	n.next++
	n.absent = false
	h.deliver(e)
}

// repair receives the i-th missing datagram of a peer, whose session may have been reported again since.
func (h *host) repair(n *neighbor, i int) {
	seq := n.missing[i]
	e, kept := n.host.sent[seq]
	if !kept {
		n.lose(i)
		return
	}
	h.hear(n.host, seq)
	n.missing = slices.Delete(n.missing, i, i+1)
	if e.stamp != 0 {
		if seq.After(n.top) {
			n.top = seq
		}
		h.deliver(e)
	}
}

// greet receives a HELLO.
func (h *host) greet(from *host, vector []syncwire.Component, complete bool) {
	n := h.hear(from, from.seq+1)
	if !n.next.After(from.seq) {
		n.miss(from.seq + 1)
	} else if n.next == from.seq+1 {
		n.absent = false
	}
	n.greeted, n.hello, n.complete = true, h.w.now, complete
	n.generation, n.vector = from.generation, vector
	if from.position() == (syncwire.Position{}) {
		h.vector.Empty(from.id)
	}
}

// finish ends a full sync.
func (h *host) finish() {
	h.in, h.stored = nil, nil
	for _, e := range h.held {
		h.store(e)
	}
	h.held = nil
	if h.evicted { // no component counts the sessions that waited
		h.generation++
		h.evicted = false
	}
}
