package worker

import (
	"errors"
	"net/netip"
	"time"

	"joolctl/configdir"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/syncwire"
)

// sealing seals the datagrams that a worker sends to the group, and opens those that it receives.
type sealing struct {
	mode      configdir.Security
	keys      seal.Keys
	context   seal.Context
	channel   *seal.Channel // nil: the host takes clear datagrams only
	links     uint64        // of the channel, as last seen
	due       time.Time     // of the channel, as last seen
	greetAt   time.Time     // when to send the next greeting
	sealedOne []byte        // memory for a sealed datagram outside of a batch
	refusals  refused
	linked    bool // SyncState.Links has some
	// newChannel is seal.NewChannel. The simulator replaces it.
	newChannel func(seal.Keys, seal.Context, time.Time) *seal.Channel
}

// SecurityOf returns the mode and the key IDs of a spec, as HELLO has them.
func SecurityOf(spec *configdir.Spec) syncwire.Security {
	var ids []uint8
	for key := range spec.Keys.All() {
		ids = append(ids, key.ID)
	}
	return syncwire.NewSecurity(syncwire.SecurityMode(spec.Security), ids...)
}

// announceSecurity tells the peers the mode and the keys of a spec, before setSecurity takes them.
func (p *pumps) announceSecurity(spec configdir.Spec, now time.Time) {
	is := SecurityOf(&spec)
	if is == p.host.Security() {
		return
	}
	p.host.SetSecurity(is, now)
	p.w.change(now, func(s *SyncState) { s.SecuritySince = now })
}

// setSecurity takes the keys and the mode of a spec. The network socket must be that of the spec's group and port.
func (p *pumps) setSecurity(spec configdir.Spec, now time.Time) {
	context := seal.Context{Group: spec.Group, Port: spec.Port}
	if spec.Unicast() {
		context = seal.Context{} // hosts may use different ports
	}
	switch {
	case !spec.Security.Keyed():
		p.channel, p.sealedOne = nil, nil
	case p.channel == nil || p.context != context:
		p.channel, p.links, p.due = p.newChannel(spec.Keys, context, now), 0, time.Time{}
		p.sealedOne = make([]byte, 0, datagramSize)
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
		p.sealedOne = p.channel.Greet(p.sealedOne[:0], now)
		p.sendOne(p.sealedOne, packetio.All, note{control: true})
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
	p.sealedOne = p.appendSealed(p.sealedOne[:0], b, now)
	return p.sealedOne
}

// wireBatch returns the datagrams of the batch as they are sent to the group. The caller must call forgetSealed after that.
func (p *pumps) wireBatch() *packetio.Batch {
	if !p.seals() {
		return p.batch
	}
	if p.sealed == nil {
		p.sealed = packetio.NewBatch(batch, datagramSize) // 41 sessions in records fit
	}
	now := p.do.now()
	p.greetWhenDue(now)
	for i := range p.batch.Len() {
		p.sealed.Add(p.appendSealed(p.sealed.Next(), p.batch.Datagram(i), now), p.batch.To(i))
	}
	return p.sealed
}

// clear returns the clear datagram for a received one. ok is false if the datagram has none, or was refused.
func (p *pumps) clear(d packetio.Datagram, now time.Time) (_ []byte, ok bool) {
	if !seal.IsSealed(d.Data) {
		if p.mode == configdir.SecurityRequire {
			p.w.counters.clearRefused.Add(1)
			p.refuse(RefusedClear, d, now)
			return nil, false
		}
		return d.Data, true
	}
	if p.channel == nil {
		p.refuse(RefusedSealed, d, now)
		return d.Data, true // it counts as a message of another version
	}
	content, outcome := p.channel.OpenFrom(d.From.Addr(), d.Data, now)
	if links := p.channel.Links(); links != p.links {
		p.links = links
		p.refusals.confirmed()
		p.host.Ask(now)
	}
	p.planGreeting(now)
	if outcome != seal.Opened {
		p.unopened(outcome, d, now)
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

// unopened counts a sealed datagram that was not opened.
func (p *pumps) unopened(outcome seal.Outcome, d packetio.Datagram, now time.Time) {
	c := p.w.counters
	switch outcome {
	case seal.Forged:
		c.forged.Add(1)
		p.refuse(RefusedForged, d, now)
	case seal.Replayed:
		c.replayed.Add(1)
		p.refuse(RefusedReplayed, d, now)
	case seal.UnknownKey:
		c.unknownKey.Add(1)
		p.refuse(RefusedUnknownKey, d, now)
	case seal.Unconfirmed:
		c.unconfirmed.Add(1)
		p.refuse(RefusedUnconfirmed, d, now)
	case seal.Throttled:
		c.throttled.Add(1)
		p.logRefused("dropped a datagram of an unknown sender, because too many of them arrive", d, now)
	case seal.Malformed:
		c.malformed.Add(1)
		p.logRefused("dropped an authentic datagram without a content", d, now)
	}
}

// refusalLines are the lines of the log for refused datagrams; "": there is none, because hosts with "accept" send such datagrams.
var refusalLines = [refusalKinds]string{
	RefusedClear:       "dropped a clear datagram, because \"security\" is \"require\"; write \"security\": \"send\" at its sender, or here until it has that",
	RefusedForged:      "dropped a forged datagram: it was not sealed with the key that it names, for this group and port, or was changed on its way",
	RefusedReplayed:    "dropped a replayed datagram: it arrived before, or is too old",
	RefusedUnknownKey:  "dropped a datagram that was sealed with a key that the key file does not have; add that key",
	RefusedUnconfirmed: "dropped datagrams of a host that does not hear this one: they may be a recording; otherwise find out why no datagram of this host arrives there",
}

// refuse notes a refused datagram, and logs it at times.
func (p *pumps) refuse(why Refusal, d packetio.Datagram, now time.Time) {
	key := uint8(0)
	if seal.IsSealed(d.Data) {
		key = seal.KeyID(d.Data)
	}
	lasts, _ := p.refusals.note(d.From.Addr(), why, key, now, p.hears)
	message := refusalLines[why]
	if message == "" || why == RefusedUnconfirmed && lasts < UnconfirmedAfter {
		return
	}
	if why != RefusedUnknownKey {
		p.logRefused(message, d, now)
	} else if before, due := p.w.log.due(message, now); due {
		p.w.log.put(message, before, "from", d.From, "key", key, "key file", p.w.spec().KeyFile)
	}
}

// logRefused logs a refused datagram, unless there was such a line shortly before.
func (p *pumps) logRefused(message string, d packetio.Datagram, now time.Time) {
	if before, due := p.w.log.due(message, now); due {
		p.w.log.put(message, before, "from", d.From)
	}
}

// hears reports whether a peer was heard from an address.
func (p *pumps) hears(from netip.Addr) bool { return p.host.Peers.Knows(from) }

// publishEvery is the shortest time between two copies of the refused datagrams.
const publishEvery = time.Second

// publishRefused copies what was refused to where other goroutines can read it.
func (p *pumps) publishRefused(now time.Time) {
	if len(p.refusals.list) == 0 && !p.refusals.dirty || now.Sub(p.refusals.published) < publishEvery {
		return
	}
	if list, changed := p.refusals.take(now, p.hears); changed {
		p.w.change(now, func(s *SyncState) { s.Refused = list })
	}
}

// publishLinks copies the links of the channel to where other goroutines can read them.
func (p *pumps) publishLinks(now time.Time) {
	if p.channel == nil && !p.linked {
		return
	}
	var links []seal.Link
	if p.channel != nil {
		links = p.channel.AppendLinks(nil)
	}
	p.linked = len(links) > 0
	p.w.change(now, func(s *SyncState) { s.Links = links })
}
