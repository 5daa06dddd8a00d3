package replication

import (
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// ReorderFor is how long a datagram is buffered behind a gap, and MaxBuffered how many datagrams of a sender are.
	// Datagrams that the network reorders arrive within that.
	ReorderFor  = 20 * time.Millisecond
	MaxBuffered = 64
	// MaxMissing bounds how many datagrams of one sender are requested; a host that misses more needs a full sync.
	MaxMissing = 2048
	// MaxNacks is how many NACKs request one datagram before it counts as lost.
	MaxNacks = 4
	// RestartAfter is how many datagrams and control messages in a row must have a lower sequence number than expected
	// before the sender is taken to count from a lower number. Reordered ones arrive between others that do not.
	RestartAfter = 8
)

// Stream puts one sender's datagrams in order, detects gaps and decides what to request with NACKs.
//
// A datagram that counts as missing when later ones were delivered is dropped if its original arrives late: the
// retransmission, which was requested, leaves out sessions that the sender has sent again since. So no session is
// overwritten by an older state of itself.
//
// The deliver function of Stream's methods receives a datagram's sessions, which are valid only until it returns.
type Stream struct {
	// Retransmitted receives retransmissions instead of deliver; nil: deliver receives them too.
	Retransmitted func(entries []byte)

	started bool
	next    syncwire.Seq // in order
	// Every datagram from first on has arrived or is missing. top is the last one that was delivered.
	first, top  syncwire.Seq
	behind      int        // datagrams and control messages in a row with a sequence number lower than expected
	restarts    int        // how often the sender was found to count from a lower number
	buffered    []buffered // behind a gap, by sequence number
	bufferUntil time.Time  // the first of their ends
	missing     []missing  // by sequence number
	later       *later     // nil: none is missing
	repairing   syncwire.Seq
	absent      bool      // the next gap covers a time in which the sender was not heard
	confirmed   time.Time // when the sender last said that it has sent nothing after the datagram before next
	jitter      func() time.Duration

	lost, repaired uint64
}

type buffered struct {
	kind  syncwire.Kind
	seq   syncwire.Seq
	data  []byte
	until time.Time
}

// NewStream returns the Stream of a sender that has not been heard yet. jitter returns the delay of a gap's first NACK, so
// that not all receivers request the same datagrams at the same moment; nil: no delay.
func NewStream(jitter func() time.Duration) Stream { return Stream{jitter: jitter} }

// Started reports whether the next sequence number is known.
func (s *Stream) Started() bool { return s.started }

// Start sets the sequence number that is expected next.
func (s *Stream) Start(next syncwire.Seq) {
	s.started, s.next, s.first, s.top = true, next, next, next-1
}

// Receive takes a datagram, and delivers, in order, the datagrams that no gap precedes. It copies data if the datagram has to be buffered.
// accepted is false if the datagram is dropped, because it arrived before or too late.
func (s *Stream) Receive(kind syncwire.Kind, seq syncwire.Seq, data []byte, now time.Time, deliver func([]byte)) (accepted bool) {
	if !s.started {
		if kind == syncwire.Retransmission {
			return false // another receiver requested it
		}
		s.Start(seq)
	}
	if s.next.After(seq) {
		if kind == syncwire.Retransmission {
			return s.repair(seq, data, deliver)
		}
		if s.behind++; s.behind < RestartAfter {
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
	return s.buffer(kind, seq, data, now, deliver)
}

// restart follows a sender that counts from a lower number again: its memory was set back, or a forged message with a
// higher number was believed.
func (s *Stream) restart(seq syncwire.Seq, now time.Time, deliver func([]byte)) {
	s.skipGaps(now, deliver)
	s.restarts++
	s.lost += uint64(len(s.missing))
	s.missing, s.behind = nil, 0
	s.Start(seq)
}

// Stop delivers the buffered datagrams, and forgets the missing ones and the next sequence number.
func (s *Stream) Stop(now time.Time, deliver func([]byte)) {
	s.skipGaps(now, deliver)
	s.started, s.missing = false, nil
}

// Absent notes that the sender was not heard for long. Its missing datagrams and those of the next gap count as lost at once:
// a full sync brings their sessions, unless the host holds newer states, and removes mappings that are in the way first.
func (s *Stream) Absent() {
	s.absent = true
	for _, m := range s.missing {
		s.lose(m.seq)
	}
	s.missing = nil
}

// pass delivers the next datagram.
func (s *Stream) pass(kind syncwire.Kind, data []byte, deliver func([]byte)) {
	s.top = s.next
	s.next++
	s.absent = false
	switch {
	case len(s.missing) == 0:
		s.later = nil
	case s.later == nil:
		s.later = new(later)
		fallthrough
	default:
		s.later.add(s.top, data)
	}
	s.repairing = s.top
	s.deliverAs(kind, data, deliver)
}

// deliverAs delivers a datagram according to its kind.
func (s *Stream) deliverAs(kind syncwire.Kind, data []byte, deliver func([]byte)) {
	if kind == syncwire.Retransmission && s.Retransmitted != nil {
		deliver = s.Retransmitted
	}
	deliver(data)
}

// buffer keeps a datagram that is behind a gap. It returns false if the datagram is buffered already.
func (s *Stream) buffer(kind syncwire.Kind, seq syncwire.Seq, data []byte, now time.Time, deliver func([]byte)) bool {
	i, dup := slices.BinarySearchFunc(s.buffered, seq, func(b buffered, seq syncwire.Seq) int { return int(int32(b.seq - seq)) })
	if dup {
		return false
	}
	until := now.Add(ReorderFor)
	if len(s.buffered) == 0 {
		s.bufferUntil = until
	}
	s.buffered = slices.Insert(s.buffered, i, buffered{kind, seq, slices.Clone(data), until})
	if len(s.buffered) > MaxBuffered {
		s.skipGap(now, deliver)
	}
	return true
}

// release delivers the buffered datagrams that follow without a gap.
func (s *Stream) release(deliver func([]byte)) {
	n := 0
	for n < len(s.buffered) && s.buffered[n].seq == s.next {
		s.pass(s.buffered[n].kind, s.buffered[n].data, deliver)
		n++
	}
	s.buffered = slices.Delete(s.buffered, 0, n)
	for i, b := range s.buffered {
		if i == 0 || b.until.Before(s.bufferUntil) {
			s.bufferUntil = b.until
		}
	}
}

// skipGap skips the gap before the oldest buffered datagram: it requests the missing datagrams, and delivers the buffered
// ones up to the next gap.
func (s *Stream) skipGap(now time.Time, deliver func([]byte)) {
	if len(s.buffered) == 0 {
		return
	}
	s.miss(s.buffered[0].seq, now)
	s.release(deliver)
}

func (s *Stream) skipGaps(now time.Time, deliver func([]byte)) {
	for len(s.buffered) > 0 {
		s.skipGap(now, deliver)
	}
}

// ExpectUpTo takes a sender's word that last is the last datagram that it has sent.
func (s *Stream) ExpectUpTo(last syncwire.Seq, now time.Time, deliver func([]byte)) {
	if !s.started {
		s.Start(last + 1)
		return
	}
	if last+1 == s.next {
		s.absent, s.behind, s.confirmed = false, 0, now
		return
	}
	if s.next.After(last) {
		if s.behind++; s.behind >= RestartAfter {
			s.restart(last+1, now, deliver)
		}
		return
	}
	s.behind = 0
	for len(s.buffered) > 0 && !s.buffered[0].seq.After(last) {
		s.skipGap(now, deliver)
	}
	if !s.next.After(last) {
		s.miss(last+1, now)
		s.release(deliver)
	}
}

// Buffering reports whether datagrams are buffered behind a gap, and until when the oldest gap is kept open for them:
// Tick has to be called then.
func (s *Stream) Buffering() (until time.Time, buffering bool) {
	return s.bufferUntil, len(s.buffered) > 0
}

// BufferedSessions returns how many sessions are buffered behind gaps.
func (s *Stream) BufferedSessions() (n uint64) {
	for i := range s.buffered {
		n += uint64(session.ListFormat(s.buffered[i].data).CountList(s.buffered[i].data))
	}
	return n
}

// Next returns the sequence number that is expected next.
func (s *Stream) Next() syncwire.Seq { return s.next }

// Confirmed returns when the sender last said that it has sent nothing after the datagram before Next; zero: never.
func (s *Stream) Confirmed() time.Time { return s.confirmed }

// Complete returns which datagrams have arrived: every one from first to last, and none after top. A datagram that is lost
// for good ends the claim about those before it.
func (s *Stream) Complete() (first, last, top syncwire.Seq) { return s.first, s.last(), s.top }

// Doubt ends the claim of Complete about all datagrams up to now.
func (s *Stream) Doubt() { s.first = s.next }

// last returns the last datagram up to which every one from first on has arrived.
func (s *Stream) last() syncwire.Seq {
	for _, m := range s.missing {
		if s.claims(m.seq) {
			return m.seq - 1
		}
	}
	return s.next - 1
}

// claims reports whether a sequence number is between first and next. The two may be further apart than After can tell.
func (s *Stream) claims(seq syncwire.Seq) bool { return uint32(seq-s.first) < uint32(s.next-s.first) }

// Restarts returns how often the sender was found to count from a lower number.
func (s *Stream) Restarts() int { return s.restarts }

// MayHaveRestarted reports whether the sender's last messages had sequence numbers lower than expected: it may count from
// a lower number again.
func (s *Stream) MayHaveRestarted() bool { return s.behind > 1 }
