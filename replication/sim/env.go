package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// Env is how a Replica acts on its module and its network. Callbacks are called after simulated delays, unless the
// Replica has stopped.
type Env struct {
	// Host is the host's number.
	Host int
	// Rand is the Replica's source of random numbers.
	Rand *rand.Rand

	node *Node
	dead bool
}

// Version returns the module's version.
func (e *Env) Version() joolnl.Version { return e.node.Module.Version() }

// Jiffy returns the kernel's unit of time.
func (e *Env) Jiffy() time.Duration { return e.node.Module.config.Jiffy }

// Send multicasts a datagram. It keeps no reference to data.
func (e *Env) Send(data []byte) {
	e.node.Usage.Datagrams++
	e.node.Usage.Bytes += len(data)
	e.node.network.Send(e.Host, data)
}

// Add gives sessions to the module, in the module's format.
func (e *Env) Add(entries []byte) error {
	e.node.Usage.Adds++
	err := e.node.Module.Add(entries)
	e.node.trace.Event(e.Host, "adds", entries, int64(e.node.Module.Len()), failed(err))
	return err
}

func failed(err error) int64 {
	if err != nil {
		return 1
	}
	return 0
}

// Ack acknowledges n packets of the module.
func (e *Env) Ack(n int) {
	for range n {
		e.node.Module.Ack()
	}
}

// Stats reads the module's counters.
func (e *Env) Stats() (joolnl.Stats, error) { return e.node.Module.Stats() }

// Globals reads the module's settings.
func (e *Env) Globals() (joolnl.Globals, error) {
	if e.node.Module.Gone() {
		return joolnl.Globals{}, ErrNoInstance
	}
	return e.node.Module.Globals, nil
}

// Update changes settings of the module.
func (e *Env) Update(changes ...joolnl.Change) error { return e.node.Module.Update(changes...) }

// Lookup looks a session up in the module, under the same mask.
func (e *Env) Lookup(want *session.Record) (session.Record, bool, error) {
	e.node.Usage.Pages++
	return e.node.Module.Lookup(want)
}

// RemoveBIB removes a BIB entry and its sessions.
func (e *Env) RemoveBIB(p session.Proto, src4 netip.AddrPort) error {
	e.node.trace.Event(e.Host, "removes BIB entry", []byte(src4.String()), int64(p))
	return e.node.Module.RemoveBIB(p, src4)
}

// PageResult is a page of the table as it was at a moment. Its records belong to the receiver.
type PageResult struct {
	At      time.Time
	Records []session.Record
	More    bool // there is another page
	Err     error
}

// ReadPage reads a page of a protocol's table, from the session after the given one on, or the first page if after is
// nil. done receives it after a delay.
func (e *Env) ReadPage(p session.Proto, after *session.Record, done func(now time.Time, page PageResult)) {
	if after != nil {
		behind := *after
		after = &behind
	}
	e.later(e.node.pageDelay(), func(now time.Time) {
		e.node.Usage.Pages++
		r := PageResult{At: now}
		r.Records, r.More, r.Err = e.node.Module.Page(nil, p, after)
		done(now, r)
	})
}

// ReadTable reads the whole table page by page. each receives the pages, and returns false to stop. done is called after
// the last page or the first error.
func (e *Env) ReadTable(each func(now time.Time, page PageResult) bool, done func(now time.Time, err error)) {
	var read func(p session.Proto, after *session.Record)
	read = func(p session.Proto, after *session.Record) {
		e.ReadPage(p, after, func(now time.Time, page PageResult) {
			switch {
			case page.Err != nil:
				done(now, page.Err)
			case !each(now, page):
			case page.More:
				read(p, &page.Records[len(page.Records)-1])
			case p < session.ICMP:
				read(p+1, nil)
			default:
				done(now, nil)
			}
		})
	}
	read(session.TCP, nil)
}

// Background runs a job beside everything else, and calls done after a delay. The job must not touch what the Replica
// changes meanwhile: it runs at the beginning or at the end of the delay.
func (e *Env) Background(job func(), done func(now time.Time)) {
	early := e.node.rand.IntN(2) == 0
	if early {
		job()
	}
	e.later(e.node.delays.Background.draw(e.node.rand), func(now time.Time) {
		if !early {
			job()
		}
		done(now)
	})
}

// StalledFor returns how long the Replica has just waited for the processor; 0: it did not.
func (e *Env) StalledFor() time.Duration {
	if n := e.node; n.clock.Now().Sub(n.stalledTo) < 10*time.Millisecond {
		return n.stalledTo.Sub(n.stalledFrom)
	}
	return 0
}

// Log writes a line into the trace's text.
func (e *Env) Log(format string, args ...any) { e.node.trace.Note(e.Host, format, args...) }

// later calls fn on the Replica's thread after a delay.
func (e *Env) later(d time.Duration, fn func(now time.Time)) {
	e.node.clock.After(d, func() {
		e.node.enter(func(now time.Time) {
			if !e.dead {
				fn(now)
			}
		})
	})
}
