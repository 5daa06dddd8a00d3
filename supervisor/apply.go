package supervisor

import (
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/replication"
)

// scan is the state of reading the directory in the background.
type scan struct {
	busy bool
	// callers wait for the scan under way. next wait for the scan after it, because the scan under way may miss a file
	// that was written after the scan began.
	callers, next []func(Reload, error)
	again         bool
}

// changed starts a scan and does not wait for it.
func (s *Supervisor) changed() { s.post(func() { s.rescan(nil) }) }

func (s *Supervisor) rescan(done func(Reload, error)) {
	if s.closing {
		return
	}
	if s.scan.busy {
		s.scan.again = true
		if done != nil {
			s.scan.next = append(s.scan.next, done)
		}
		return
	}
	s.scan.busy = true
	if done != nil {
		s.scan.callers = append(s.scan.callers, done)
	}
	// On another goroutine, because a file system may block.
	go func() {
		result, err := configdir.Read(s.opt.Dir)
		s.post(func() { s.scanned(result, err) })
	}()
}

func (s *Supervisor) scanned(result configdir.Result, err error) {
	if s.closing {
		return
	}
	var reload Reload
	if err == nil {
		s.troubled = ""
		reload = s.apply(result)
	} else if s.troubled != err.Error() {
		s.troubled = err.Error()
		s.log.Error("cannot read the directory; keeping the running configuration", "error", err)
	}
	s.calm.Store(err == nil && len(reload.Refused) == 0)
	for _, done := range s.scan.callers {
		done(reload, err)
	}
	again := s.scan.again
	s.scan = scan{callers: s.scan.next}
	if again {
		s.rescan(nil)
	}
}

// apply makes the pairs match the content of the directory. Workers stop and start in the background.
func (s *Supervisor) apply(result configdir.Result) Reload {
	actions := plan(result.Pairs, s.current())
	before := s.pairs
	s.pairs = s.rowsFor(actions, before)
	s.dropRows(before)
	reload := Reload{Changes: []Change{}, Refused: []Refusal{}}
	for _, a := range actions {
		if change, ok := s.carryOut(a); ok {
			reload.Changes = append(reload.Changes, change)
		}
		if a.refused != nil {
			reload.Refused = append(reload.Refused, s.pairs[a.name].refusal(replication.FilesRefused, a.refused...))
		}
	}
	s.placeStats()
	s.startPending()
	return reload
}

// current returns the pairs that have a worker.
func (s *Supervisor) current() map[string]current {
	running := make(map[string]current)
	for name, p := range s.pairs {
		if p.has() {
			running[name] = current{spec: p.spec, ran: p.ran}
		}
	}
	return running
}

// rowsFor returns the row of each action's pair: the row that the pair takes over, the pair's own row if no other pair
// takes it over, or a new row.
func (s *Supervisor) rowsFor(actions []action, before map[string]*pair) map[string]*pair {
	rows, reused := make(map[string]*pair), make(map[*pair]bool)
	for _, a := range actions {
		if a.verb != stop && a.from != "" {
			p := before[a.from]
			p.name, reused[p], rows[a.name] = a.name, true, p
		}
	}
	for _, a := range actions {
		if a.verb == stop || a.from != "" {
			continue
		}
		p := before[a.name]
		if p == nil || reused[p] || p.has() && a.verb != fail {
			p = s.newPair(a.name)
		}
		rows[a.name] = p
	}
	return rows
}

// dropRows stops the workers, successors and stats servers of rows that no longer exist.
func (s *Supervisor) dropRows(before map[string]*pair) {
	kept := make(map[*pair]bool)
	for _, p := range s.pairs {
		kept[p] = true
	}
	for _, p := range before {
		if !kept[p] {
			s.stop(p)
			p.closeStats()
		}
	}
}

// carryOut performs an action. ok is true if the action is a change for the operator.
func (s *Supervisor) carryOut(a action) (change Change, ok bool) {
	change, ok = a.change()
	p := s.pairs[a.name]
	if p != nil {
		s.refuse(p, a.refused)
	}
	switch a.verb {
	case stop:
		s.log.Info("pair is gone", "pair", a.name)
		s.fileEvent(a.name, eventlog.Info, "the files are gone; the worker stops")
		return change, ok
	case fail:
		s.stop(p)
		s.setState(p, Failed, "")
		return change, ok
	case start:
		s.fileEvent(a.name, eventlog.Info, "the files are good; a worker starts")
		s.begin(p, a.spec)
		return change, ok
	case replace:
		if ok = s.replace(p, a.spec); ok {
			s.fileEvent(a.name, eventlog.Info, "the files have changed")
		}
		return change, ok
	}
	s.adopt(p, a.spec)
	s.setTarget(p, nil)
	if ok {
		s.log.Info("pair renamed", "pair", a.name, "before", a.from)
		s.fileEvent(a.name, eventlog.Info, "the pair was named "+a.from+" before")
	}
	return change, ok
}

// refuse records that a pair's newest files can't be used, or that they can be used again.
func (s *Supervisor) refuse(p *pair, problems []string) {
	before := summary(p.refused)
	now := summary(problems)
	if now == before {
		return
	}
	if before == "" {
		p.refusedSince = time.Now()
	}
	p.refused = problems
	if now != "" {
		s.log.Error("files are refused", "pair", p.name, "error", now)
		s.fileEvent(p.name, eventlog.Error, now)
	} else {
		s.log.Info("files are good again", "pair", p.name)
		s.fileEvent(p.name, eventlog.Info, "the files are good again")
	}
}
