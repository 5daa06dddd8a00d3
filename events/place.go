package events

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/nsthread"
)

const (
	// sweepPeriod is how often all names are looked at without an event,
	// silentPeriod the same for a path below /proc, which never has one.
	sweepPeriod  = 15 * time.Second
	silentPeriod = 2 * time.Second
	// mountedWithin and mountPeriod are for a name that has appeared: it becomes a
	// namespace when that is mounted on it, a moment later.
	mountedWithin = 2 * time.Second
	mountPeriod   = 5 * time.Millisecond
	// burst is how long to wait for what belongs to an event: an interface comes
	// with a dozen. calm is how long not to tell again: there are hosts where
	// links never rest.
	burst = 20 * time.Millisecond
	calm  = 200 * time.Millisecond
)

// place is a namespace that is followed.
type place struct {
	namespace, path string
	threads         *nsthread.Pool
	log             *slog.Logger
	stop            context.CancelFunc

	swept   chan struct{} // it is time to look at its name
	named   chan struct{} // its name may lead elsewhere
	stirred chan struct{} // its links or addresses have changed

	// links is what listens inside; nil while there is no such namespace. at is
	// that namespace, for others to read.
	links *links
	at    atomic.Pointer[nsthread.ID]
	told  string // the last problem in the log
}

func newPlace(ns string, threads *nsthread.Pool, log *slog.Logger) *place {
	return &place{
		namespace: ns, path: pathOf(ns), threads: threads, log: log,
		swept: make(chan struct{}, 1), named: make(chan struct{}, 1), stirred: make(chan struct{}, 1),
	}
}

// settled is true if its name leads where it listens, or nowhere as before. It
// may be called from anywhere.
func (p *place) settled() bool {
	id, err := nsthread.Identify(p.namespace)
	if at := p.at.Load(); at != nil {
		return err == nil && id == *at
	}
	return errors.Is(err, fs.ErrNotExist)
}

// look has it look at its name soon.
func (p *place) look() { signal(p.named) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is about to
	}
}

func (p *place) run(ctx context.Context, changed func()) {
	defer p.leave()
	again := time.NewTimer(0)
	defer again.Stop()
	var until time.Time // the name has appeared, and is looked at closely so long
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.stirred:
			pause(ctx, burst)
			drain(p.stirred)
			changed()
			pause(ctx, calm)
			continue
		case <-p.named:
			until = time.Now().Add(mountedWithin)
		case <-p.swept:
		case <-again.C:
		}
		moved, err := p.renew()
		if moved {
			changed()
		}
		switch {
		case errors.Is(err, nsthread.ErrNotNamespace) && time.Now().Before(until):
			again.Reset(mountPeriod)
		case p.namespace != "" && silent(p.path):
			again.Reset(silentPeriod)
		}
	}
}

// renew listens inside the namespace that the name leads to now, and reports
// whether that is another one than before, or none.
func (p *place) renew() (moved bool, err error) {
	id, err := nsthread.Identify(p.namespace)
	if p.links != nil {
		if err == nil && id == p.links.thread.ID() {
			return false, nil
		}
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			return false, err // looking needs a descriptor, listening has its own
		}
		p.leave()
		moved = true
	}
	if err == nil {
		p.links, err = openLinks(p.threads, p.namespace, func() { signal(p.stirred) })
		if err == nil {
			id := p.links.thread.ID()
			p.at.Store(&id)
			moved = true
		}
	}
	p.tell(err)
	return moved, err
}

// tell logs what is wrong, once, unless it is only that there is no namespace:
// the workers tell that.
func (p *place) tell(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, nsthread.ErrNotNamespace) {
		p.told = ""
		return
	}
	if text := err.Error(); text != p.told {
		p.told = text
		p.log.Warn("changes of interfaces are noticed late", "namespace", p.namespace, "error", err)
	}
}

// leave lets go of the namespace.
func (p *place) leave() {
	if p.links != nil {
		p.links.close()
		p.links = nil
		p.at.Store(nil)
	}
}

// links listens for news of links and addresses inside a namespace.
type links struct {
	thread *nsthread.Thread
	fd     int
}

// openLinks listens on the namespace's thread; stirred must not block.
func openLinks(threads *nsthread.Pool, ns string, stirred func()) (*links, error) {
	thread, err := threads.Get(ns)
	if err != nil {
		return nil, err
	}
	l := &links{thread: thread, fd: -1}
	if doErr := thread.Do(func() { err = l.open(stirred) }); doErr != nil {
		err = doErr
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// open is openLinks on the thread.
func (l *links) open(stirred func()) (err error) {
	l.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := unix.Bind(l.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return err
	}
	return l.thread.Watch(l.fd, func() {
		// What it says does not matter, only that it says something; nor does it
		// if some of it was lost (ENOBUFS).
		var first [1]byte
		for range 64 {
			if _, _, err := unix.Recvfrom(l.fd, first[:], unix.MSG_TRUNC); err == unix.EAGAIN {
				break
			}
		}
		stirred()
	})
}

func (l *links) close() {
	_ = l.thread.Do(func() { // it can't have ended before its last user
		if l.fd >= 0 {
			l.thread.Unwatch(l.fd)
			unix.Close(l.fd)
		}
	})
	l.thread.Release()
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}
