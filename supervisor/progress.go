package supervisor

import (
	"fmt"
	"time"

	"joolctl/eventlog"
)

const (
	// checkPeriod is how often the supervisor checks that the workers' loops make progress. It is half the longest time
	// that an idle loop sleeps, and short enough for any watchdog of more than ten seconds.
	checkPeriod = 5 * time.Second
	// stuckAfter is the time without progress after which a loop counts as stuck. It allows for an idle loop, which
	// sleeps for five seconds, and for delays on a busy host. It also limits how long a worker may take to stop.
	stuckAfter = 20 * time.Second
)

// Pulse finds out whether a worker's loop makes progress.
type Pulse struct {
	worker Worker
	turns  uint64
	still  time.Duration
}

// Check compares the loop's state with its state at the previous check. passed is the time since then. The caller passes
// its own period, not a measured time, so that a process that was suspended does not count its workers as stuck. stuck
// is true once the loop has made no progress for stuckAfter. kernel is true if the loop is blocked inside the kernel.
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
	kernel = w.InKernel() // called at each check, because it compares with the previous call
	return p.still >= stuckAfter, kernel
}

// CheckPeriod returns the interval between two checks for a watchdog that systemd expects to be notified within the
// given time; 0: there is no watchdog.
func CheckPeriod(watchdog time.Duration) time.Duration {
	if watchdog > 0 {
		return min(checkPeriod, watchdog/3)
	}
	return checkPeriod
}

// checkProgress checks that all loops make progress, and notifies systemd's watchdog if they do. It first replaces the
// worker of a stuck loop. If that worker does not stop either, it no longer notifies the watchdog, so that systemd
// restarts the whole process. A loop that is blocked inside the kernel is only reported: no signal would end its system
// call, and a restart would only interrupt the other workers.
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

// checkStopping returns false if a stopping worker hangs for another reason than a blocked kernel.
func (s *Supervisor) checkStopping(k *keeper, passed time.Duration) bool {
	w := k.worker.Load()
	kernel := w != nil && (*w).InKernel()
	if k.ending += passed; k.ending < stuckAfter {
		return true
	}
	if !kernel {
		return false
	}
	if !k.logged {
		k.logged = true
		s.log.Error("the worker does not stop: its loop waits inside the kernel; see `dmesg`", "pair", k.spec.Load().Name)
	}
	return true
}
