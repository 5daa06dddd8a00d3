package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"joolctl/cmd/internal/servicemanager"
	"joolctl/supervisor"
)

// watchdog notifies systemd's watchdog as long as the loop of the running worker makes progress. It also notifies it
// while the loop is blocked inside the kernel, because a restart would not help.
type watchdog struct {
	limit  time.Duration // systemd's interval; 0: there is no watchdog
	log    *slog.Logger
	worker atomic.Pointer[supervisor.Worker]
	pulse  supervisor.Pulse
	silent bool // the watchdog is not notified
}

func newWatchdog(limit time.Duration, log *slog.Logger) *watchdog {
	return &watchdog{limit: limit, log: log}
}

// watch sets the running worker; nil: none runs.
func (w *watchdog) watch(worker supervisor.Worker) {
	if worker == nil {
		w.worker.Store(nil)
		return
	}
	w.worker.Store(&worker)
}

// run notifies the watchdog until ctx ends.
func (w *watchdog) run(ctx context.Context) {
	if w.limit == 0 {
		return
	}
	period := supervisor.CheckPeriod(w.limit)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.alive(period) {
			servicemanager.Tell(w.log, "WATCHDOG=1")
		}
	}
}

// alive checks the worker's loop. passed is the time since the last check.
func (w *watchdog) alive(passed time.Duration) bool {
	var worker supervisor.Worker
	if p := w.worker.Load(); p != nil {
		worker = *p
	}
	stuck, kernel := w.pulse.Check(worker, passed)
	silent := stuck && !kernel
	if silent && !w.silent {
		w.log.Error("the worker's loop makes no progress; the watchdog is not notified, so systemd restarts the service; please report this")
	}
	w.silent = silent
	return !silent
}
