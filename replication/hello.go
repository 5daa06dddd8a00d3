package replication

import (
	"time"

	"joolctl/syncwire"
)

// Hello takes a peer's HELLO that arrived at the time came. last is the number of the peer's last live datagram.
func (h *Host) Hello(from *Peer, b *syncwire.Hello, last syncwire.Seq, came, now time.Time) {
	answer, current := h.Receiver.Hello(from, b, last, came, now)
	if answer {
		h.helloWithin(HelloBack, now)
	}
	if current {
		from.heardPadded(b, h.Knowledge.Self())
		h.secured(from, b.Security, came)
		from.lagging.hello(b.Vector, h.Knowledge, &h.SentLog, came)
	}
	if b.Sync != syncwire.SyncNo {
		h.do.Emit(PeerComplete{})
	}
}

// askHellos sends a HELLO that asks for those of others: now if within is 0.
func (h *Host) askHellos(within time.Duration, now time.Time) {
	h.asks = true
	if within == 0 {
		h.hello = now
		return
	}
	h.helloWithin(within, now)
}

// Ask sends a HELLO that asks for those of peers, because a peer was found that could not hear this host before.
func (h *Host) Ask(now time.Time) {
	if h.Sequence {
		h.askHellos(HelloBack/10, now)
		h.do.Wake(now)
	}
}

// helloWithin sends a HELLO at a random moment within d, unless one is due by then: many hosts may ask at once.
func (h *Host) helloWithin(d time.Duration, now time.Time) {
	if h.hello.After(now.Add(d)) {
		h.hello = now.Add(time.Duration(h.Random.Int64N(int64(d))))
	}
}

// helloSoon sends a HELLO soon, because what it says has changed.
func (h *Host) helloSoon(now time.Time) { h.helloWithin(HelloBack/10, now) }

// sendHello sends a HELLO.
func (h *Host) sendHello(now time.Time) {
	h.do.Push() // HELLO has the number of the last live datagram that was sent
	if !now.Equal(h.polled) {
		h.do.ReadCounters(now)
	}
	interval := HelloIdle
	h.hello = h.Beats.At(now.Add(HelloIdle), IdleBeat)
	if !h.Idle(now) || h.Receiver.Phase() != PhaseSettled {
		interval = HelloBusy
		h.hello = h.Beats.At(now.Add(HelloBusy), Beat)
	}
	hello := syncwire.Hello{
		Asks: h.asks, Dropping: h.Dropping(now), Sync: h.Receiver.Sync(), NextIn: uint8(interval / time.Second), Sessions: uint32(h.Sessions()),
		Module: h.Module, Settings: h.settings, Software: h.Software, Generation: h.Knowledge.Position().Generation, Vector: h.Knowledge.Components(now),
		Heard: h.heard(now), Security: h.security,
	}
	h.send(&hello, nil)
	h.asks = false
	h.sendPadded(hello, now)
}

// SetDigests takes the digests of pool4 and of its max-iterations, and tells the peers of a change.
func (h *Host) SetDigests(pool, iterations uint32, now time.Time) {
	if s := &h.settings; s.Pool4 != pool || s.Iterations != iterations {
		s.Pool4, s.Iterations = pool, iterations
		h.helloSoon(now)
		h.do.Wake(now)
	}
}
