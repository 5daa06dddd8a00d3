package worker

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	// holdFor and maxHeld bound how long, and how many, datagrams wait behind a
	// gap: what is reordered on the way is in order again by then.
	holdFor = 20 * time.Millisecond
	maxHeld = 64
	// maxMissing bounds how many datagrams of one sender are waited for; who
	// misses more needs a resync.
	maxMissing = 2048
	// asks is how often a missing datagram is asked for.
	asks = 4
	// restartAfter is how many datagrams and control messages in a row must be older than what came before until the sender
	// is taken to count from a lower number. What is reordered on the way comes between others that are not older.
	restartAfter = 8
)

// stream puts one sender's datagrams in order. It is pure: time comes from
// outside, and what it has to say is in its return values.
//
// A datagram that was missing when what is behind it went on is not taken any
// more when it comes late: its repeat is on the way, and that leaves out what
// has been reported again since. So nothing moves a session backwards.
type stream struct {
	sender  syncwire.ID
	started bool
	next    syncwire.Seq // in order
	// Every datagram from first on came or is still missing. top is the last one that was handed on.
	first, top syncwire.Seq
	behind     int       // datagrams and control messages in a row that are older than what came before
	restarts   int       // how often the sender was found to count from a lower number
	held       []held    // behind a gap, by sequence
	holdUntil  time.Time // the first of their ends
	missing    []missing // by sequence
	away       bool      // what is missing next was sent while the sender was not heard for long
	// jitter spreads what several receivers ask for at the same moment.
	jitter func() time.Duration
	// repeat is what a repeat goes to instead of deliver; nil: nothing else.
	repeat func([]byte)

	lost, repaired uint64
}

type held struct {
	kind  syncwire.Kind
	seq   syncwire.Seq
	data  []byte
	until time.Time
}

type missing struct {
	seq   syncwire.Seq
	asked int
	since time.Time
	again time.Time // when to ask next
}

// take receives a datagram's sessions and hands over, in order, what may go
// on. data is copied if it has to wait. taken is false if it is dropped: it has come
// too late, or before.
func (s *stream) take(kind syncwire.Kind, seq syncwire.Seq, data []byte, now time.Time, deliver func([]byte)) (taken bool) {
	if !s.started {
		if kind == syncwire.Repeat {
			return false // whoever asked for it is somebody else
		}
		s.begin(seq)
	}
	if s.next.After(seq) {
		if kind == syncwire.Repeat {
			return s.repair(seq, data, deliver)
		}
		if s.behind++; s.behind < restartAfter {
			return false
		}
		s.restart(seq, now, deliver)
	}
	s.behind = 0
	if seq == s.next {
		s.pass(kind, data, deliver)
		s.release(deliver)
		return true
	}
	return s.hold(kind, seq, data, now, deliver)
}

// begin has seq be the next that is expected.
func (s *stream) begin(seq syncwire.Seq) {
	s.started, s.next, s.first, s.top = true, seq, seq, seq-1
}

// restart takes it that the sender counts from a lower number again, which a host does whose memory was set back, or that
// a forged message was believed.
func (s *stream) restart(seq syncwire.Seq, now time.Time, deliver func([]byte)) {
	for len(s.held) > 0 {
		s.giveUp(now, deliver)
	}
	s.restarts++
	s.lost += uint64(len(s.missing))
	s.missing, s.behind = nil, 0
	s.begin(seq)
}

// repair takes a repeat of a missing datagram.
func (s *stream) repair(seq syncwire.Seq, data []byte, deliver func([]byte)) bool {
	if !s.found(seq) {
		return false
	}
	if seq.After(s.top) {
		s.top = seq
	}
	s.repaired++
	s.deliverAs(syncwire.Repeat, data, deliver)
	return true
}

// lose notes that a datagram is lost for good: what came before it no longer matters.
func (s *stream) lose(seq syncwire.Seq) {
	s.lost++
	if s.counts(seq) {
		s.first = seq + 1
	}
}

// counts reports whether a number is between first and next. The two may be further apart than After can tell.
func (s *stream) counts(seq syncwire.Seq) bool { return uint32(seq-s.first) < uint32(s.next-s.first) }

// last is the last datagram up to which every one from first on has come.
func (s *stream) last() syncwire.Seq {
	for _, m := range s.missing {
		if s.counts(m.seq) {
			return m.seq - 1
		}
	}
	return s.next - 1
}

// waitsSince is when the oldest datagram was found missing that still may come; zero: none is missing.
func (s *stream) waitsSince() time.Time {
	for _, m := range s.missing {
		if s.counts(m.seq) {
			return m.since
		}
	}
	return time.Time{}
}

// pass hands over what is next.
func (s *stream) pass(kind syncwire.Kind, data []byte, deliver func([]byte)) {
	s.top = s.next
	s.next++
	s.away = false
	s.deliverAs(kind, data, deliver)
}

// deliverAs hands over a datagram of a kind.
func (s *stream) deliverAs(kind syncwire.Kind, data []byte, deliver func([]byte)) {
	if kind == syncwire.Repeat && s.repeat != nil {
		deliver = s.repeat
	}
	deliver(data)
}

// found forgets that a datagram is missing.
func (s *stream) found(seq syncwire.Seq) bool {
	for i := range s.missing {
		if s.missing[i].seq == seq {
			s.missing = slices.Delete(s.missing, i, i+1)
			return true
		}
	}
	return false
}

// hold keeps what is behind a gap. false: it has come before.
func (s *stream) hold(kind syncwire.Kind, seq syncwire.Seq, data []byte, now time.Time, deliver func([]byte)) bool {
	i, dup := slices.BinarySearchFunc(s.held, seq, func(h held, seq syncwire.Seq) int { return int(int32(h.seq - seq)) })
	if dup {
		return false
	}
	until := now.Add(holdFor)
	if len(s.held) == 0 {
		s.holdUntil = until
	}
	s.held = slices.Insert(s.held, i, held{kind, seq, slices.Clone(data), until})
	if len(s.held) > maxHeld {
		s.giveUp(now, deliver)
	}
	return true
}

// release delivers the held datagrams that follow without a gap.
func (s *stream) release(deliver func([]byte)) {
	n := 0
	for n < len(s.held) && s.held[n].seq == s.next {
		s.pass(s.held[n].kind, s.held[n].data, deliver)
		n++
	}
	s.held = slices.Delete(s.held, 0, n)
	for i, h := range s.held {
		if i == 0 || h.until.Before(s.holdUntil) {
			s.holdUntil = h.until
		}
	}
}

// giveUp waits no longer for what is missing before the first that is held, and
// hands that over.
func (s *stream) giveUp(now time.Time, deliver func([]byte)) {
	if len(s.held) == 0 {
		return
	}
	s.miss(s.held[0].seq, now)
	s.release(deliver)
}

// miss notes that everything before seq is missing. The oldest are lost where
// there are too many, and all of a sender that was away: comparing the tables brings
// what they held, and makes way for it first.
func (s *stream) miss(seq syncwire.Seq, now time.Time) {
	most := maxMissing
	if s.away {
		s.away, most = false, 0
	}
	if gap := uint32(seq - s.next); gap > uint32(most) {
		s.lost += uint64(gap-uint32(most)) - 1
		s.next = seq - syncwire.Seq(most)
		s.lose(s.next - 1)
	}
	if over := len(s.missing) + int(seq-s.next) - most; over > 0 {
		for _, m := range s.missing[:over] {
			s.lose(m.seq)
		}
		s.missing = slices.Delete(s.missing, 0, over)
	}
	again := now
	if s.jitter != nil {
		again = now.Add(s.jitter())
	}
	for ; s.next != seq; s.next++ {
		s.missing = append(s.missing, missing{seq: s.next, since: now, again: again})
	}
}

// expectUpTo notes, from what the sender says that it sent last, that
// something is missing at the end.
func (s *stream) expectUpTo(last syncwire.Seq, now time.Time, deliver func([]byte)) {
	if !s.started {
		s.begin(last + 1)
		return
	}
	if last+1 == s.next {
		s.away, s.behind = false, 0
		return
	}
	if s.next.After(last) {
		if s.behind++; s.behind >= restartAfter {
			s.restart(last+1, now, deliver)
		}
		return
	}
	s.behind = 0
	for len(s.held) > 0 && !s.held[0].seq.After(last) {
		s.giveUp(now, deliver)
	}
	if !s.next.After(last) {
		s.miss(last+1, now)
		s.release(deliver)
	}
}

// tick does what is due and returns what to ask for now, and when to come
// again (zero: no need).
func (s *stream) tick(now time.Time, deliver func([]byte)) (ask []syncwire.Range, again time.Time) {
	for len(s.held) > 0 && !now.Before(s.holdUntil) {
		s.giveUp(now, deliver)
	}
	if len(s.held) > 0 {
		again = s.holdUntil
	}
	kept := s.missing[:0]
	for _, m := range s.missing {
		if !now.Before(m.again) {
			if m.asked == asks {
				s.lose(m.seq)
				continue
			}
			if len(ask) == syncwire.MaxRanges && ask[len(ask)-1].To+1 != uint32(m.seq) {
				m.again = now.Add(holdFor) // the message is full
			} else {
				ask = addToRanges(ask, uint32(m.seq))
				m.again = now.Add(50 * time.Millisecond << (2 * m.asked))
				m.asked++
			}
		}
		if again.IsZero() || m.again.Before(again) {
			again = m.again
		}
		kept = append(kept, m)
	}
	s.missing = kept
	return ask, again
}

// othersAsked puts off asking for what another receiver has just asked for: the
// repeat is for everybody.
func (s *stream) othersAsked(ranges []syncwire.Range, now time.Time) {
	for i := range s.missing {
		m := &s.missing[i]
		if m.asked == 0 && inRanges(ranges, uint32(m.seq)) {
			m.again = now.Add(50 * time.Millisecond)
		}
	}
}

// drop forgets what can't be had any more, or needn't: what the sender says is
// gone.
func (s *stream) drop(ranges []syncwire.Range, lost bool) (n int) {
	s.missing = slices.DeleteFunc(s.missing, func(m missing) bool {
		if !inRanges(ranges, uint32(m.seq)) {
			return false
		}
		n++
		if lost {
			s.lose(m.seq)
		} else {
			s.repaired++
		}
		return true
	})
	return n
}

// addToRanges appends a number that is not below any in ranges.
func addToRanges(ranges []syncwire.Range, n uint32) []syncwire.Range {
	if last := len(ranges) - 1; last >= 0 && ranges[last].To+1 == n {
		ranges[last].To = n
		return ranges
	}
	return append(ranges, syncwire.Range{From: n, To: n})
}

func inRanges(ranges []syncwire.Range, n uint32) bool {
	for _, r := range ranges {
		if n-r.From <= r.To-r.From {
			return true
		}
	}
	return false
}
