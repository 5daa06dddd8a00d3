package worker

import (
	"fmt"
	"time"

	"joolctl/configdir"
)

// Reconfigure changes the spec of a running worker without an interruption. The instance and its namespace must stay the same. If
// the network namespace, and the group or address and the port stay the same too, the worker keeps its network socket and changes
// its interface, peers, ttl and buffers. Otherwise it opens a new socket before it closes the old one.
//
// On an error the worker keeps its configuration. Reconfigure returns ErrNotRunning if the worker is not running.
func (w *Worker) Reconfigure(spec configdir.Spec) (err error) {
	w.mu.Lock()
	p, old := w.running, w.current
	w.mu.Unlock()
	if p == nil {
		return ErrNotRunning
	}
	if spec.Instance != old.Instance || spec.Namespace != old.Namespace {
		return fmt.Errorf("a worker for instance %q %s cannot change to another instance", old.Instance, inNamespace(old.Namespace))
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.closed {
		return ErrNotRunning
	}
	defer func() {
		if r := recover(); r != nil {
			// The change may be incomplete. Only a new worker is certain to have a consistent state.
			p.fail(panicError(r))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := p.reconfigure(old, spec); err != nil {
		return err
	}
	w.mu.Lock()
	w.current = spec
	w.mu.Unlock()
	p.post(func() { p.settingsAsked, p.askDue = time.Time{}, time.Now() }) // "tune ss" may have changed
	return nil
}

// reconfigure changes or replaces the network socket, and then changes the other settings. changing must be held.
func (p *pumps) reconfigure(old, spec configdir.Spec) error {
	if spec.NetNamespace == old.NetNamespace && spec.Bound() == old.Bound() && spec.Unicast() == old.Unicast() {
		if err := p.resetSocket(spec); err != nil {
			return err
		}
	} else if err := p.replaceSocket(spec); err != nil {
		return err
	}
	if err := p.conn.SetReceiveBuffer(spec.ReceiveBuffer); err != nil {
		return err
	}
	return p.onThread(func() error {
		p.publishTrouble()
		now := time.Now()
		p.announceSecurity(spec, now)
		p.setSecurity(spec, now)
		p.setLimits(spec, p.socket.mtu)
		p.host.SetPeriods(spec.RefreshPeriod, spec.VerifyPeriod, now)
		p.host.SetSequence(spec.Sequence, now)
		return nil
	})
}

// resetSocket changes the options of the present network socket. The socket may be in another namespace than the instance. The
// threads of the two namespaces must not wait for each other: another worker may use them in the opposite roles.
func (p *pumps) resetSocket(spec configdir.Spec) error {
	changed := *p.socket
	change := func() error {
		in, out, err := findInterfaces(changed.fd, spec)
		if err != nil {
			return err
		}
		if changed.claim, err = p.w.claimSocket(changed.thread.ID(), index(in), spec); err != nil {
			return err
		}
		changed.mtu = linkMTU(changed.fd, spec, in, out)
		changed.trouble = linkTrouble(changed.fd, spec.NetNamespace, in, out)
		if err := changed.set(spec, in, out); err != nil {
			p.w.env.Claims.drop(changed.claim)
			return socketError(spec, err)
		}
		return nil
	}
	take := func() {
		old := p.w.spec()
		former, moved := p.socket.only, !spec.Unicast() && (p.socket.in != changed.in || old.OutInterface != spec.OutInterface)
		p.w.env.Claims.drop(p.socket.claim)
		*p.socket = changed
		p.socket.former = &former
		p.guard(p.fromNetwork)()
		p.socket.former = nil
		if moved {
			p.host.Moved(time.Now())
		}
		p.relist(old, spec, time.Now())
	}
	if changed.thread == p.thread {
		return p.onThread(func() error {
			err := change()
			if err == nil {
				take()
			}
			return err
		})
	}
	var err error
	if doErr := changed.thread.Do(func() { err = change() }); doErr != nil {
		return doErr
	}
	if err != nil {
		return err
	}
	return p.onThread(func() error { take(); return nil })
}

// onThread calls fn on the instance's thread, so that no other function of the worker runs meanwhile.
func (p *pumps) onThread(fn func() error) error {
	var err error
	if doErr := p.thread.Do(func() { p.borrow(func() { err = fn() }) }); doErr != nil {
		return doErr
	}
	return err
}

// replaceSocket opens a new network socket, processes the datagrams that are queued on the old one, and then closes the old one.
func (p *pumps) replaceSocket(spec configdir.Spec) error {
	socket, err := openNetSocket(p.w, spec, p.socket)
	if err != nil {
		return err
	}
	var old *netSocket
	err = p.onThread(func() error {
		if err := p.thread.Watch(socket.fd, p.guard(p.fromNetwork)); err != nil {
			return err
		}
		p.guard(p.fromNetwork)()
		old = p.socket
		p.thread.Unwatch(old.fd)
		p.socket, p.drops = socket, 0
		p.setSecurity(spec, time.Now())
		p.host.Moved(time.Now())
		return nil
	})
	if err != nil {
		socket.close()
		return err
	}
	old.close()
	return nil
}
