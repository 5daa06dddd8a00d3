// Package eventlog keeps the latest events of all pairs, which `joolctl events` shows.
package eventlog

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Room is how many events a Log keeps.
const Room = 4096

// Log keeps the latest events. Its methods may be called from any goroutine. A nil *Log keeps nothing.
type Log struct {
	mu    sync.Mutex
	kept  map[string][]Event // of each pair, in the order of their numbers; no list is empty
	total int
	last  uint64        // the number of the last event
	added chan struct{} // closed at the next event
}

// New returns an empty Log. The first number is the present time in microseconds. It is higher than all numbers of the previous
// process, unless the clock was set back, so a reader can continue after a restart.
func New(now time.Time) *Log {
	return &Log{kept: make(map[string][]Event), last: uint64(max(now.UnixMicro(), 0)), added: make(chan struct{})}
}

// Add gives the event a number and keeps it. An event without a time happened now. If there is no room, the oldest event of the
// pair with the most events makes room, so that a pair that changes all the time does not remove the events of others.
func (l *Log) Add(e Event) {
	if l == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.clip()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total == Room {
		l.makeRoom()
	}
	l.last++
	e.Number = l.last
	l.kept[e.Pair] = append(l.kept[e.Pair], e)
	l.total++
	close(l.added)
	l.added = make(chan struct{})
}

// makeRoom removes an event. mu must be held.
func (l *Log) makeRoom() {
	most, n := "", 0
	for pair, events := range l.kept {
		if len(events) > n || len(events) == n && pair < most {
			most, n = pair, len(events)
		}
	}
	l.total--
	if n == 1 {
		delete(l.kept, most)
		return
	}
	events := l.kept[most]
	events[0] = Event{} // append copies the others to a new array only now and then
	l.kept[most] = events[1:]
}

// After returns the events with higher numbers than a given one, of the named pairs or of all if no names are given, and a channel
// that is closed at the next event of any pair. last is the number of the last event of all.
func (l *Log) After(number uint64, pairs []string) (events []Event, last uint64, added <-chan struct{}) {
	if l == nil {
		return nil, number, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for pair, kept := range l.kept {
		if len(pairs) > 0 && !slices.Contains(pairs, pair) {
			continue
		}
		first, found := slices.BinarySearchFunc(kept, number, func(e Event, n uint64) int { return cmp.Compare(e.Number, n) })
		if found {
			first++
		}
		events = append(events, kept[first:]...)
	}
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.Number, b.Number) })
	return events, l.last, l.added
}

// Knows reports whether the Log has an event of the pair.
func (l *Log) Knows(pair string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept[pair]) > 0
}
