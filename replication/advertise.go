package replication

import (
	"fmt"
	"time"

	"joolctl/syncwire"
)

const (
	// advertiseTick is how often datagrams of an advertise are sent, and advertiseBurst how many at most at a time: those that were
	// not sent while the thread was busy must not all be sent at once.
	advertiseTick  = 5 * time.Millisecond
	advertiseBurst = 8
)

// Advertise is the progress of an advertise, which sends the own table to upstream's peers.
type Advertise struct {
	// Sent is how many sessions were sent.
	Sent int `json:"sent_sessions"`
	// Total is how many sessions will have been sent in the end. It is exact once the table has been read.
	Total int `json:"total_sessions"`
	// Rate is how many sessions are sent per second.
	Rate int `json:"sessions_per_second"`
	// Ended is true when all sessions have been sent, or, with an error, when the advertise has failed.
	Ended bool `json:"ended"`
	// Error is why the advertise has failed. It is missing if it has not.
	Error string `json:"error,omitempty"`
}

// String returns the progress in a few words.
func (a Advertise) String() string {
	switch {
	case a.Error != "":
		return fmt.Sprintf("failed after %d of %d sessions: %s", a.Sent, a.Total, a.Error)
	case a.Ended:
		return fmt.Sprintf("sent %d sessions", a.Sent)
	}
	return fmt.Sprintf("%d of %d sessions sent, %d a second", a.Sent, a.Total, a.Rate)
}

// advertiser sends the own table in upstream's bytes: oldest first, because a module that is given it in another order takes the
// square of the time, and no faster than a joold with the system's receive buffer can receive it.
type advertiser struct {
	current  *advertising // nil: none is under way
	reported Reported     // by the own module or by peers, since reading the table began
}

// advertising is an advertise under way.
type advertising struct {
	Advertise
	table   Snapshot
	reading bool
	next    int       // record
	due     time.Time // of it
}

// Advertise begins to send the whole table, at so many sessions per second, and returns what it is to send. It fails while
// another advertise is under way. Peers that are no upstream joolds get a full sync.
func (h *Host) Advertise(rate int, now time.Time) (Advertise, error) {
	a := &h.advertise
	if c := a.current; c != nil {
		return Advertise{}, fmt.Errorf("it is advertising already, %v; wait for that to end", c.Advertise)
	}
	h.do.ReadCounters(now)
	c := &advertising{Advertise: Advertise{Total: h.Sessions(), Rate: rate}, reading: true}
	a.current = c
	a.reported.Restart()
	h.do.Emit(Advertised{c.Advertise})
	if h.Sequence && len(h.Peers.Live(now)) > 0 {
		h.Sender.Advertise(now)
	}
	h.do.Wake(now)
	h.do.ReadTable(c.Total, now, func() bool { return a.current != c }, func(t Snapshot, err error) {
		if err != nil {
			h.endAdvertise(fmt.Errorf("reading the session table: %w", err))
			return
		}
		own := h.settings
		h.do.Background(func() {
			OldestFirst(t.Records, own)
			h.do.Post(func() {
				c.table, c.reading, c.Total, c.due = t, false, len(t.Records), h.do.Now()
				h.do.Emit(Advertised{c.Advertise})
			})
		})
	})
	return c.Advertise, nil
}

// tickAdvertise sends the datagrams that are due, and returns when to call it again; zero: no need.
func (h *Host) tickAdvertise(now time.Time) time.Time {
	c := h.advertise.current
	if c == nil || c.reading {
		return time.Time{}
	}
	h.do.OpenBatch()
	for n := 0; c.next < len(c.table.Records) && !now.Before(c.due); n++ {
		if n == advertiseBurst {
			c.due = now
			break
		}
		sessions := h.advertiseSome(c, now)
		c.due = c.due.Add(time.Duration(sessions) * time.Second / time.Duration(c.Rate))
	}
	h.do.Flush()
	if c.next == len(c.table.Records) {
		h.endAdvertise(nil)
		return time.Time{}
	}
	h.do.Emit(Advertised{c.Advertise})
	return Latest(c.due, now.Add(advertiseTick))
}

// advertiseSome sends a datagram with the next sessions, and returns how many. It leaves out those that have expired, or were
// reported since the table was read.
func (h *Host) advertiseSome(c *advertising, now time.Time) (sessions int) {
	size := h.Limits.Sessions(h.Format)
	since := now.Sub(c.table.Base)
	s := h.do.Scratch()
	b := s.Out[:0]
	for ; sessions < size && c.next < len(c.table.Records); c.next++ {
		r := c.table.Records[c.next]
		if h.advertise.reported.Has(r.Key()) || int64(r.Expires()) <= since.Milliseconds() {
			c.Total--
			continue
		}
		r.Age(since)
		before := len(b)
		if b = h.appendRecord(b, &r); len(b) > before {
			sessions++
		} else {
			c.Total--
		}
	}
	s.Out = b
	if sessions > 0 {
		h.active = now
		// It has no number of its own: peers that are no upstream joolds need not miss it.
		h.do.Transmit(b, syncwire.Trailer{Kind: syncwire.Advertised, Sender: h.Knowledge.Self(), Seq: h.Knowledge.Position().Seq})
	}
	c.Sent += sessions
	return sessions
}

// endAdvertise ends the advertise under way.
func (h *Host) endAdvertise(err error) {
	c := h.advertise.current
	c.Ended = true
	if err != nil {
		c.Error = err.Error()
	}
	h.advertise.current = nil
	h.advertise.reported.Stop()
	h.do.Emit(Advertised{c.Advertise})
	h.do.Emit(TableReleased{len(c.table.Records)})
}
