package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	// firstNackAgain is the pause after a datagram's first NACK; each further pause is nackFactor times as long.
	firstNackAgain = 50 * time.Millisecond
	nackFactor     = 4
)

// missing is a datagram in a gap that was skipped.
type missing struct {
	seq   syncwire.Seq
	nacks int       // sent for it
	since time.Time // when the gap was skipped
	again time.Time // when the next NACK is due
}

// Lost returns how many datagrams are lost for good, and Repaired how many a retransmission has brought or made
// unnecessary.
func (s *Stream) Lost() uint64     { return s.lost }
func (s *Stream) Repaired() uint64 { return s.repaired }

// Waiting reports whether a datagram is missing or buffered, so that Tick has something to do.
func (s *Stream) Waiting() bool { return len(s.missing) > 0 || len(s.buffered) > 0 }

// MissingSince returns when the oldest datagram was found missing that may still arrive; zero: none is missing.
func (s *Stream) MissingSince() time.Time {
	for _, m := range s.missing {
		if s.claims(m.seq) {
			return m.since
		}
	}
	return time.Time{}
}

// miss notes that all datagrams before seq are missing. If there are too many, the oldest count as lost, and all of a
// sender that was absent (see Absent).
func (s *Stream) miss(seq syncwire.Seq, now time.Time) {
	most := MaxMissing
	if s.absent {
		s.absent, most = false, 0
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

// lose notes that a datagram is lost for good, which ends the claim of Complete about those before it.
func (s *Stream) lose(seq syncwire.Seq) {
	s.lost++
	if s.claims(seq) {
		s.first = seq + 1
	}
}

// repair delivers the retransmission of a missing datagram.
func (s *Stream) repair(seq syncwire.Seq, data []byte, deliver func([]byte)) bool {
	if !s.found(seq) {
		return false
	}
	if seq.After(s.top) {
		s.top = seq
	}
	s.repaired++
	s.repairing = seq
	s.deliverAs(syncwire.Retransmission, data, deliver)
	return true
}

// found removes a datagram from the missing ones. It returns false if the datagram is not missing.
func (s *Stream) found(seq syncwire.Seq) bool {
	for i := range s.missing {
		if s.missing[i].seq == seq {
			s.missing = slices.Delete(s.missing, i, i+1)
			return true
		}
	}
	return false
}

// Tick skips gaps that were open for ReorderFor. It returns what to request in a NACK now, at most syncwire.MaxRanges
// ranges, and when to call Tick again (zero: not needed).
func (s *Stream) Tick(now time.Time, deliver func([]byte)) (nack []syncwire.Range, again time.Time) {
	for len(s.buffered) > 0 && !now.Before(s.bufferUntil) {
		s.skipGap(now, deliver)
	}
	if len(s.buffered) > 0 {
		again = s.bufferUntil
	}
	kept := s.missing[:0]
	for _, m := range s.missing {
		if !now.Before(m.again) {
			if m.nacks == MaxNacks {
				s.lose(m.seq)
				continue
			}
			if len(nack) == syncwire.MaxRanges && nack[len(nack)-1].To+1 != uint32(m.seq) {
				m.again = now.Add(ReorderFor) // the NACK is full
			} else {
				nack = AppendRange(nack, uint32(m.seq))
				pause := firstNackAgain
				for range m.nacks {
					pause *= nackFactor
				}
				m.again = now.Add(pause)
				m.nacks++
			}
		}
		if again.IsZero() || m.again.Before(again) {
			again = m.again
		}
		kept = append(kept, m)
	}
	s.missing = kept
	return nack, again
}

// Suppress delays NACKs for datagrams that another receiver has just requested: the retransmission goes to the whole group.
func (s *Stream) Suppress(ranges []syncwire.Range, now time.Time) {
	for i := range s.missing {
		m := &s.missing[i]
		if m.nacks == 0 && inRanges(ranges, uint32(m.seq)) {
			m.again = now.Add(firstNackAgain)
		}
	}
}

// Gone takes a GONE: the sender does not retransmit these datagrams any more. They are lost, or, if lost is false, all their
// sessions were sent again since. It returns how many of them were missing.
func (s *Stream) Gone(ranges []syncwire.Range, lost bool) (n int) {
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

// AppendRange appends a number, which must not be below any in ranges. The last range grows if the number follows it.
func AppendRange(ranges []syncwire.Range, n uint32) []syncwire.Range {
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
