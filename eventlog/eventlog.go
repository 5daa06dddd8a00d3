// Package eventlog keeps the latest events of all pairs, which `joolctl events` shows.
package eventlog

import (
	"slices"
	"sync"
	"time"
)

// Room is how many events a Log keeps.
const Room = 4096

// Log keeps the latest events. Its methods may be called from any goroutine. A nil *Log keeps nothing.
type Log struct {
	mu     sync.Mutex
	events []Event        // in the order of their numbers
	kept   map[string]int // how many of them each pair has
	last   uint64         // the number of the last event
	added  chan struct{}  // closed at the next event
}

// New returns an empty Log. The first number is the present time in microseconds. It is higher than all numbers of the previous
// process, so a reader can continue after a restart.
func New(now time.Time) *Log {
	return &Log{kept: make(map[string]int), last: uint64(max(now.UnixMicro(), 0)), added: make(chan struct{})}
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
	if len(l.events) == Room {
		l.makeRoom()
	}
	l.last++
	e.Number = l.last
	l.events = append(l.events, e)
	l.kept[e.Pair]++
	close(l.added)
	l.added = make(chan struct{})
}

// makeRoom removes an event. With mu held.
func (l *Log) makeRoom() {
	most := ""
	for pair, n := range l.kept {
		if n > l.kept[most] || n == l.kept[most] && pair < most {
			most = pair
		}
	}
	oldest := slices.IndexFunc(l.events, func(e Event) bool { return e.Pair == most })
	l.events = slices.Delete(l.events, oldest, oldest+1)
	if l.kept[most]--; l.kept[most] == 0 {
		delete(l.kept, most)
	}
}

// After returns the events with higher numbers than a given one, of the named pairs or of all if no names are given, and a channel
// that is closed at the next event of any pair. last is the number of the last event that the Log has looked at.
func (l *Log) After(number uint64, pairs []string) (events []Event, last uint64, added <-chan struct{}) {
	if l == nil {
		return nil, number, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first, _ := slices.BinarySearchFunc(l.events, number+1, func(e Event, n uint64) int {
		switch {
		case e.Number < n:
			return -1
		case e.Number > n:
			return 1
		}
		return 0
	})
	for _, e := range l.events[first:] {
		if len(pairs) == 0 || slices.Contains(pairs, e.Pair) {
			events = append(events, e)
		}
	}
	return events, l.last, l.added
}

// Knows reports whether the Log has an event of the pair.
func (l *Log) Knows(pair string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[pair] > 0
}
