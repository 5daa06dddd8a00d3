package worker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/syncwire"
)

const (
	// advertiseTick is how often datagrams of an advertise are sent, and
	// advertiseBurst how many at most at a time: what was not sent while the
	// thread was busy must not come all at once.
	advertiseTick  = 5 * time.Millisecond
	advertiseBurst = 8
)

// Advertise is how far the sending of the own table to upstream's peers is.
type Advertise struct {
	// Sent and Total are sessions; Total is exact once the table has been read.
	Sent  int `json:"sent"`
	Total int `json:"total"`
	// Rate is in sessions per second.
	Rate int `json:"rate"`
	// Ended is true when everything has been sent, or, with an Error, when no
	// more will be.
	Ended bool   `json:"ended"`
	Error string `json:"error,omitempty"`
}

// String is how far it is in a few words.
func (a Advertise) String() string {
	switch {
	case a.Error != "":
		return fmt.Sprintf("failed after %d of %d sessions: %s", a.Sent, a.Total, a.Error)
	case a.Ended:
		return fmt.Sprintf("sent %d sessions", a.Sent)
	}
	return fmt.Sprintf("%d of %d sessions sent, %d a second", a.Sent, a.Total, a.Rate)
}

// advertiser sends the instance's table in upstream's bytes: oldest first,
// because a module that gets it in another order takes the square of the time,
// and no faster than a joold with the system's receive buffer can take it.
type advertiser struct {
	p *pumps

	current  *advertising
	reported replication.Reported // since the table was read
}

// advertising is an advertise under way.
type advertising struct {
	Advertise
	table   replication.Snapshot
	reading bool
	next    int       // record
	due     time.Time // of it
}

// start begins one and returns what it is to send.
func (a *advertiser) start(now time.Time) (Advertise, error) {
	if c := a.current; c != nil {
		return Advertise{}, fmt.Errorf("it is advertising already, %v; wait for that to end", c.Advertise)
	}
	p := a.p
	p.readKernel(now)
	rate := cmp.Or(p.w.spec().AdvertiseRate, configdir.Defaults().AdvertiseRate)
	c := &advertising{Advertise: Advertise{Total: p.sessions(), Rate: rate}, reading: true}
	a.current = c
	a.reported.Restart()
	a.publish()
	// Ours need neither the slowness nor the order.
	if p.sequence && len(p.peers.Live(now)) > 0 {
		p.sender.Advertise(now)
	}
	p.wake(now)
	p.do.readTable(c.Total, now, func() bool { return a.current != c }, func(t replication.Snapshot, err error) {
		if err != nil {
			a.end(fmt.Errorf("reading the session table: %w", err))
			return
		}
		our := p.settings
		p.do.background(func() {
			replication.OldestFirst(t.Records, our)
			p.do.post(func() {
				c.table, c.reading, c.Total, c.due = t, false, len(t.Records), p.do.now()
				a.publish()
			})
		})
	})
	return c.Advertise, nil
}

// tick sends the datagrams that are due, and returns the time of the next call.
func (a *advertiser) tick(now time.Time) time.Time {
	c := a.current
	if c == nil || c.reading {
		return time.Time{}
	}
	a.p.gather(func() {
		for n := 0; c.next < len(c.table.Records) && !now.Before(c.due); n++ {
			if n == advertiseBurst {
				c.due = now
				break
			}
			sessions := a.datagram(now)
			c.due = c.due.Add(time.Duration(sessions) * time.Second / time.Duration(c.Rate))
		}
	})
	if c.next == len(c.table.Records) {
		a.end(nil)
		return time.Time{}
	}
	a.publish()
	if at := now.Add(advertiseTick); c.due.Before(at) {
		return at
	}
	return c.due
}

// datagram sends the next sessions, their times corrected, and returns how many.
// Those that have expired, or been reported since, are left out.
func (a *advertiser) datagram(now time.Time) (sessions int) {
	p, c := a.p, a.current
	size := p.format.PerDatagram(maxSessionBytes)
	since := now.Sub(c.table.Base)
	b := p.out[:0]
	for ; sessions < size && c.next < len(c.table.Records); c.next++ {
		r := c.table.Records[c.next]
		if a.reported.Has(r.Key()) || int64(r.Expires()) <= since.Milliseconds() {
			c.Total--
			continue
		}
		r.Age(since)
		before := len(b)
		if b = p.appendRecord(b, &r); len(b) > before {
			sessions++
		} else {
			c.Total--
		}
	}
	p.out = b
	if sessions > 0 {
		p.active = now
		// Not a number of its own: who takes our control messages does not miss it.
		p.sendDatagram(b, syncwire.Trailer{Kind: syncwire.Advertised, Sender: p.knowledge.Self(), Seq: p.knowledge.Position().Seq})
	}
	c.Sent += sessions
	return sessions
}

// end lets go of everything.
func (a *advertiser) end(err error) {
	c := a.current
	c.Ended = true
	if err != nil {
		c.Error = err.Error()
		a.p.w.log.warn("an advertise has failed", "sent", c.Sent, "of", c.Total, "error", err)
	} else {
		a.p.w.log.to.Info("the session table is advertised", "sessions", c.Sent)
	}
	a.publish()
	a.current = nil
	a.reported.Stop()
	a.p.freeLater(len(c.table.Records))
}

// publish lets others see how far it is.
func (a *advertiser) publish() {
	state := a.current.Advertise
	a.p.w.mu.Lock()
	defer a.p.w.mu.Unlock()
	a.p.w.state.Advertise = &state
}

// Advertise begins to send the whole table to the group, oldest session first,
// in upstream's bytes and at the spec's rate, for upstream's peers; ours get a
// resync at the same time. It returns at once, with what it is about to send:
// Sync tells how far it is. It fails while one is under way, or Run does not
// listen.
func (w *Worker) Advertise(ctx context.Context) (Advertise, error) {
	began := make(chan Advertise, 1)
	err := w.onPumps(ctx, func(p *pumps) error {
		state, err := p.advertise.start(p.do.now())
		began <- state
		return err
	})
	if err != nil {
		return Advertise{}, err
	}
	return <-began, nil
}
