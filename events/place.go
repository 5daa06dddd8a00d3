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
	// sweepPeriod is the time between two checks of all names without an event. silentPeriod is the same for a
	// path below /proc, which never causes an event.
	sweepPeriod  = 15 * time.Second
	silentPeriod = 2 * time.Second
	// A new name leads to a namespace only once `ip netns add` has mounted the namespace there, a moment later.
	// A new name is therefore checked every mountPeriod for the time mountedWithin.
	mountedWithin = 2 * time.Second
	mountPeriod   = 5 * time.Millisecond
	// burst is the time from an event to its report, so that one report covers the dozen events of a new
	// interface. calm is the minimum time between two reports, for hosts whose links change all the time.
	burst = 20 * time.Millisecond
	calm  = 200 * time.Millisecond
)

// place watches one namespace.
type place struct {
	namespace, path string
	threads         *nsthread.Pool
	log             *slog.Logger
	stop            context.CancelFunc

	swept        chan struct{} // sweep found that the name leads to another namespace
	named        chan struct{} // the name may lead to another namespace
	linksChanged chan struct{} // links or addresses have changed

	// links listens inside the namespace; nil while the namespace does not exist. at is the ID of that
	// namespace, for other goroutines to read.
	links *links
	at    atomic.Pointer[nsthread.ID]
	told  string // the last logged problem
}

func newPlace(ns string, threads *nsthread.Pool, log *slog.Logger) *place {
	return &place{
		namespace: ns, path: pathOf(ns), threads: threads, log: log,
		swept: make(chan struct{}, 1), named: make(chan struct{}, 1), linksChanged: make(chan struct{}, 1),
	}
}

// settled reports whether the name still leads to the namespace that the place listens in or, if it listens in
// none, still does not exist. Any goroutine may call it.
func (p *place) settled() bool {
	id, err := nsthread.Identify(p.namespace)
	if at := p.at.Load(); at != nil {
		return err == nil && id == *at
	}
	return errors.Is(err, fs.ErrNotExist)
}

// look makes the place look up its name soon.
func (p *place) look() { signal(p.named) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is pending
	}
}

func (p *place) run(ctx context.Context, changed func()) {
	defer p.leave()
	again := time.NewTimer(0)
	defer again.Stop()
	var until time.Time // until then, a new name is checked every mountPeriod
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.linksChanged:
			pause(ctx, burst)
			drain(p.linksChanged)
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

// renew looks up the name and listens inside the namespace that it leads to. moved is true if this is another
// namespace than before, or if there is none any longer.
func (p *place) renew() (moved bool, err error) {
	id, err := nsthread.Identify(p.namespace)
	if p.links != nil {
		if err == nil && id == p.links.thread.ID() {
			return false, nil
		}
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			return false, err // Identify needs a descriptor, whereas the open socket stays usable
		}
		p.leave()
		moved = true
	}
	if err == nil {
		p.links, err = openLinks(p.threads, p.namespace, func() { signal(p.linksChanged) })
		if err == nil {
			id := p.links.thread.ID()
			p.at.Store(&id)
			moved = true
		}
	}
	p.tell(err)
	return moved, err
}

// tell logs an error once, except that the namespace does not exist: the workers log that.
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

// leave stops listening and releases the namespace.
func (p *place) leave() {
	if p.links != nil {
		p.links.close()
		p.links = nil
		p.at.Store(nil)
	}
}

// links is a netlink socket that receives the changes of links and addresses inside a namespace.
type links struct {
	thread *nsthread.Thread
	fd     int
}

// openLinks opens the socket and watches it on the namespace's thread, which calls stirred for each event.
// stirred must not block.
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

// open is the part of openLinks that runs on the thread.
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
		// Any message means a change, and so does an overrun (ENOBUFS). The content is not needed.
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
	_ = l.thread.Do(func() { // fails only after the last Release
		if l.fd >= 0 {
			l.thread.Unwatch(l.fd)
			unix.Close(l.fd)
		}
	})
	l.thread.Release()
}

// pause sleeps for d, or until ctx ends.
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
