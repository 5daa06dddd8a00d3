package replication

import (
	"time"

	"joolctl/syncwire"
)

// lack says that a host may lack sessions of an origin that a peer has. The gap's origin is 0 if the peer has not said what it
// has.
type lack struct {
	peer syncwire.ID
	gap  Gap
}

// look does the work of each wake-up: the host gives up the sessions that no live host has, takes over sessions whose
// origin is gone, and returns the sessions that its table may lack of the live peers' tables, according to their
// datagrams. A listening host does not judge.
func (h *host) look() (lacks []lack, judges bool) {
	h.advance()
	var vectors [][]syncwire.Component
	greeted := true
	for _, n := range h.known {
		if n.live {
			vectors = append(vectors, n.vector)
			greeted = greeted && n.greeted
		}
	}
	if h.in == nil && greeted { // else its sessions come later than the generation
		if _, took := h.vector.TakeOver(vectors); took {
			h.generation++
		}
	}
	lacks = h.lacking()
	if !h.listening.IsZero() {
		return lacks, false
	}
	if h.in == nil { // else its sessions come later than the generation, too
		h.settleUnclaimed(lacks)
	}
	return lacks, true
}

// lacking compares the vector with the positions in the live peers' last datagrams.
func (h *host) lacking() (lacks []lack) {
	for _, n := range h.known {
		if !n.live {
			continue
		}
		gap, is := h.vector.Gap(n.id, syncwire.Position{Generation: n.generation, Seq: n.next - 1})
		switch {
		case !n.greeted:
			lacks = append(lacks, lack{peer: n.id})
		case is:
			lacks = append(lacks, lack{n.id, gap})
		case h.behind(n):
			lacks = append(lacks, lack{n.id, Gap{Origin: n.id}})
		}
		lacks = append(lacks, h.lackingOfDead(n.id, n.vector, h.live)...)
	}
	return lacks
}

// behind reports whether another peer has more of a peer's datagrams.
func (h *host) behind(of *neighbor) bool {
	for _, n := range h.known {
		if !n.live {
			continue
		}
		for _, c := range n.vector {
			if c.Origin == of.id && c.Highest.Seq.After(of.next-1) {
				return true
			}
		}
	}
	return false
}

// lackingOfDead compares the vector with a peer's positions for origins that are not live.
func (h *host) lackingOfDead(peer syncwire.ID, vector []syncwire.Component, live func(syncwire.ID) bool) (lacks []lack) {
	for _, c := range vector {
		if c.Origin == h.id || time.Duration(c.Age)*time.Second > longest || live(c.Origin) {
			continue
		}
		if gap, is := h.vector.Gap(c.Origin, c.Highest); is {
			lacks = append(lacks, lack{peer, gap})
		}
	}
	return lacks
}

// couldLack is lacking as if every reachable host said HELLO now, for which a host reads its module's counters.
func (h *host) couldLack() (lacks []lack) {
	h.advance()
	inEarshot := func(id syncwire.ID) bool { return h.hears(h.w.hosts[id]) }
	for _, other := range h.w.order {
		if !h.hears(other) {
			continue
		}
		vector, at := other.hello(), other.position()
		if !other.dropped.IsZero() {
			at.Generation++
		}
		if gap, is := h.vector.Gap(other.id, at); is {
			lacks = append(lacks, lack{other.id, gap})
		}
		lacks = append(lacks, h.lackingOfDead(other.id, vector, inEarshot)...)
	}
	return lacks
}

// settleUnclaimed takes over the sessions of full syncs whose sender is gone before its position counted them. When
// another peer is gone, the sender may hold that peer's sessions, and may itself be gone before it has noticed. So the
// waiting time starts again.
func (h *host) settleUnclaimed(lacks []lack) {
	for id, stored := range h.unclaimed {
		n := h.find(id)
		switch {
		case n == nil || !n.live:
			delete(h.unclaimed, id)
			h.generation++
		case len(lacks) == 0 && n.hello.Sub(stored) > reportedWithin && n.hello.Sub(h.bereaved) > reportedWithin:
			delete(h.unclaimed, id)
		}
	}
}

// best returns the reachable peer that has most of the missing sessions.
func (h *host) best(lacks []lack) *host {
	var best *neighbor
	most := -1
	for _, n := range h.known {
		if !n.live || !h.hears(h.w.hosts[n.id]) {
			continue
		}
		count := 0
		for _, l := range lacks {
			if l.peer == n.id || l.gap.Origin == n.id {
				count++
			}
		}
		if best == nil || count > most || count == most && n.complete && !best.complete {
			best, most = n, count
		}
	}
	if best == nil {
		return nil
	}
	return best.host
}

// begin begins a full sync from a peer.
func (h *host) begin(from *host, asked bool) {
	from.hear(h, h.seq+1)
	h.hear(from, from.seq+1)
	h.in = &modelIncoming{from: from.id, boots: from.boots, asked: asked, vector: from.whole(), believed: true, doubts: h.doubts, senderDoubts: from.doubts}
	h.receives()
}

// receives notes what the table contains before the host reads it, and before live sessions wait.
func (h *host) receives() {
	h.stored = h.components()
	h.in.whole, h.in.wholeDoubts = h.whole(), h.doubts
}

// sender is that of the full sync that arrives; nil: it is not there any more.
func (h *host) sender() *host {
	from := h.w.hosts[h.in.from]
	if !h.hears(from) || from.boots != h.in.boots {
		return nil
	}
	return from
}

// readTheirs has the sender read its table. false: it is not there any more.
func (h *host) readTheirs() bool {
	from := h.sender()
	if from == nil {
		return false
	}
	read := from.table
	h.in.theirs = &read
	return true
}

// end receives END. false: the sender is not there any more.
func (h *host) end() bool {
	in := h.in
	from := h.sender()
	if from == nil {
		return false
	}
	from.readErrors()
	in.ended = true
	if from.doubts != in.senderDoubts {
		in.vector = ownOf(in.from, in.vector)
	}
	if in.asked {
		from.hear(h, h.seq+1)
		from.served[h.id] = in.senderDoubts
	}
	return true
}

func (h *host) readOwn() {
	read := h.table
	h.in.own = &read
}

// compare compares the tables. The host may store sessions before END arrives.
func (h *host) compare() {
	in := h.in
	in.compared = true
	for k := range keys {
		theirs, own := h.w.alive(in.theirs[k]), h.w.alive(in.own[k])
		if theirs > own {
			in.inject = append(in.inject, entry{k, theirs})
		} else if own > theirs {
			in.give = append(in.give, entry{k, own})
		}
	}
	h.vector.RaiseHighest(Others(in.vector, h.id), h.w.now, h.live)
	if len(in.inject) > 0 {
		h.unclaimed[in.from] = h.w.now
	}
}

// giveBack returns what the sender lacks.
func (h *host) giveBack() {
	in := h.in
	if in.asked && (len(in.give) > 0 || !Covered(in.vector, in.whole)) {
		has := Union(in.whole, in.vector)
		if in.wholeDoubts != h.doubts {
			has = in.whole[:1] // the own table may have lacked sessions when the host read it
		}
		h.w.returns = append(h.w.returns, returned{h.id, in.from, in.give, has})
	}
}

// inject stores n sessions of the full sync, and ends it when all have arrived and are stored.
func (h *host) inject(n int) {
	in := h.in
	for ; n > 0 && len(in.inject) > 0; n-- {
		h.store(in.inject[0])
		in.inject = in.inject[1:]
	}
	if len(in.inject) > 0 || !in.ended {
		return
	}
	h.giveBack()
	h.readErrors()
	if in.believed {
		h.merge(in.vector, in.doubts)
	}
	h.finish()
}

// takeReturn begins to store the sessions that a peer returns.
func (h *host) takeReturn(r returned) {
	from := h.w.hosts[r.from]
	h.hear(from, from.seq+1)
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
	h.in = &modelIncoming{from: r.from, boots: from.boots, vector: r.vector, believed: believed, doubts: doubts, senderDoubts: from.doubts, theirs: &theirs}
	h.receives()
}

// step takes the next step of the full sync that arrives, or as much as possible of it.
func (h *host) step(all bool) {
	in := h.in
	first := all || h.w.rand.IntN(2) == 0
	goesOn := true
	switch {
	case in.theirs == nil && (first || in.own != nil):
		goesOn = h.readTheirs()
	case in.own == nil && (first || in.ended || in.theirs == nil):
		h.readOwn()
	case !in.ended && (first || in.own == nil || in.compared && len(in.inject) == 0):
		goesOn = h.end()
	case !in.compared:
		h.compare()
	case all:
		h.inject(keys)
	default:
		h.inject(1 + h.w.rand.IntN(2))
	}
	if !goesOn {
		h.finish()
	}
}
