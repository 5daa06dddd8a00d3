package replication

import (
	"strings"
	"testing"
)

// wrong returns a reachable host that has a session which a host lacks and could know of; nil: there is none.
func (h *host) wrong() (other *host, key int) {
	has := h.table
	for _, e := range h.held {
		has.put(e)
	}
	for _, other := range h.w.order {
		if !h.hears(other) {
			continue
		}
		for k := range keys {
			if s := h.w.alive(other.table[k]); s > has[k] && h.couldKnow(s, other) {
				return other, k
			}
		}
	}
	return nil, 0
}

// couldKnow reports whether a host could know of a version that another host has.
func (h *host) couldKnow(s stamp, of *host) bool {
	v := &h.w.versions[s]
	origin := h.w.hosts[v.origin]
	if origin == of || h.hears(origin) {
		return v.counted
	}
	for _, other := range h.w.order {
		if (other == h || h.hears(other)) && other.behindTheTimes() {
			return false
		}
	}
	return true
}

// behindTheTimes reports whether a host has yet to find out that a peer is gone, or to take over sessions of one that is.
func (h *host) behindTheTimes() bool {
	if !h.listening.IsZero() || h.in != nil && h.in.compared && !h.hears(h.w.hosts[h.in.from]) {
		return true
	}
	for _, n := range h.known {
		if n.live && !h.hears(h.w.hosts[n.id]) {
			return true
		}
	}
	return false
}

// TestVectorNeverLies has things happen to hosts in random order, and settles what is left of them again and again: then all
// of them become complete, and their tables are equal.
//
// At no time may a host say that it is complete while it lacks a session that a reachable host has. As HELLOs take up to 10 s, the
// test asks what the host would say if every reachable host said HELLO now. Even then a host can't know of a session
//   - while the module of the session's origin has neither reported it nor counted it as dropped, if the origin is reachable: a
//     session that nobody has reported dies with its host. The module is given 8 s;
//   - whose origin is gone, as long as a reachable host has yet to find out that a peer is gone, listens after its start, or
//     injects sessions of a peer that is gone. That host's generation may have to rise;
//   - that its own module has refused, until it reads that error.
func TestVectorNeverLies(t *testing.T) {
	for seed := range uint64(3000) {
		if newWorld(seed, false).run() == nil {
			continue
		}
		w := newWorld(seed, true)
		t.Fatalf("seed %d: %v\n%s", seed, w.run(), strings.Join(w.trace, "\n"))
	}
}
