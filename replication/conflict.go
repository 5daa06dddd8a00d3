package replication

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// MaxRemovals bounds how many BIB entries are removed because of peers' tables: so many at once, and as many again in
	// RemovalsIn. A forged table must not remove all mappings, nor many of them again and again.
	MaxRemovals = 4096
	RemovalsIn  = time.Minute
	// RemovalEvery is the time in which one more removal is allowed.
	RemovalEvery = RemovalsIn / MaxRemovals
)

// RemovalLimit limits the rate of removed BIB entries. The zero value allows MaxRemovals.
type RemovalLimit struct {
	full time.Time // when MaxRemovals are allowed again
}

// Left returns how many BIB entries may be removed now.
func (l *RemovalLimit) Left(now time.Time) int {
	return MaxRemovals - int((max(l.full.Sub(now), 0)+RemovalEvery-1)/RemovalEvery)
}

// Spend notes that n BIB entries are removed now.
func (l *RemovalLimit) Spend(n int, now time.Time) {
	if l.full.Before(now) {
		l.full = now
	}
	l.full = l.full.Add(time.Duration(n) * RemovalEvery)
}

// Mask identifies a BIB entry by its IPv4 side.
type Mask struct {
	Proto session.Proto
	Src4  netip.AddrPort
}

// bibHost identifies a BIB entry by its IPv6 side.
type bibHost struct {
	proto session.Proto
	src6  [18]byte // address and port
}

func maskOf(r *session.Record) Mask { return Mask{r.Proto(), r.Src4()} }

func hostOf(r *session.Record) bibHost {
	k := r.Key()
	return hostOfKey(&k)
}

// hostOfKey is hostOf for a session of which only the Key is known.
func hostOfKey(k *session.Key) bibHost {
	h := bibHost{proto: session.Proto(k[24])}
	copy(h.src6[:], k[:18])
	return h
}

// ResolveConflicts finds the own BIB entries that conflict with a session to inject: an entry that gives the session's mask
// to another host, or the session's host another mask. The module would refuse the session in silence, or warn.
//
// A conflicting entry is added to Remove, and its sessions leave Give, if all its sessions are older than the one to inject,
// or as old and of a higher mapping, and if none of them was reported lately (live). Otherwise the
// session to inject is blocked and leaves Inject. So does a session for which more than most entries in all would have to be
// removed. No entry blocks a session if another session removes it: the older sessions of a mapping follow the one that wins, also
// those that lost against own sessions, because these go with the entry.
//
// own is the own table from Unique; Inject must come from Rebase, so that all idle times are those of the own settings.
func (d *Difference) ResolveConflicts(own []session.Record, our syncwire.Settings, live map[reportedMapping]struct{}, most int) {
	if len(d.Inject)+len(d.outdone) == 0 {
		return
	}
	c := d.findConflicts(own, our, live)
	if len(c.youngest)+len(d.outdone) == 0 {
		return
	}
	free, blocked := d.removeOlder(c, our, most)
	stays := func(way Mask) bool { _, goes := c.gone[way]; return !goes }
	for i := range blocked {
		w := &blocked[i]
		if slices.ContainsFunc(c.with(w), stays) {
			d.blocked = append(d.blocked, *w)
		} else {
			free = append(free, *w)
		}
	}
	d.Blocked = len(d.blocked)
	d.Fresh -= d.Blocked
	d.outdone = slices.DeleteFunc(d.outdone, func(w session.Record) bool {
		if slices.ContainsFunc(c.with(&w), stays) {
			return false
		}
		free = append(free, w)
		d.Fresh++
		return true
	})
	d.Inject = free
	d.Remove = slices.SortedFunc(maps.Keys(c.gone), func(a, b Mask) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), a.Src4.Compare(b.Src4))
	})
	d.hosts = c.hostOfMask
	d.Give = slices.DeleteFunc(d.Give, func(r session.Record) bool {
		_, goes := c.gone[maskOf(&r)]
		return goes
	})
}

// conflicts are the own BIB entries that conflict with sessions to inject, by their masks.
type conflicts struct {
	// youngest is the idle time of the youngest session of each entry.
	youngest   map[Mask]int64
	maskOfHost map[bibHost]Mask
	hostOfMask map[Mask]bibHost
	// gone are the entries that are removed.
	gone map[Mask]struct{}
}

func (d *Difference) findConflicts(own []session.Record, our syncwire.Settings, live map[reportedMapping]struct{}) *conflicts {
	hosts, masks := make(map[Mask]bibHost), make(map[bibHost]Mask) // to inject
	for _, records := range [][]session.Record{d.outdone, d.Inject} {
		for i := range records {
			m, h := maskOf(&records[i]), hostOf(&records[i])
			hosts[m], masks[h] = h, m
		}
	}
	c := &conflicts{make(map[Mask]int64), make(map[bibHost]Mask), make(map[Mask]bibHost), make(map[Mask]struct{})}
	for i := range own {
		r := &own[i]
		m, h := maskOf(r), hostOf(r)
		otherHost, sameMask := hosts[m]
		otherMask, sameHost := masks[h]
		if !(sameMask && otherHost != h) && !(sameHost && otherMask != m) {
			continue
		}
		c.maskOfHost[h], c.hostOfMask[m] = m, h
		age := Idle(r, our)
		if inUse(live, h, m) {
			age = -1 << 62
		}
		if before, known := c.youngest[m]; !known || age < before {
			c.youngest[m] = age
		}
	}
	return c
}

// with returns the entries that conflict with a session.
func (c *conflicts) with(w *session.Record) (ways []Mask) {
	if _, conflicts := c.youngest[maskOf(w)]; conflicts {
		ways = append(ways, maskOf(w))
	}
	if other, has := c.maskOfHost[hostOf(w)]; has && other != maskOf(w) {
		ways = append(ways, other)
	}
	return ways
}

// removeOlder chooses the BIB entries to remove: those that are older than a session that they conflict with, most of them at most.
// Then it divides Inject: a session is free if all entries that it conflicts with are removed, and otherwise blocked.
func (d *Difference) removeOlder(c *conflicts, our syncwire.Settings, most int) (free, blocked []session.Record) {
	free = d.Inject[:0]
	for i := range d.Inject {
		w := d.Inject[i]
		ways := c.with(&w)
		older, more := true, 0
		for _, way := range ways {
			behind, tolerance := c.youngest[way]-Idle(&w, our), MinTolerance.Milliseconds()
			older = older && (behind > tolerance || behind >= -tolerance && lower(&w, way, c.hostOfMask[way]))
			if _, goes := c.gone[way]; !goes {
				more++
			}
		}
		switch {
		case !older:
			blocked = append(blocked, w)
		case len(c.gone)+more > most:
			blocked = append(blocked, w)
			d.Limited = true
		default:
			for _, way := range ways {
				c.gone[way] = struct{}{}
			}
			free = append(free, w)
		}
	}
	return free, blocked
}

// Keep removes BIB entries from Remove: those of which sessions were reported since the tables were compared (lately), or all
// of them. The sessions that conflict with these entries leave Inject.
func (d *Difference) Keep(lately []reportedMapping, all bool) {
	if len(d.Remove) == 0 || len(lately) == 0 && !all {
		return
	}
	reported := make(map[reportedMapping]struct{})
	for i := range lately {
		reported[lately[i]] = struct{}{}
	}
	kept, hosts := make(map[Mask]struct{}), make(map[bibHost]struct{})
	d.Remove = slices.DeleteFunc(d.Remove, func(m Mask) bool {
		is := inUse(reported, d.hosts[m], m)
		if is || all {
			kept[m], hosts[d.hosts[m]] = struct{}{}, struct{}{}
		}
		return is || all
	})
	d.Limited = d.Limited || all
	before := len(d.Inject)
	d.Inject = slices.DeleteFunc(d.Inject, func(r session.Record) bool {
		_, taken := kept[maskOf(&r)]
		_, other := hosts[hostOf(&r)]
		return taken || other
	})
	d.Blocked += before - len(d.Inject)
	d.Fresh -= before - len(d.Inject)
}

// lower reports whether a session's mapping is lower than a BIB entry that is in its way, in the order of masks, then of
// IPv6 hosts.
func lower(r *session.Record, way Mask, host bibHost) bool {
	if c := maskOf(r).Src4.Compare(way.Src4); c != 0 {
		return c < 0
	}
	of := hostOf(r).src6
	return bytes.Compare(of[:], host.src6[:]) < 0
}
