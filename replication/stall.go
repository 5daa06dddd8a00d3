package replication

import (
	"maps"
	"time"

	"joolctl/session"
)

// maxStalled bounds the sessions that are sent again after a stall.
const maxStalled = 4096

// Stalls records the sessions whose reports may have waited while the process, or its host, was stopped. The module's messages
// do not have the time at which they were sent, and sessions whose report waited have less time left than it says.
type Stalls struct {
	noted   map[session.Key]struct{} // reported since; nil: nothing has stalled
	longest time.Duration            // for which reports may have waited
	again   map[session.Key]struct{} // to be sent again, once the module's table has been read
	reading bool                     // the module's table is being read for again
	// waiting has the sessions of later stalls meanwhile. overflow is true if more sessions were reported than are recorded.
	waiting  map[session.Key]struct{}
	overflow bool
}

// Suspect records what is reported from now on: it may have waited for that long.
func (s *Stalls) Suspect(longest time.Duration) {
	if s.noted == nil {
		s.noted = make(map[session.Key]struct{})
	}
	s.longest = max(s.longest, longest)
}

// Reported takes sessions that were just reported. Those that may have waited count as having waited for as long as possible,
// until they are sent again: a peer that compares tables meanwhile must not find its own records to be newer, and return them.
func (s *Stalls) Reported(f session.Format, entries []byte) {
	if s.noted != nil && len(entries) > 0 {
		session.AgeList(entries, s.longest)
	}
	s.note(f, entries)
}

// Delayed takes sessions that were sent that long after they were reported: the stall began in between.
func (s *Stalls) Delayed(f session.Format, entries []byte, by time.Duration) {
	s.Suspect(by)
	s.note(f, entries)
}

func (s *Stalls) note(f session.Format, entries []byte) {
	if s.noted == nil && len(s.again) == 0 && len(s.waiting) == 0 {
		return
	}
	var copied session.Record
	for size := f.EntryLen(); len(entries) >= size; entries = entries[size:] {
		key := f.RecordIn(entries, &copied).Key()
		delete(s.again, key)
		delete(s.waiting, key)
		switch {
		case s.noted == nil:
		case len(s.noted) < maxStalled:
			s.noted[key] = struct{}{}
		default:
			s.overflow = true
		}
	}
}

// take returns the sessions to send again. Those that were recorded wait while the table is read for others: another reading would not
// end if stalls follow each other. nil: there are none now.
func (s *Stalls) take() (again map[session.Key]struct{}) {
	noted := s.noted
	s.noted, s.longest = nil, 0
	switch {
	case len(s.waiting) == 0:
		s.waiting = noted
	case len(s.waiting)+len(noted) > maxStalled:
		s.overflow = true
	default:
		maps.Copy(s.waiting, noted)
	}
	if s.reading || len(s.waiting) == 0 {
		return nil
	}
	s.again, s.waiting = s.waiting, nil
	return s.again
}

// SendStalled sends the sessions again that were reported after a stall, with the times left from the module's table, but
// not those that are reported again while it is read. If there are too many of them, or the table was read too often lately, peers
// get the times left by a full sync instead, which reads the table as often as the Sender allows.
func (h *Host) SendStalled() {
	s := &h.Stalls
	again := s.take()
	if again == nil {
		return
	}
	now := h.do.Now()
	if s.overflow || h.Sender.Exhausted(now) {
		s.overflow, s.again = false, nil
		h.Receiver.Missed(now)
		return
	}
	s.reading = true
	stop := func() bool {
		s.reading = len(again) > 0
		return !s.reading
	}
	h.do.ReadTable(h.Sessions(), now, stop, func(t Snapshot, err error) {
		s.reading = false
		defer clear(again)
		began := now
		now, s := h.do.Now(), h.do.Scratch()
		h.Sender.charge(now.Sub(began), now)
		if err != nil {
			h.do.Emit(StallUnread{err})
			h.Receiver.Missed(now)
			return
		}
		out := s.Out[:0]
		h.Coalescer.Begin(now)
		for _, r := range t.Records {
			if _, is := again[r.Key()]; is {
				r.Age(now.Sub(t.Base))
				h.Coalescer.Update(&r)
				out = h.appendRecord(out, &r)
				h.do.Count(CountRefreshed, 1)
			}
		}
		s.Out = out
		h.sendInPieces(out, now)
	})
}
