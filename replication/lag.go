package replication

import (
	"time"

	"joolctl/syncwire"
)

const (
	// lagMarks marks of sent live datagrams are kept, markEvery apart at least: those of four seconds under load, so that one
	// HELLO of a peer may get lost.
	lagMarks  = 256
	markEvery = 16 * time.Millisecond
)

// Lag says how far a peer's table is behind the host's live datagrams, by the peer's last HELLO. It is not below the truth at
// the moment when that HELLO arrived.
type Lag struct {
	// Known is false if the peer needs a full sync before its position in the host's live datagrams says what its table has.
	Known bool
	// Sessions is how many sessions the host had sent and the peer had not stored.
	Sessions uint64
	// Age is how long ago the first of them was sent.
	Age time.Duration
}

// Behind reports whether lag a is larger than lag b. The age counts first.
func (a Lag) Behind(b Lag) bool {
	return a.Age > b.Age || a.Age == b.Age && a.Sessions > b.Sessions
}

// SentLog remembers when the host's last live datagrams were sent, and how many sessions had been sent before each. The zero value
// is empty, and has no memory.
type SentLog struct {
	marks []sentMark // the ring; nil: empty
	next  int        // where the next mark goes
	n     int
	last  syncwire.Seq // the newest datagram
	at    time.Time    // when it was sent
	total uint64       // sessions in all datagrams so far
}

// sentMark says that before the datagram with number seq, sent at the time at, before sessions had been sent.
type sentMark struct {
	seq    syncwire.Seq
	before uint64
	at     time.Time
}

// Put records a live datagram that is sent now.
func (s *SentLog) Put(seq syncwire.Seq, sessions int, now time.Time) {
	if s.marks == nil {
		s.marks = make([]sentMark, lagMarks)
	}
	if s.n == 0 || now.Sub(s.newest().at) >= markEvery {
		s.marks[s.next] = sentMark{seq, s.total, now}
		s.next = (s.next + 1) % lagMarks
		s.n = min(s.n+1, lagMarks)
	}
	s.last, s.at = seq, now
	s.total += uint64(sessions)
}

func (s *SentLog) newest() *sentMark { return s.mark(0) }

// mark returns the mark that has so many newer ones.
func (s *SentLog) mark(newer int) *sentMark {
	return &s.marks[(s.next-1-newer+lagMarks)%lagMarks]
}

// Free forgets all datagrams, and frees the memory.
func (s *SentLog) Free() { *s = SentLog{total: s.total} }

// from returns a mark of a datagram that is not newer than seq, the newest of those. It returns false if the log does not reach
// back so far.
func (s *SentLog) from(seq syncwire.Seq) (sentMark, bool) {
	for i := range s.n {
		if m := s.mark(i); !m.seq.After(seq) {
			return *m, true
		}
	}
	return sentMark{}, false
}

// sentBy returns how many sessions had been sent by a moment: at least so many.
func (s *SentLog) sentBy(at time.Time) uint64 {
	if !s.at.After(at) {
		return s.total
	}
	for i := range s.n {
		if m := s.mark(i); !m.at.After(at) {
			if i == 0 {
				return s.total
			}
			return s.mark(i - 1).before
		}
	}
	return s.total
}

// lagging is the way of a peer through the host's live datagrams, by the peer's HELLOs.
type lagging struct {
	Lag
	// first marks the first datagram that the peer had not stored at its last HELLO, or an earlier one. It is void unless Known.
	first sentMark
}

// hello takes the vector of the peer's HELLO, which arrived at the time came.
func (l *lagging) hello(vector []syncwire.Component, k *Knowledge, s *SentLog, came time.Time) {
	own, stored, known := k.Position(), syncwire.Position{}, false
	for i := range vector {
		if vector[i].Origin == k.Self() {
			stored, known = vector[i].Complete, vector[i].Known
		}
	}
	l.take(stored, known, own, s, came)
}

// take takes the position up to which the peer had stored the host's sessions. own is the host's position.
func (l *lagging) take(stored syncwire.Position, known bool, own syncwire.Position, s *SentLog, came time.Time) {
	switch {
	case own == (syncwire.Position{}) || known && stored.Covers(own):
		// The next datagram is sent after came.
		*l = lagging{Lag: Lag{Known: true}, first: sentMark{own.Seq + 1, s.total, came}}
		return
	case !known || stored.Generation < own.Generation:
		*l = lagging{}
		return
	}
	first, found := s.from(stored.Seq + 1)
	if !found { // the log does not reach back so far
		if !l.Known {
			return
		}
		first = l.first
	}
	*l = lagging{Lag: Lag{Known: true}, first: first}
	if first.at.Before(came) {
		sent := s.sentBy(came)
		l.Age, l.Sessions = came.Sub(first.at), sent-min(first.before, sent)
	}
}
