package worker

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Refusal is why a datagram was refused. Nothing of a refused datagram is authentic, not even its source.
type Refusal uint8

// The refusals.
const (
	RefusedClear       Refusal = iota // it is clear, and "security" is "require"
	RefusedSealed                     // it is sealed, and "security" is "off"
	RefusedForged                     // it is not authentic
	RefusedReplayed                   // it arrived before, or is too old
	RefusedUnknownKey                 // it is sealed with a key that the key file does not have
	RefusedUnconfirmed                // its sender has not heard this host, so that it may be a recording
	refusalKinds       = iota
)

const (
	// maxRefused bounds the addresses and kinds that are counted, because anybody can send from any address.
	maxRefused = 64
	// RefusedFor is how long a refused datagram counts.
	RefusedFor = time.Minute
	// UnconfirmedAfter is for how long the datagrams of a host must be unconfirmed until that is worth a line: whenever a host starts,
	// the first ones are. unconfirmedPause is the longest pause between two of them: greetings arrive more often.
	UnconfirmedAfter = 5 * time.Second
	unconfirmedPause = 15 * time.Second
)

// Refused counts the datagrams from an address that were refused for one reason.
type Refused struct {
	From netip.Addr
	Why  Refusal
	// Datagrams is how many were refused since Since. Last is when the last one was.
	Datagrams   uint64
	Since, Last time.Time
	// Key is the ID of the key that the last one names, if it was sealed.
	Key uint8
	// Known is true if a peer was heard from that address.
	Known bool
}

// refused counts refused datagrams. The zero value is ready for use.
type refused struct {
	list      []Refused
	dirty     bool
	published time.Time
}

// note counts a datagram. It returns for how long such datagrams have been arriving from its source; ok is false if the table is full
// of others. known reports whether a peer was heard from an address.
func (r *refused) note(from netip.Addr, why Refusal, key uint8, now time.Time, known func(netip.Addr) bool) (lasts time.Duration, ok bool) {
	at := -1
	for i := range r.list {
		if r.list[i].From == from && r.list[i].Why == why {
			at = i
			break
		}
	}
	if at < 0 {
		if at = r.room(from, now, known); at < 0 {
			return 0, false
		}
		r.list[at] = Refused{From: from, Why: why, Since: now}
	}
	one := &r.list[at]
	pause := RefusedFor
	if why == RefusedUnconfirmed {
		pause = unconfirmedPause
	}
	if one.Datagrams > 0 && now.Sub(one.Last) > pause {
		one.Datagrams, one.Since = 0, now
	}
	one.Datagrams++
	one.Last, one.Key = now, key
	r.dirty = true
	return now.Sub(one.Since), true
}

// room returns the index of a free entry: a new one, one that does not count any more, or, for the address of a peer, that of
// another address. It returns -1 if there is none.
func (r *refused) room(from netip.Addr, now time.Time, known func(netip.Addr) bool) int {
	if len(r.list) < maxRefused {
		if r.list == nil {
			r.list = make([]Refused, 0, maxRefused)
		}
		r.list = r.list[:len(r.list)+1]
		return len(r.list) - 1
	}
	for i := range r.list {
		if now.Sub(r.list[i].Last) > RefusedFor {
			return i
		}
	}
	if !known(from) {
		return -1
	}
	return slices.IndexFunc(r.list, func(one Refused) bool { return !known(one.From) })
}

// confirmed forgets the unconfirmed datagrams, because a host was found that hears this one.
func (r *refused) confirmed() {
	before := len(r.list)
	r.list = slices.DeleteFunc(r.list, func(one Refused) bool { return one.Why == RefusedUnconfirmed })
	r.dirty = r.dirty || len(r.list) < before
}

// take returns a copy of the entries that count, the addresses of peers first, then those with most datagrams. changed is false if
// there is nothing new to publish.
func (r *refused) take(now time.Time, known func(netip.Addr) bool) (list []Refused, changed bool) {
	before := len(r.list)
	r.list = slices.DeleteFunc(r.list, func(one Refused) bool { return now.Sub(one.Last) > RefusedFor })
	if !r.dirty && len(r.list) == before {
		return nil, false
	}
	r.dirty, r.published = false, now
	list = slices.Clone(r.list)
	for i := range list {
		list[i].Known = known(list[i].From)
	}
	slices.SortFunc(list, func(a, b Refused) int {
		if a.Known != b.Known {
			if a.Known {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Datagrams, a.Datagrams), a.From.Compare(b.From), cmp.Compare(a.Why, b.Why))
	})
	return list, true
}
