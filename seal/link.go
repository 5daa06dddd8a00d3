package seal

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// Link describes a peer whose datagrams this host opens. All of it follows from authentic datagrams, but for From.
type Link struct {
	// From is the source of the last authentic datagram that OpenFrom received. An attacker can change it.
	From netip.Addr
	// Key is the ID of the key that the peer seals with.
	Key uint8
	// DeafSince is since when the peer's greetings say that it does not open the datagrams of this host; zero: it opens them.
	DeafSince time.Time
	// GreetedAt is when the last greeting arrived. ContentAt is when another datagram did, or when this host accepted the peer's
	// run if that was later.
	GreetedAt, ContentAt time.Time
}

// AppendLinks appends the links of this host to dst, in the order of the peers' run IDs.
func (c *Channel) AppendLinks(dst []Link) []Link {
	var runs []Run
	for run, p := range c.runs {
		if p.accepted && p.authentic && !p.over {
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b Run) int { return bytes.Compare(a[:], b[:]) })
	for _, run := range runs {
		p := c.runs[run]
		l := Link{From: p.from, Key: p.key, DeafSince: p.deafSince, GreetedAt: p.greetedAt, ContentAt: p.contentAt}
		if p.acceptedAt.After(l.ContentAt) {
			l.ContentAt = p.acceptedAt
		}
		dst = append(dst, l)
	}
	return dst
}
