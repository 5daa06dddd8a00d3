package supervisor

import (
	"fmt"
	"time"

	"joolctl/eventlog"
)

const (
	// checkPeriod is how often the supervisor looks whether the workers' loops make progress. It is half as long as the
	// longest time that an idle loop rests, and often enough for any watchdog of more than ten seconds.
	checkPeriod = 5 * time.Second
	// stuckAfter is how long a loop may make no progress before it counts as stuck: an idle loop rests for five seconds, and a
	// busy host delays it. It is also how long a worker may take to stop.
	stuckAfter = 20 * time.Second
)

// Pulse finds out whether a worker's loop makes progress.
type Pulse struct {
	worker Worker
	turns  uint64
	still  time.Duration
}

// Check compares the loop with how it was at the check before. passed is the time between the two: the caller counts its own
// period, not what a clock says, so that a process that was stopped does not take its workers for stuck. Stuck is true once the
// loop has made no progress for long; kernel is true if it is busy inside the kernel meanwhile.
func (p *Pulse) Check(w Worker, passed time.Duration) (stuck, kernel bool) {
	if w == nil {
		*p = Pulse{}
		return false, false
	}
	if turns := w.Turns(); p.worker != w || p.turns != turns {
		*p = Pulse{worker: w, turns: turns}
		return false, false
	}
	p.still += passed
	kernel = w.InKernel() // at each check, because it compares with the one before
	return p.still >= stuckAfter, kernel
}

// CheckPeriod is how often a Pulse is to be checked, for a watchdog that systemd wants to be notified within that time; 0: there
// is none.
func CheckPeriod(watchdog time.Duration) time.Duration {
	if watchdog > 0 {
		return min(checkPeriod, watchdog/3)
	}
	return checkPeriod
}

// checkProgress looks whether all loops make progress, and notifies systemd's watchdog if they do. Of a stuck loop the worker is
// replaced first. If the worker does not even stop, the watchdog is not notified any more, so that systemd replaces the whole
// process. A loop that is busy inside the kernel is only reported: no signal would end what it does, and the other workers
// would lose their process for nothing.
func (s *Supervisor) checkProgress(passed time.Duration) {
	for _, p := range s.pairs {
		s.checkPair(p, passed)
	}
	healthy := true
	for k := range s.stopping {
		healthy = s.checkStopping(k, passed) && healthy
	}
	switch {
	case !healthy:
		if !s.starving {
			s.log.Error("a worker does not stop; the watchdog is not notified, so systemd restarts the service")
		}
	case s.opt.Watchdog > 0:
		s.notify("WATCHDOG=1")
	}
	s.starving = !healthy
}

func (s *Supervisor) checkPair(p *pair, passed time.Duration) {
	var w Worker
	if p.live != nil {
		w = p.live.Worker
	}
	stuck, kernel := p.pulse.Check(w, passed)
	was := p.stuck
	p.stuck = ""
	switch {
	case !stuck:
		if was != "" {
			s.log.Info("the worker's loop makes progress again", "pair", p.name)
		}
	case kernel:
		p.stuck = fmt.Sprintf("its loop has waited inside the kernel for more than %v; see `dmesg`", stuckAfter)
		if was == "" {
			s.event(p, eventlog.Event{Kind: eventlog.State, Severity: eventlog.Error, Text: p.stuck})
			s.log.Error("the worker's loop waits inside the kernel, which no restart would end; see `dmesg`", "pair", p.name)
		}
	default:
		s.log.Error("the worker's loop makes no progress; the worker is replaced; please report this", "pair", p.name)
		s.event(p, eventlog.Event{Kind: eventlog.State, Severity: eventlog.Error, Text: "the worker's loop makes no progress; the worker is replaced"})
		s.renew(p)
	}
}

// checkStopping is false if a worker that shall stop hangs, and not because of the kernel.
func (s *Supervisor) checkStopping(k *keeper, passed time.Duration) bool {
	w := k.worker.Load()
	kernel := w != nil && (*w).InKernel()
	if k.ending += passed; k.ending < stuckAfter {
		return true
	}
	if !kernel {
		return false
	}
	if !k.told {
		k.told = true
		s.log.Error("the worker does not stop: its loop waits inside the kernel; see `dmesg`", "pair", k.spec.Load().Name)
	}
	return true
}
