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
	if s.noted == nil && len(s.again) == 0 {
		return
	}
	var copied session.Record
	for size := f.EntryLen(); len(entries) >= size; entries = entries[size:] {
		key := f.RecordIn(entries, &copied).Key()
		delete(s.again, key)
		if s.noted != nil && len(s.noted) < maxStalled {
			s.noted[key] = struct{}{}
		}
	}
}

// take returns the sessions to send again: those that were recorded, and those that have not been sent again so far. nil: there are
// no new ones.
func (s *Stalls) take() (again map[session.Key]struct{}) {
	noted := s.noted
	s.noted, s.longest = nil, 0
	if len(noted) == 0 {
		return nil
	}
	maps.Copy(noted, s.again)
	clear(s.again) // the former owner of this map has nothing more to send
	s.again = noted
	return noted
}

// SendStalled sends the sessions again that were reported after a stall, with the times left from the module's table, but
// not those that are reported again while it is read.
func (h *Host) SendStalled() {
	again := h.Stalls.take()
	if again == nil {
		return
	}
	stop := func() bool { return len(again) == 0 }
	h.do.ReadTable(h.Sessions(), h.do.Now(), stop, func(t Snapshot, err error) {
		defer clear(again)
		if err != nil {
			h.do.Emit(StallUnread{err})
			return
		}
		now, s := h.do.Now(), h.do.Scratch()
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
