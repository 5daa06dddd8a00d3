package supervisor

import (
	"encoding/json"
	"time"

	"joolctl/worker"
)

const (
	// countersKey is what the counters are left under. They go on where the sockets
	// do: a file of the runtime directory would outlive both, or go with every stop.
	countersKey = "counters"
	// adoptWithin is how long sockets of the process before wait to be adopted.
	// Until then they hold their namespaces and are members of their groups.
	adoptWithin = 5 * time.Second
)

// takeOverState goes on from what the process before has left.
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
		s.log.Warn("the counters begin anew", "error", err)
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

// newCounters are a pair's: those that the process before had for it, if any.
func (s *Supervisor) newCounters(name string) *worker.Counters {
	c := new(worker.Counters)
	if saved, ok := s.counts[name]; ok {
		c.Restore(saved)
	}
	return c
}

// leaveState leaves the counters to the next process. The workers leave their
// sockets themselves.
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
		s.log.Warn("the counters will begin anew", "error", err)
	}
}
