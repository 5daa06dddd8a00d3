package worker

import (
	"context"
	"fmt"
	"time"

	"joolctl/nsthread"
	"joolctl/replication"
)

// watch waits for the end, and looks whether everything is still there when it is
// told to.
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

// unlessExhausted drops the error that no descriptor is left to check something with: the worker itself has all that it needs.
func (p *pumps) unlessExhausted(err error) error {
	if !exhausted(err) {
		return err
	}
	p.w.log.warn("can't look whether everything is still there", "problem", explained(err))
	return nil
}

// stillThere finds out whether namespaces, instance and interfaces are the ones
// that the sockets were opened for.
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
	if doErr := p.socket.thread.Do(func() { err = p.socket.stillThere(spec) }); doErr != nil {
		return doErr
	}
	p.tellTrouble()
	return err
}

// askWhenDue asks the module every now and then, and looks at the names, from the
// timer, since waking another goroutine costs more than all the rest, and returns
// when the next time is.
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
		p.w.Check() // one thread must not wait for another
		return nil
	}
	if !p.changing.TryLock() {
		return nil // a Reconfigure holds the lock, and may wait for this thread
	}
	defer p.changing.Unlock()
	// It is looked at when the module has been asked: up to askIdle later.
	p.checkDue = now.Add(checkEvery - askIdle)
	spec := p.w.spec()
	if spec.Namespace != spec.NetNamespace {
		if err := sameNamespace(spec.Namespace, p.thread); err != nil {
			return err
		}
	}
	defer p.tellTrouble()
	return p.socket.stillThere(spec)
}

// tellTrouble lets others see what keeps the network socket from carrying anything.
// With changing held, or before anybody else can change the socket.
func (p *pumps) tellTrouble() {
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
		p.w.log.warn("its interface carries again")
		p.post(func() {
			p.host.Listen(replication.CauseMoved, time.Now())
		})
	default:
		p.w.log.warn("its interface carries nothing", "problem", now)
	}
}

// ask finds out whether the instance is there and synchronises, and takes its
// counters.
func (p *pumps) ask(now time.Time) error {
	settingsDue := p.settingsAsked.Add(settingsEvery)
	p.askDue = p.beats.At(now.Add(askEvery), replication.Beat)
	if p.host.Idle(now) {
		settingsDue = p.settingsAsked.Add(2 * askIdle)
		p.askDue = p.beats.At(now.Add(askIdle), replication.IdleBeat)
	}
	spec := p.w.spec()
	// Its counters are only to be had of an instance that exists.
	if stats, err := p.module.AskStats(); err == nil {
		p.borrow(func() { p.kernelSays(stats, now) }) // it may send, but only once the module has answered
	} else if err := checkAlive(p.module, spec); err != nil {
		return err
	}
	if p.askDue.After(settingsDue) { // the next time would be too late
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

// sameNamespace says whether the name still leads to the thread's namespace.
func sameNamespace(ns string, th *nsthread.Thread) error {
	if !th.Is(ns) {
		_, err := nsthread.Identify(ns)
		return &Missing{What: fmt.Sprintf("namespace %q was deleted, or made anew", ns), Err: err}
	}
	return nil
}
