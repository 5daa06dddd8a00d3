package worker

import (
	"context"
	"fmt"
	"time"

	"joolctl/eventlog"
	"joolctl/nsthread"
	"joolctl/replication"
)

// watch waits until ctx ends or the worker fails. Whenever Check was called, it checks the namespaces, the instance and the
// interfaces.
func (p *pumps) watch(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.failed:
			return err
		case <-p.w.recheck:
		}
		if err := p.unlessExhausted(p.stillThere()); err != nil {
			return err
		}
	}
}

// unlessExhausted drops an error of a check if it means that the process has no descriptor left for the check. The worker itself
// already has all descriptors that it needs.
func (p *pumps) unlessExhausted(err error) error {
	if !exhausted(err) {
		return err
	}
	p.w.log.warn("cannot check whether the namespaces and interfaces still exist", "error", explained(err))
	return nil
}

// stillThere returns an error unless the namespaces, the instance and the interfaces are still those that the sockets were opened
// for.
func (p *pumps) stillThere() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	spec := p.w.spec()
	if err := sameNamespace(spec.Namespace, p.thread); err != nil {
		return err
	}
	var err error
	if doErr := p.thread.Do(func() {
		now := time.Now()
		p.settingsAsked = time.Time{}
		err = p.ask(now)
	}); doErr != nil {
		return doErr
	}
	if err != nil {
		return err
	}
	mtu := p.socket.mtu
	if doErr := p.socket.thread.Do(func() { err = p.socket.stillThere(spec) }); doErr != nil {
		return doErr
	}
	p.publishTrouble()
	if now := p.socket.mtu; now != mtu {
		p.post(func() { p.setLimits(p.w.spec(), now) })
	}
	return err
}

// askWhenDue periodically asks the module for its instance, and checks the namespaces and interfaces. It returns when to call it
// again. The worker's timer calls it, because waking another goroutine would cost more than the requests.
func (p *pumps) askWhenDue(now time.Time) time.Time {
	if now.Before(p.askDue) {
		return p.askDue
	}
	err := p.ask(now)
	if err == nil {
		err = p.unlessExhausted(p.checkWhenDue(now))
	}
	if err != nil {
		p.fail(err)
	}
	return p.askDue
}

// checkWhenDue checks, on the instance's thread, whether the names still lead to the namespaces and interfaces of the sockets.
func (p *pumps) checkWhenDue(now time.Time) error {
	if now.Before(p.checkDue) {
		return nil
	}
	if p.socket.thread != p.thread {
		p.checkDue = now.Add(checkEvery - askIdle)
		p.w.Check() // another goroutine does it: one thread must not wait for another
		return nil
	}
	if !p.changing.TryLock() {
		return nil // a Reconfigure holds the lock, and may wait for this thread
	}
	defer p.changing.Unlock()
	// The next check takes place together with a request to the module, up to askIdle after it is due.
	p.checkDue = now.Add(checkEvery - askIdle)
	spec := p.w.spec()
	if spec.Namespace != spec.NetNamespace {
		if err := sameNamespace(spec.Namespace, p.thread); err != nil {
			return err
		}
	}
	defer p.publishTrouble()
	mtu := p.socket.mtu
	err := p.socket.stillThere(spec)
	if p.socket.mtu != mtu {
		p.setLimits(spec, p.socket.mtu)
	}
	return err
}

// publishTrouble publishes and logs a change of the network socket's trouble. changing must be held, unless no other goroutine can
// change the socket yet.
func (p *pumps) publishTrouble() {
	now := p.socket.trouble
	was := now
	p.w.change(time.Now(), func(s *SyncState) {
		if was = s.Trouble; was != now {
			s.Trouble = now
			s.restartCount()
		}
	})
	switch {
	case now == was:
	case now == "":
		p.w.log.to().Info("the interface of the network socket works again")
		p.w.event(eventlog.Event{Kind: eventlog.Link, Severity: eventlog.Info, Text: "the interface of the network socket works again"})
		p.post(func() {
			p.host.Listen(replication.CauseMoved, time.Now())
		})
	default:
		p.w.log.warn("the network socket can neither send nor receive", "error", now)
		p.w.event(eventlog.Event{Kind: eventlog.Link, Severity: eventlog.Warning, Text: now})
	}
}

// ask reads the instance's counters and, less often, its settings. It returns an error if the instance does not exist, or if its
// session synchronisation is off.
func (p *pumps) ask(now time.Time) error {
	settingsDue := p.settingsAsked.Add(settingsEvery)
	p.askDue = p.beats.At(now.Add(askEvery), replication.Beat)
	if p.host.Idle(now) {
		settingsDue = p.settingsAsked.Add(2 * askIdle)
		p.askDue = p.beats.At(now.Add(askIdle), replication.IdleBeat)
	}
	spec := p.w.spec()
	// The module returns counters only for an instance that exists.
	if stats, err := p.module.AskStats(); err == nil {
		// kernelSays may send, and so needs the thread's memory. ask itself does not keep that while it waits for the module.
		p.borrow(func() { p.kernelSays(stats, now) })
	} else if err := checkAlive(p.module, spec); err != nil {
		return err
	}
	if p.askDue.After(settingsDue) { // the next call would be too late for the settings
		p.settingsAsked = now
		g, err := p.w.askSettings(p.module, spec)
		if err != nil {
			return err
		}
		p.takeGlobals(g, now)
	}
	p.refreshPool4(now)
	return nil
}

// sameNamespace returns a *Missing unless the name still belongs to the thread's namespace.
func sameNamespace(ns string, th *nsthread.Thread) error {
	if !th.Is(ns) {
		_, err := nsthread.Identify(ns)
		return &Missing{What: fmt.Sprintf("namespace %q was deleted or recreated", ns), Err: err}
	}
	return nil
}
