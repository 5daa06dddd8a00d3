package worker

import (
	"maps"
	"time"

	"joolctl/nsthread"
	"joolctl/replication"
	"joolctl/session"
)

// maxWaited bounds the sessions that are told again after a standstill.
const maxWaited = 4096

// waiting are the sessions whose reports may have waited while the process, or its
// host, was stopped. The module's messages don't say when they were sent, and what
// waited has less time left than they say.
type waiting struct {
	noted   map[session.Key]struct{} // reported since; nil: nothing has stood still
	longest time.Duration            // that they can have waited
	telling map[session.Key]struct{} // to be told again, as soon as the module's table has been read
}

// suspect notes what is reported from now on.
func (w *waiting) suspect(longest time.Duration) {
	if w.noted == nil {
		w.noted = make(map[session.Key]struct{})
	}
	w.longest = max(w.longest, longest)
}

// reported takes what has just been reported. What may have waited counts as having
// waited for the longest that it can have, until it is told again: a peer that
// compares meanwhile must not find that its own is newer, and give that back.
func (w *waiting) reported(f session.Format, entries []byte) {
	if w.noted != nil && len(entries) > 0 {
		session.AgeList(entries, w.longest)
	}
	w.note(f, entries)
}

// passedOn takes what was reported, and how long it took to pass it on: a standstill
// may come in the midst of that.
func (w *waiting) passedOn(f session.Format, entries []byte, took time.Duration) {
	if took > nsthread.Standstill {
		w.suspect(took)
		w.note(f, entries)
	}
}

func (w *waiting) note(f session.Format, entries []byte) {
	if w.noted == nil && len(w.telling) == 0 {
		return
	}
	var copied session.Record
	for size := f.EntryLen(); len(entries) >= size; entries = entries[size:] {
		key := f.RecordIn(entries, &copied).Key()
		delete(w.telling, key)
		if w.noted != nil && len(w.noted) < maxWaited {
			w.noted[key] = struct{}{}
		}
	}
}

// tell makes what was noted what is to be told, what has not been told yet included.
func (w *waiting) tell() (telling map[session.Key]struct{}) {
	noted := w.noted
	w.noted, w.longest = nil, 0
	if len(noted) == 0 {
		return nil
	}
	maps.Copy(noted, w.telling)
	clear(w.telling) // who tells that has nothing more to tell
	w.telling = noted
	return noted
}

// tellAgain passes on once more what was reported after a standstill, as it stands in
// the module's table now; but not what is reported again while that is read.
func (p *pumps) tellAgain(now time.Time) {
	telling := p.waiting.tell()
	if telling == nil {
		return
	}
	stop := func() bool { return len(telling) == 0 }
	p.do.readTable(p.sessions(), now, stop, func(t replication.Snapshot, err error) {
		defer clear(telling)
		if err != nil {
			p.w.log.warn("reading the session table after a standstill", "error", err)
			return
		}
		now, out := p.do.now(), p.out[:0]
		p.coalesce.Begin(now)
		for _, r := range t.Records {
			if _, is := telling[r.Key()]; is {
				r.Age(now.Sub(t.Base))
				p.coalesce.Update(&r)
				out = p.appendRecord(out, &r)
				p.w.counters.refreshed.Add(1)
			}
		}
		p.out = out
		p.sendInPieces(out, now)
	})
}
