package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// open has a host's module get a session, which it reports later.
func (h *host) open(key int) {
	e := entry{key, h.w.stamp(h.id)}
	h.table.put(e)
	h.queue = append(h.queue, e)
}

// drop has the module drop the session that it is about to report. Its counter tells.
func (h *host) drop() {
	h.count(h.queue[0])
	h.queue = h.queue[1:]
	if h.dropped.IsZero() {
		h.dropped = h.w.now
	}
}

// count notes that the position counts the session, or will as soon as the host reads the module's counters.
func (h *host) count(e entry) { h.w.versions[e.stamp].counted = true }

// poll has the host read its module's counters.
func (h *host) poll() {
	if !h.dropped.IsZero() {
		h.dropped = time.Time{}
		h.generation++
	}
}

// report has the module report a session, which each peer receives or not.
func (h *host) report() {
	e := h.queue[0]
	h.queue = h.queue[1:]
	h.count(e)
	for seq, before := range h.sent {
		if before.key == e.key {
			h.sent[seq] = entry{e.key, 0} // a retransmission omits it
		}
	}
	if h.seq++; h.seq == 0 { // the zero position is that of an origin without sessions
		h.generation++
	}
	h.sent[h.seq] = e
	for _, other := range h.w.order {
		if other.hears(h) && h.w.rand.IntN(h.w.lost) > 0 {
			other.receive(h, h.seq, e)
		}
	}
}

// sayHello has each peer receive a HELLO or not.
func (h *host) sayHello(all bool) {
	h.poll()
	lacks, judges := h.look()
	vector := h.hello()
	for _, other := range h.w.order {
		if other.hears(h) && (all || h.w.rand.IntN(6) > 0) {
			other.greet(h, vector, judges && len(lacks) == 0)
		}
	}
}

// incarnate begins a new incarnation of a host, which knows nothing about its table.
func (h *host) incarnate() {
	h.w.lastID++
	h.w.leave(h)
	id := syncwire.ID(h.w.lastID*2654435761 | 1)
	*h = host{w: h.w, id: id, up: true, side: h.side, slow: h.slow, table: h.table, queue: h.queue}
	h.reset()
	if h.table != (table{}) {
		h.generation = 1
	}
	if h.w.rand.IntN(6) == 0 { // it has run for long, unheard
		h.seq = syncwire.Seq(0xffffffff - h.w.rand.Uint32N(4))
	}
	h.w.hosts[id] = h
}

// inherit restarts a host that keeps its ID and its vector. It returns false if the vector is not that of the table.
func (h *host) inherit() bool {
	if h.in != nil && h.in.compared || len(h.held) > 0 || !h.dropped.IsZero() {
		return false
	}
	h.readErrors()
	h.advance()
	vector, unclaimed, left := h.vector.Components(h.w.now), h.unclaimed, h.w.now
	h.in, h.stored, h.vector, h.doubts, h.evicted = nil, nil, Vector{}, 0, false
	h.dropped = time.Time{} // later increases of the counter count
	h.reset()
	h.boots++
	h.vector.Merge(vector, left, func(syncwire.ID) bool { return false })
	h.unclaimed = unclaimed
	h.w.returns = slices.DeleteFunc(h.w.returns, func(r returned) bool { return r.from == h.id })
	return true
}

func (h *host) reset() {
	h.sent, h.known = make(map[syncwire.Seq]entry), nil
	h.served, h.unclaimed = make(map[syncwire.ID]int), make(map[syncwire.ID]time.Time)
	h.listening, h.bereaved = h.w.now, h.w.now
}
