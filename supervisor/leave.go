package supervisor

import (
	"encoding/json"
	"time"

	"joolctl/worker"
)

const (
	// countersKey is the name of the counters in the descriptor store. The counters are stored with the sockets, so that
	// both survive the same restarts: a file in the runtime directory would outlive the sockets, or disappear at every
	// stop.
	countersKey = "counters"
	// adoptWithin is how long the sockets of the previous process wait to be adopted. Until then they hold their
	// namespaces and stay members of their multicast groups.
	adoptWithin = 5 * time.Second
)

// takeOverState loads the counters that the previous process stored, and schedules closing of the sockets that no worker
// adopts.
func (s *Supervisor) takeOverState() {
	store := s.opt.Store
	n := store.Passed()
	if n == 0 {
		return
	}
	s.log.Info("going on from the process before", "left", n)
	data, err := store.TakeData(countersKey)
	if err == nil && data != nil {
		err = json.Unmarshal(data, &s.counts)
	}
	if err != nil {
		s.counts = nil
		s.log.Warn("the counters of the previous process are unreadable; all counters start from 0", "error", err)
	}
	time.AfterFunc(adoptWithin, store.Discard)
}

// newPair returns a pair that has no worker yet.
func (s *Supervisor) newPair(name string) *pair {
	p := &pair{name: name, counters: s.newCounters(name)}
	p.meter.add(sampleOf(p.counters, time.Now()))
	p.watched.losses = p.counters.Losses()
	return p
}

// newCounters returns the counters of a pair, with the values of the previous process if there are any.
func (s *Supervisor) newCounters(name string) *worker.Counters {
	c := new(worker.Counters)
	if saved, ok := s.counts[name]; ok {
		c.Restore(saved)
	}
	return c
}

// leaveState stores the counters for the next process. The workers store their sockets themselves.
func (s *Supervisor) leaveState() {
	counts := make(map[string]map[string]uint64)
	for name, p := range s.pairs {
		counts[name] = p.counters.Save()
	}
	data, err := json.Marshal(counts)
	if err == nil {
		err = s.opt.Store.KeepData(countersKey, data)
	}
	if err != nil {
		s.log.Warn("the counters could not be stored for the next process; they will start from 0", "error", err)
	}
}
