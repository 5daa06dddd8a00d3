package sim

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"joolctl/session"
)

// tableEntry is an entry of a module's session table.
type tableEntry struct {
	id     int // in the Ledger
	record session.Record
	order  [12]byte // place in the table: src4, dst4
	Version
	ends     time.Time
	index    int // in the expiry heap
	bib      *mapping
	reported history
	back     time.Time // when a JOOLD_ADD last moved it back
	lost     loss
}

// setVersion changes state, timer and age.
func (s *tableEntry) setVersion(v Version, ttl time.Duration) {
	s.Version = v
	s.ends = v.Updated.Add(ttl)
	bits := uint16(s.record.Proto())<<5 | uint16(v.State)<<2 | uint16(v.Timer)
	binary.BigEndian.PutUint16(s.record[34:], bits)
}

// at returns the session's record with the time left at a moment.
func (s *tableEntry) at(now time.Time) session.Record {
	r := s.record
	r.SetExpires(uint32(max(s.ends.Sub(now).Milliseconds(), 0)))
	return r
}

// placeOf returns where a module's table has a record: ordered by src4, then dst4.
func placeOf(r *session.Record) (o [12]byte) {
	copy(o[:4], r[16:20])
	copy(o[4:6], r[30:32])
	copy(o[6:10], r[20:24])
	copy(o[10:], r[32:34])
	return o
}

// find returns a session's index in a table in order, and whether it is there.
func find(table []*tableEntry, place [12]byte) (int, bool) {
	return slices.BinarySearchFunc(table, place, func(s *tableEntry, p [12]byte) int { return bytes.Compare(s.order[:], p[:]) })
}

// history is the versions of a session that others can know: they left its module in reports, or came with a JOOLD_ADD.
// Versions that differ by little are one.
type history struct {
	first    time.Time // when the first version became known; zero: none has
	added    bool      // the newest version came with a JOOLD_ADD
	versions []known
}

// known is a version, and those that followed it soon.
type known struct {
	first, last Version
	since       time.Time // when the first of them became known
	until       time.Time // when the last of them did
}

const (
	historyLen = 16
	// historyStep is the least difference in time between two versions of one state.
	historyStep = 500 * time.Millisecond
)

// learn adds a version that is known from now on.
func (h *history) learn(v Version, now time.Time, added bool) {
	h.added = added
	if h.first.IsZero() {
		h.first = now
	}
	if n := len(h.versions); n > 0 {
		k := &h.versions[n-1]
		if k.last.State == v.State && k.last.Timer == v.Timer && v.Updated.Sub(k.first.Updated) < historyStep {
			if v.Updated.After(k.last.Updated) {
				k.last, k.until = v, now
			}
			return
		}
		if n == historyLen {
			h.versions = slices.Delete(h.versions, 0, 1)
		}
	}
	h.versions = append(h.versions, known{v, v, now, now})
}

// latest returns the newest version that is known.
func (h *history) latest() (Version, bool) {
	if len(h.versions) == 0 {
		return Version{}, false
	}
	return h.versions[len(h.versions)-1].last, true
}

// since returns since when every version that became known has beaten old. An older one may, too: TRANS beats the ESTABLISHED that
// a packet led back to.
func (h *history) since(old Version, tolerance time.Duration) (at time.Time) {
	for _, k := range slices.Backward(h.versions) {
		if !k.last.Beats(old, tolerance) {
			break
		}
		if at = k.since; !k.first.Beats(old, tolerance) {
			return k.until
		}
	}
	return at
}

// loss is a report that the module dropped. The next report of the session that leaves makes up for it.
type loss struct {
	Version
	since   time.Time // of the first that nothing has made up for; zero: there is none
	counted bool      // a counter shows the newest
}

// expiries is a heap of sessions by the moment at which their time left ends.
type expiries []*tableEntry

func (h expiries) Len() int { return len(h) }
func (h expiries) Less(i, j int) bool {
	if c := h[i].ends.Compare(h[j].ends); c != 0 {
		return c < 0
	}
	return bytes.Compare(h[i].record[:], h[j].record[:]) < 0
}
func (h expiries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *expiries) Push(x any) {
	s := x.(*tableEntry)
	s.index = len(*h)
	*h = append(*h, s)
}
func (h *expiries) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
