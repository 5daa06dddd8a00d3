package sim

import (
	"net/netip"
	"slices"
	"time"

	"joolctl/session"
)

// Ledger numbers the sessions that packets have opened on any host, and knows the masks that modules chose.
type Ledger struct {
	ids   map[session.Key]int
	last  []time.Time                   // by number: when a module last translated a packet of the session
	led   []Version                     // by number: the state after that packet in that module
	masks map[endpoint][]netip.AddrPort // by IPv6 endpoint
	// unnumbered is, by number, when a worker last took a report of the session that it sends without a sequence number: an upstream joold,
	// or one with another version of the wire format than its peers.
	unnumbered map[int]time.Time
	// reported is, by number, the last version that left a module in a report.
	reported map[int]departure
}

// departure is a version that left a module.
type departure struct {
	Version
	at time.Time
}

// NewLedger returns an empty Ledger.
func NewLedger() *Ledger {
	return &Ledger{ids: make(map[session.Key]int), masks: make(map[endpoint][]netip.AddrPort), unnumbered: make(map[int]time.Time), reported: make(map[int]departure)}
}

// phantom is the number of a session that no packet opened.
const phantom = -1

// Len returns how many sessions there have been.
func (l *Ledger) Len() int { return len(l.ids) }

// open numbers a session that a packet opens.
func (l *Ledger) open(r *session.Record) int {
	key := r.Key()
	id, known := l.ids[key]
	if !known {
		id = len(l.ids)
		l.ids[key] = id
		l.last, l.led = append(l.last, time.Time{}), append(l.led, Version{})
	}
	host, mask := sides(r)
	if !slices.Contains(l.masks[host], mask.addr) {
		l.masks[host] = append(l.masks[host], mask.addr)
	}
	return id
}

// number returns a session's number, or phantom.
func (l *Ledger) number(k session.Key) int {
	if id, known := l.ids[k]; known {
		return id
	}
	return phantom
}

// opened reports whether packets opened this session, and a module chose its mask.
func (l *Ledger) opened(r *session.Record) bool {
	host, mask := sides(r)
	return l.number(r.Key()) != phantom && slices.Contains(l.masks[host], mask.addr)
}
