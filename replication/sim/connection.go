package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/session"
)

// connection is one conversation between an IPv6 and an IPv4 host.
type connection struct {
	lane   *lane
	proto  session.Proto
	client netip.AddrPort
	server netip.AddrPort
	mask   netip.AddrPort // that the server answers to
	steps  []step         // that remain
}

// step is a packet after a pause.
type step struct {
	pause time.Duration
	flag  Flag
	from4 bool
}

// script draws the packets of a connection: it opens, exchanges data at intervals, perhaps rests, and perhaps closes.
func script(r *rand.Rand, p session.Proto, c *WorkloadConfig) []step {
	const trip = 20 * time.Millisecond
	var steps []step
	if p == session.TCP {
		steps = append(steps, step{0, SYN, false})
		if r.Float64() < c.Unanswered {
			return steps
		}
		steps = append(steps, step{trip, SYN, true}, step{trip, Data, false})
	} else {
		steps = append(steps, step{0, Data, false}, step{trip, Data, true})
	}
	interval := c.Interval.draw(r)
	for range r.IntN(c.Packets + 1) {
		pause := time.Duration(float64(interval) * (0.5 + r.Float64()))
		steps = append(steps, step{pause, Data, r.IntN(2) == 0})
	}
	if p != session.TCP || r.Float64() < c.Idle {
		return steps // it rests for the remaining time
	}
	pause := c.Interval.draw(r)
	if r.Float64() < c.Reset {
		return append(steps, step{pause, RST, r.IntN(2) == 0})
	}
	first := r.IntN(2) == 0
	return append(steps, step{pause, FIN, first}, step{trip, Data, !first}, step{2 * trip, FIN, !first})
}

// run sends the next packet after its pause, and then the others.
func (c *connection) run(w *Workload) {
	if len(c.steps) == 0 {
		return
	}
	next := c.steps[0]
	c.steps = c.steps[1:]
	w.clock.After(next.pause, func() {
		if c.send(w, next) {
			c.run(w)
		}
	})
}

// send has the active module translate a packet. It returns false if the connection is over.
func (c *connection) send(w *Workload, next step) bool {
	m := w.modules[c.lane.active]
	opens := !c.mask.IsValid()
	if m.Gone() || w.down(c.lane.active) {
		w.Count.Unserved++
		return !opens // an open connection outlives the outage
	}
	w.Count.Packets++
	mask, ok := m.Packet(Packet{c.proto, next.flag, c.client, c.server, next.from4, c.mask})
	switch {
	case !ok && opens:
		w.Count.Refused++
		return false
	case !ok:
		w.Count.Broken++
		w.trace.Event(c.lane.active, "breaks a connection", []byte(c.client.String()), int64(c.proto))
		return false
	case opens:
		w.Count.Opened++
	case mask != c.mask:
		w.Count.Remapped++
	}
	c.mask = mask
	return true
}

// address returns an IPv6 host of a lane.
func address(laneNumber, host int) netip.Addr {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, byte(laneNumber)}
	binary.BigEndian.PutUint32(b[12:], uint32(host)+1)
	return netip.AddrFrom16(b)
}

// server returns an IPv4 host.
func server(r *rand.Rand, servers int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(servers) + 1)}), [...]uint16{80, 443, 53}[r.IntN(3)])
}
