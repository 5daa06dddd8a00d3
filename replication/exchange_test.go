package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// lack says that a host may lack sessions of an origin that a peer has.
type lack struct {
	peer, origin syncwire.ID
	gap          Gap
}

// judge gives up what no live host has, and returns what the table may lack of the live peers' tables.
func (h *host) judge() (lacks []lack) {
	h.advance()
	live := h.peers()
	vectors := make([][]syncwire.Component, len(live))
	for i, other := range live {
		vectors[i] = other.hello()
	}
	if h.in == nil { // else its sessions come later than the generation
		if _, took := h.vector.TakeOver(vectors); took {
			h.generation++
		}
	}
	for i, other := range live {
		if gap, is := h.vector.Gap(other.id, other.position()); is {
			lacks = append(lacks, lack{other.id, other.id, gap})
		}
		for _, c := range vectors[i] {
			if c.Origin == h.id || time.Duration(c.Age)*time.Second > longest || h.live(c.Origin) {
				continue
			}
			if gap, is := h.vector.Gap(c.Origin, c.Highest); is {
				lacks = append(lacks, lack{other.id, c.Origin, gap})
			}
		}
	}
	return lacks
}

// best returns the peer that has most of the missing sessions.
func (h *host) best(lacks []lack) *host {
	var best *host
	most, complete := -1, false
	for _, other := range h.peers() {
		n := 0
		for _, l := range lacks {
			if l.peer == other.id || l.origin == other.id {
				n++
			}
		}
		yes := len(other.judge()) == 0
		if best == nil || n > most || n == most && yes && !complete {
			best, most, complete = other, n, yes
		}
	}
	return best
}

// begin begins a full sync from a peer.
func (h *host) begin(from *host, asked bool) {
	h.in = &incoming{from: from.id, asked: asked, vector: from.whole(), believed: true, doubts: h.doubts, servedDoubts: from.doubts}
	h.stored = h.components()
	h.in.whole = h.whole()
}

// readTheirs has the sender read its table. false: it is not there any more.
func (h *host) readTheirs() bool {
	if !h.live(h.in.from) {
		return false
	}
	from := h.w.hosts[h.in.from]
	read := from.table
	h.in.theirs = &read
	if h.in.asked {
		from.served[h.id] = h.in.servedDoubts
	}
	return true
}

func (h *host) readOwn() {
	read := h.table
	h.in.own = &read
}

// compare compares the tables, and gives back what the sender lacks.
func (h *host) compare() {
	in := h.in
	in.compared = true
	var give []entry
	for k := range keys {
		theirs, own := h.w.alive(in.theirs[k]), h.w.alive(in.own[k])
		if theirs > own {
			in.inject = append(in.inject, entry{k, theirs})
		} else if own > theirs {
			give = append(give, entry{k, own})
		}
	}
	if in.asked && (len(give) > 0 || !Covered(in.vector, in.whole)) {
		h.w.returns = append(h.w.returns, returned{h.id, in.from, give, Union(in.whole, in.vector)})
	}
	h.vector.Hold(Others(in.vector, h.id), h.w.now, h.live)
}

// inject stores n sessions of the full sync, and ends it when all are stored.
func (h *host) inject(n int) {
	in := h.in
	for ; n > 0 && len(in.inject) > 0; n-- {
		h.table.put(in.inject[0])
		in.inject = in.inject[1:]
	}
	if len(in.inject) > 0 {
		return
	}
	if in.believed {
		h.merge(in.vector, in.doubts)
	}
	h.finish()
}

// takeReturn begins to store the sessions that a peer gives back.
func (h *host) takeReturn(r returned) {
	doubts, believed := h.served[r.from]
	if len(r.entries) == 0 {
		delete(h.served, r.from)
		if believed {
			h.merge(r.vector, doubts)
		}
		return
	}
	if h.in != nil {
		return
	}
	delete(h.served, r.from)
	var theirs table
	for _, e := range r.entries {
		theirs.put(e)
	}
	h.in = &incoming{from: r.from, vector: r.vector, believed: believed, doubts: doubts, theirs: &theirs}
	h.stored = h.components()
	h.in.whole = h.whole()
}

// step takes the next step of the full sync that arrives, or as much as possible of it.
func (h *host) step(all bool) {
	in := h.in
	first := all || h.w.rand.IntN(2) == 0
	switch {
	case in.theirs == nil && (first || in.own != nil):
		if !h.readTheirs() {
			h.finish()
		}
	case in.own == nil:
		h.readOwn()
	case !in.compared:
		h.compare()
	case all:
		h.inject(keys)
	default:
		h.inject(1 + h.w.rand.IntN(4))
	}
}

// report has a host's module report a session, which each peer receives or not.
func (h *host) report(key int) {
	e := entry{key, h.w.stamp()}
	h.table.put(e)
	for seq, before := range h.sent {
		if before.key == key {
			h.sent[seq] = entry{key, 0} // a repeat leaves it out
		}
	}
	if h.seq++; h.seq == 0 { // a position of zeros is that of an origin without sessions
		h.sent[0] = entry{}
		h.seq++
	}
	h.sent[h.seq] = e
	for _, other := range h.peers() {
		if h.w.rand.IntN(6) > 0 {
			other.take(h.id, h.seq, e)
		}
	}
}

// drop has a host's table get a session that is in no live datagram.
func (h *host) drop(key int) {
	h.table.put(entry{key, h.w.stamp()})
	h.generation++
}

// incarnate begins a new run of a host, which knows nothing about its table.
func (h *host) incarnate() {
	h.w.lastID++
	delete(h.w.hosts, h.id)
	id := syncwire.ID(h.w.lastID*2654435761 | 1)
	fresh := host{w: h.w, id: id, up: true, side: h.side, table: h.table}
	*h = fresh
	h.reset()
	if h.table != (table{}) {
		h.generation = 1
		if h.w.rand.IntN(4) == 0 {
			h.seq = syncwire.Seq(0xffffffff - h.w.rand.Uint32N(4))
		}
	}
	h.w.hosts[id] = h
	h.w.ids = append(h.w.ids, id)
	slices.Sort(h.w.ids)
}

// inherit restarts a host that keeps its ID and its vector. It returns false if the table is not what the vector says.
func (h *host) inherit() bool {
	if h.in != nil && h.in.compared || len(h.held) > 0 {
		return false
	}
	h.advance()
	vector, left := h.vector.Components(h.w.now), h.w.now
	h.w.sleep()
	h.in, h.stored, h.vector, h.doubts = nil, nil, Vector{}, 0
	h.reset()
	h.vector.Merge(vector, left, func(syncwire.ID) bool { return false })
	return true
}

func (h *host) reset() {
	h.sent, h.streams, h.served = make(map[syncwire.Seq]entry), make(map[syncwire.ID]*stream), make(map[syncwire.ID]int)
}
