package worker

import (
	"errors"
	"time"

	"joolctl/configdir"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/syncwire"
)

// sealing seals the datagrams that a worker sends to the group, and opens those that it receives.
type sealing struct {
	mode    configdir.Security
	keys    seal.Keys
	context seal.Context
	channel *seal.Channel // nil: the host takes clear datagrams only
	links   uint64        // of the channel, as last seen
	due     time.Time     // of the channel, as last seen
	greetAt time.Time     // when to send the next greeting
	single  []byte        // memory for a sealed datagram outside of a batch
	// newChannel is seal.NewChannel. The simulator replaces it.
	newChannel func(seal.Keys, seal.Context, time.Time) *seal.Channel
}

// setSecurity takes the keys and the mode of a spec. The network socket must be that of the spec's group and port.
func (p *pumps) setSecurity(spec configdir.Spec, now time.Time) {
	context := seal.Context{Group: spec.Group, Port: spec.Port}
	switch {
	case !spec.Security.Keyed():
		p.channel, p.single = nil, nil
	case p.channel == nil || p.context != context:
		p.channel, p.links, p.due = p.newChannel(spec.Keys, context, now), 0, time.Time{}
		p.single = make([]byte, 0, datagramSize)
	case p.keys != spec.Keys:
		p.channel.SetKeys(spec.Keys, now)
	}
	p.mode, p.keys, p.context = spec.Security, spec.Keys, context
	p.planGreeting(now)
}

// seals reports whether datagrams to the group are sealed.
func (p *pumps) seals() bool { return p.channel != nil && p.mode.Seals() }

// planGreeting wakes the worker up for the next greeting. A greeting that need not be soon waits for a moment at which an idle worker
// wakes up anyway.
func (p *pumps) planGreeting(now time.Time) {
	if p.channel == nil || p.channel.Due().Equal(p.due) {
		return
	}
	p.due = p.channel.Due()
	if p.greetAt = p.beats.At(p.due, replication.IdleBeat); !p.greetAt.After(now) {
		p.greetAt = p.due
	}
	p.wakeAt(p.greetAt)
}

// greetWhenDue sends a greeting if one is due, and returns when the next one is; zero: never.
func (p *pumps) greetWhenDue(now time.Time) time.Time {
	if p.channel == nil {
		return time.Time{}
	}
	if !now.Before(p.greetAt) {
		p.single = p.channel.Greet(p.single[:0], now)
		p.account(note{control: true}, p.do.transmit(p.single))
		p.planGreeting(now)
	}
	return p.greetAt
}

// appendSealed appends to dst the sealed datagram for a clear one. dst must have the capacity for the head.
func (p *pumps) appendSealed(dst, clear []byte, now time.Time) []byte {
	b := syncwire.AppendSealed(dst[:seal.HeadLen], clear, p.format)
	return p.channel.Seal(b[:0], b[seal.HeadLen:], now)
}

// wire returns a datagram as it is sent to the group. The result is valid until the next call.
func (p *pumps) wire(b []byte) []byte {
	if !p.seals() {
		return b
	}
	now := p.do.now()
	p.greetWhenDue(now) // the first datagram of a run is useless without a greeting before it
	p.single = p.appendSealed(p.single[:0], b, now)
	return p.single
}

// wireBatch returns the datagrams of the batch as they are sent to the group. The caller must call forgetSealed after that.
func (p *pumps) wireBatch() *packetio.Batch {
	if !p.seals() {
		return p.batch
	}
	if p.sealed == nil {
		p.sealed = packetio.NewBatch(batch, datagramSize)
	}
	now := p.do.now()
	p.greetWhenDue(now)
	for i := range p.batch.Len() {
		p.sealed.Add(p.appendSealed(p.sealed.Next(), p.batch.Datagram(i), now))
	}
	return p.sealed
}

// clear returns the clear datagram for a received one. ok is false if the datagram has none, or was refused.
func (p *pumps) clear(d packetio.Datagram, now time.Time) (_ []byte, ok bool) {
	if !seal.IsSealed(d.Data) {
		if p.mode == configdir.SecurityRequire {
			p.w.counters.clearRefused.Add(1)
			p.w.log.warn("dropped a clear datagram, because \"security\" is \"require\"", "from", d.From)
			return nil, false
		}
		return d.Data, true
	}
	if p.channel == nil {
		return d.Data, true // it counts as a message of another version
	}
	content, outcome := p.channel.Open(d.Data, now)
	if links := p.channel.Links(); links != p.links {
		p.links = links
		p.host.Ask(now)
	}
	p.planGreeting(now)
	if outcome != seal.Opened {
		p.unopened(outcome, d)
		return nil, false
	}
	before := len(p.opened)
	var err error
	if p.opened, err = syncwire.AppendOpened(p.opened, content); err != nil {
		p.unreadable(d, err, now)
		return nil, false
	}
	return p.opened[before:len(p.opened):len(p.opened)], true
}

// unreadable counts an authentic datagram whose content has no meaning for this host.
func (p *pumps) unreadable(d packetio.Datagram, err error, now time.Time) {
	p.host.Garbled(d.From.Addr(), now)
	if errors.Is(err, syncwire.ErrNotUnderstood) {
		p.w.counters.notUnderstood.Add(1)
		return
	}
	p.w.counters.malformed.Add(1)
	p.w.log.warn("dropped a malformed datagram", "from", d.From, "error", err)
}

// unopened counts and logs a sealed datagram that was not opened.
func (p *pumps) unopened(outcome seal.Outcome, d packetio.Datagram) {
	c, log := p.w.counters, p.w.log
	switch outcome {
	case seal.Forged:
		c.forged.Add(1)
		log.warn("dropped a forged datagram: it was not sealed with the key that it names, for this group and port, or was changed on its way", "from", d.From)
	case seal.Replayed:
		c.replayed.Add(1)
		log.warn("dropped a replayed datagram: it arrived before, or is too old", "from", d.From)
	case seal.UnknownKey:
		c.unknownKey.Add(1)
		log.warn("dropped a datagram that was sealed with a key that the key file does not have; add that key", "from", d.From, "key", seal.KeyID(d.Data), "key file", p.w.spec().KeyFile)
	case seal.Unconfirmed:
		c.unconfirmed.Add(1)
		log.warn("dropped a datagram whose sender has not heard this host yet: it may be a recording; if this lasts, the sender receives nothing of this host", "from", d.From)
	case seal.Throttled:
		c.throttled.Add(1)
		log.warn("dropped a datagram of an unknown sender, because too many of them arrive", "from", d.From)
	case seal.Malformed:
		c.malformed.Add(1)
		log.warn("dropped an authentic datagram without a content", "from", d.From)
	}
}
