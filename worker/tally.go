package worker

import (
	"fmt"
	"slices"
	"time"

	"joolctl/syncwire"
)

// namedFor is how long a peer's counters are named after they were last found not to
// agree with ours.
const namedFor = time.Hour

// tally compares a peer's count of its live datagrams (NET_SENT, but for what has no
// number of its own) with what came, from HELLO to HELLO. Nothing that a network does
// makes them differ: what is missing is known by its number.
//
// Anybody can forge a HELLO. So two in a row have to disagree with base, and base
// with none: with one that has never agreed with another, the next will do.
type tally struct {
	base, last reading
	known      bool // there is a base
	agreed     bool // it has agreed with another
	disagree   int  // HELLOs in a row that disagree with it
	broken     string
	until      time.Time // broken is named
}

// reading is both sides' counts at one HELLO: theirs, and what their stream says.
type reading struct {
	number                       syncwire.Seq // of the last live datagram
	sent, sentBytes              uint64
	passed, skipped, passedBytes uint64
}

// check takes the counts of a HELLO.
func (t *tally) check(r reading, now time.Time) {
	before := t.last
	t.last = r
	why := ""
	if t.known {
		why = r.since(t.base)
	}
	if why == "" {
		t.base, t.known, t.agreed, t.disagree = r, true, t.known, 0
		return
	}
	if t.disagree++; t.disagree < 2 {
		return
	}
	followed := r.since(before) == ""
	if t.agreed || !followed {
		t.broken, t.until = why, now.Add(namedFor)
	}
	t.base, t.agreed, t.disagree = r, followed, 0
}

// since says in what a reading does not follow an earlier one; "": it does.
func (r reading) since(earlier reading) string {
	numbers := uint64(uint32(r.number - earlier.number))
	sent, sentBytes := r.sent-earlier.sent, r.sentBytes-earlier.sentBytes
	passed, skipped, bytes := r.passed-earlier.passed, r.skipped-earlier.skipped, r.passedBytes-earlier.passedBytes
	switch {
	case passed+skipped != numbers:
		return fmt.Sprintf("%d live datagrams, of which %d came and %d are missing", numbers, passed, skipped)
	case sent > numbers:
		return fmt.Sprintf("%d live datagrams with %d numbers", int64(sent), numbers)
	case sent < numbers: // what its socket reported an error for may have left all the same
	case int64(sentBytes) < 0, bytes > sentBytes, skipped == 0 && bytes != sentBytes:
		return fmt.Sprintf("%d bytes in %d live datagrams, of which %d bytes came in %d", int64(sentBytes), sent, bytes, passed)
	}
	return ""
}

// compareLive takes what a peer says in a HELLO that it has sent, up to number.
func (p *pumps) compareLive(from *peer, h *syncwire.Hello, number syncwire.Seq, now time.Time) {
	s := &from.stream
	if !h.TellsLive || s.next != number+1 { // the HELLO was overtaken by live datagrams
		return
	}
	was := from.tally.until
	from.tally.check(reading{number, h.LiveDatagrams, h.LiveBytes, s.passed, s.skipped, s.bytes}, now)
	if from.tally.until != was {
		p.w.log.warn("what a peer says that it sent is not what came", "from", from.Address, "sent", from.tally.broken)
		p.publishBroken(now)
	}
}

// publishBroken lets others see which counters disagree.
func (p *pumps) publishBroken(now time.Time) {
	broken := slices.Clone(p.audit.broken)
	for address, from := range p.w.peers.byAddress {
		if now.Before(from.tally.until) {
			broken = append(broken, fmt.Sprintf("NET_SENT of peer %v: %s", address, from.tally.broken))
		}
	}
	slices.Sort(broken)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.state.Broken = broken
}
