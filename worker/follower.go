package worker

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"joolctl/session"
)

// Direction says where the sessions of a Flow come from.
type Direction string

// The directions.
const (
	Out      Direction = "out"       // reported by the module
	In       Direction = "in"        // of a peer's live datagram or retransmission, given to the module
	FullSync Direction = "full-sync" // of a peer's table, given to the module
)

// Flow has sessions that passed through the worker together.
type Flow struct {
	Time      time.Time
	Direction Direction
	// Entries are the sessions, a list in the format of the module. Pool6 is the instance's prefix, which the format may leave out.
	Entries []byte
	Pool6   netip.Prefix
	// Dropped is how many sessions were left out before these, because the reader is too slow.
	Dropped uint64
}

// followerRoom is how many Flows wait for a slow reader. One has at most session.MaxPerMessage sessions.
const followerRoom = 256

// Follower gets a copy of all sessions that pass through a worker.
type Follower struct {
	flows   chan Flow
	dropped atomic.Uint64
	ended   chan struct{}
	close   func(*Follower)
}

// NewFollower returns a Follower to which Offer passes sessions. Close calls close.
func NewFollower(close func(*Follower)) *Follower {
	return &Follower{flows: make(chan Flow, followerRoom), ended: make(chan struct{}), close: close}
}

// Offer passes sessions to the reader, or counts them as dropped if too many wait. One goroutine at a time may call it.
func (f *Follower) Offer(flow Flow) {
	flow.Dropped = f.dropped.Load()
	select {
	case f.flows <- flow:
		f.dropped.Add(-flow.Dropped)
	default:
		f.dropped.Add(uint64(session.ListFormat(flow.Entries).CountList(flow.Entries)))
	}
}

// End tells the reader that the worker has ended.
func (f *Follower) End() { close(f.ended) }

// Flows returns the channel on which the sessions arrive.
func (f *Follower) Flows() <-chan Flow { return f.flows }

// Ended is closed when the worker has ended.
func (f *Follower) Ended() <-chan struct{} { return f.ended }

// Dropped returns how many sessions were left out behind the last Flow, because the reader is too slow.
func (f *Follower) Dropped() uint64 { return f.dropped.Load() }

// Close ends the copies.
func (f *Follower) Close() { f.close(f) }

// Follow returns a Follower of a running worker. Close ends it.
func (w *Worker) Follow() (*Follower, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == nil {
		return nil, ErrNotRunning
	}
	f := NewFollower(w.unfollow)
	now := []*Follower{f}
	if others := w.followers.Load(); others != nil {
		now = append(now, *others...)
	}
	w.followers.Store(&now)
	return f, nil
}

// unfollow removes a Follower. It may be removed already.
func (w *Worker) unfollow(f *Follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	followers := w.followers.Load()
	if followers == nil {
		return
	}
	rest := slices.DeleteFunc(slices.Clone(*followers), func(other *Follower) bool { return other == f })
	if len(rest) == 0 {
		w.followers.Store(nil)
		return
	}
	w.followers.Store(&rest)
}

// endFollowers tells the followers that the worker has ended. w.mu must be held.
func (w *Worker) endFollowers() {
	if followers := w.followers.Swap(nil); followers != nil {
		for _, f := range *followers {
			f.End()
		}
	}
}

// copyToFollowers gives a copy of sessions to the followers. Without followers it does not allocate.
func (p *pumps) copyToFollowers(d Direction, entries []byte) {
	followers := p.w.followers.Load()
	if followers == nil || len(entries) == 0 {
		return
	}
	flow := Flow{Time: p.do.now(), Direction: d, Entries: slices.Clone(entries), Pool6: p.host.Settings().Pool6}
	for _, f := range *followers {
		f.Offer(flow)
	}
}
