package worker

import (
	"time"

	"joolctl/joolnl"
)

const (
	// floodIdle is the idle time in milliseconds from which on a session is old:
	// nothing that has just happened.
	floodIdle = 5000
	// floodLeast is how many sessions a datagram of a table has at least, but for
	// the last.
	floodLeast = 8
	// floodQuiet is how long a table's flow stops before it is taken to have
	// ended, and floodLongest how long its sessions are held at most.
	floodQuiet   = 250 * time.Millisecond
	floodLongest = 10 * time.Second
	// maxFlood bounds the sessions that are held.
	maxFlood = 1 << 18
)

// flood is the whole table of an upstream peer, as its own advertise sends it:
// full datagrams of old sessions, at speed, in an order that costs the module
// the square of their number. They are held back, and injected sorted.
type flood struct {
	p       *pumps
	records []joolnl.Record // their times left as they were at first
	first   time.Time
	last    time.Time
	fresher map[joolnl.Key]struct{} // what is newer is known of
	// overflowed: fresher had no room for all of that.
	overflowed bool
	now        *injection // of the one before, under way
}

// take takes a datagram of an upstream peer's, if it belongs to a table; else
// false.
func (f *flood) take(entries []byte, format joolnl.Format, now time.Time) bool {
	size := format.EntryLen()
	n := len(entries) / size
	if n < floodLeast && len(f.records) == 0 || f.now != nil || len(f.records)+n > maxFlood {
		return false
	}
	old := 0
	for b := entries; len(b) > 0; b = b[size:] {
		if r := format.Record(b); idle(&r, f.p.settings) > floodIdle {
			old++
		}
	}
	if 2*old < n {
		return false
	}
	if len(f.records) == 0 {
		f.first, f.fresher, f.overflowed = now, make(map[joolnl.Key]struct{}), false
	}
	f.last = now
	later := uint32(now.Sub(f.first).Milliseconds())
	for b := entries; len(b) > 0; b = b[size:] {
		r := format.Record(b)
		r.SetExpires(r.Expires() + later)
		f.records = append(f.records, r)
	}
	f.p.wakeAt(now.Add(floodQuiet))
	return true
}

// note remembers what goes on at once, or what the own module reports: it is newer than
// the table.
func (f *flood) note(entries []byte, format joolnl.Format) {
	if len(f.records) == 0 && f.now == nil {
		return
	}
	if len(f.fresher) >= maxTouched {
		f.overflowed = true
		return
	}
	for b := entries; len(b) > 0; b = b[format.EntryLen():] {
		r := format.Record(b)
		f.fresher[r.Key()] = struct{}{}
	}
}

// tick injects what is held, once its time has come, and returns when to come
// again.
func (f *flood) tick(now time.Time) time.Time {
	if len(f.records) == 0 {
		return time.Time{}
	}
	if due := minTime(f.last.Add(floodQuiet), f.first.Add(floodLongest)); now.Before(due) {
		return due
	}
	records, our := f.records, f.p.settings
	f.records = nil
	f.now = &injection{records: records, base: f.first, fresher: f.fresher, overflowed: &f.overflowed}
	f.p.background(func() {
		oldestFirst(records, our)
		f.p.post(f.step)
	})
	return time.Time{}
}

func (f *flood) step() {
	if f.now.step(f.p) {
		f.p.post(f.step)
		return
	}
	f.p.w.log.to.Info("the session table of an upstream peer is stored", "sessions", f.now.given)
	f.now, f.fresher = nil, nil
}
