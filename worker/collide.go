package worker

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
	// maxCleared bounds how many BIB entries are removed because of what peers say:
	// so many at once, and as many again in clearedIn. A forged table must not take
	// all mappings away, nor many of them again and again.
	maxCleared = 4096
	clearedIn  = time.Minute
	clearEvery = clearedIn / maxCleared
	// whyInTheWay is the reason for a resync after one for which that was too little.
	whyInTheWay = "older mappings are in the way"
)

// mayClear is how many BIB entries may be removed now.
func (r *resync) mayClear(now time.Time) int {
	return maxCleared - int((max(r.clearing.Sub(now), 0)+clearEvery-1)/clearEvery)
}

// cleared notes that some have been.
func (r *resync) cleared(n int, now time.Time) {
	r.clearing = maxTime(r.clearing, now).Add(time.Duration(n) * clearEvery)
}

// mask names a BIB entry by its IPv4 side.
type mask struct {
	proto session.Proto
	src4  netip.AddrPort
}

// bibHost names a BIB entry by its IPv6 side.
type bibHost struct {
	proto session.Proto
	src6  [18]byte // address and port
}

func maskOf(r *session.Record) mask { return mask{r.Proto(), r.Src4()} }

func hostOf(r *session.Record) bibHost {
	k := r.Key()
	return hostOfKey(&k)
}

// hostOfKey is hostOf for a session of which only the key is known.
func hostOfKey(k *session.Key) bibHost {
	h := bibHost{proto: session.Proto(k[24])}
	copy(h.src6[:], k[:18])
	return h
}

// clearWay finds the BIB entries of ours that would keep the sessions to inject
// out: one that gives their mask to another host, or their host another mask.
// The module would refuse them in silence, or warn. Where all sessions of all
// that is in a session's way are older than it, or as old and of a higher mapping, and none was reported by our own
// kernel lately, it has to go: it is in old, and no more in give. Else the session is
// blocked and leaves inject; so is what more than most entries would have to go
// for. Idle times are those of our settings.
func (d *difference) clearWay(own []session.Record, our syncwire.Settings, touched map[session.Key]struct{}, most int) {
	if len(own) == 0 || len(d.inject) == 0 {
		return
	}
	hosts, masks := make(map[mask]bibHost), make(map[bibHost]mask) // to inject
	for i := range d.inject {
		m, h := maskOf(&d.inject[i]), hostOf(&d.inject[i])
		hosts[m], masks[h] = h, m
	}
	live := make(map[bibHost]struct{}, len(touched))
	for k := range touched {
		live[hostOfKey(&k)] = struct{}{}
	}
	// Ours that is in the way of either, by mask, and the idle time of the youngest.
	youngest := make(map[mask]int64)
	maskOfHost, hostOfMask := make(map[bibHost]mask), make(map[mask]bibHost)
	for i := range own {
		r := &own[i]
		m, h := maskOf(r), hostOf(r)
		otherHost, sameMask := hosts[m]
		otherMask, sameHost := masks[h]
		if !(sameMask && otherHost != h) && !(sameHost && otherMask != m) {
			continue
		}
		maskOfHost[h], hostOfMask[m] = m, h
		age := idle(r, our)
		if _, reported := live[h]; reported {
			age = -1 << 62
		}
		if before, known := youngest[m]; !known || age < before {
			youngest[m] = age
		}
	}
	if len(youngest) == 0 {
		return
	}
	gone := make(map[mask]struct{})
	free := d.inject[:0]
	for i := range d.inject {
		w := d.inject[i]
		var ways []mask
		if _, taken := youngest[maskOf(&w)]; taken {
			ways = append(ways, maskOf(&w))
		}
		if other, has := maskOfHost[hostOf(&w)]; has && other != maskOf(&w) {
			ways = append(ways, other)
		}
		older := true
		for _, way := range ways {
			behind, tolerance := youngest[way]-idle(&w, our), minTolerance.Milliseconds()
			older = older && (behind > tolerance || behind >= -tolerance && lower(&w, way, hostOfMask[way]))
		}
		if !older {
			d.blocked++
			continue
		}
		more := 0
		for _, way := range ways {
			if _, goes := gone[way]; !goes {
				more++
			}
		}
		if len(gone)+more > most {
			d.blocked++
			d.limited = true
			continue
		}
		for _, way := range ways {
			gone[way] = struct{}{}
		}
		free = append(free, w)
	}
	d.inject = free
	d.fresh -= d.blocked
	d.old = slices.SortedFunc(maps.Keys(gone), func(a, b mask) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), a.src4.Compare(b.src4))
	})
	d.hosts = hostOfMask
	d.give = slices.DeleteFunc(d.give, func(r session.Record) bool {
		_, goes := gone[maskOf(&r)]
		return goes
	})
}

// spare takes BIB entries out of old, so that they stay: those whose sessions were reported after the tables were
// compared, or all of them. The sessions that these entries block leave inject.
func (d *difference) spare(lately []session.Key, all bool) {
	if len(d.old) == 0 || len(lately) == 0 && !all {
		return
	}
	reported := make(map[bibHost]struct{})
	for i := range lately {
		reported[hostOfKey(&lately[i])] = struct{}{}
	}
	spared, hosts := make(map[mask]struct{}), make(map[bibHost]struct{})
	d.old = slices.DeleteFunc(d.old, func(m mask) bool {
		_, is := reported[d.hosts[m]]
		if is || all {
			spared[m], hosts[d.hosts[m]] = struct{}{}, struct{}{}
		}
		return is || all
	})
	d.limited = d.limited || all
	before := len(d.inject)
	d.inject = slices.DeleteFunc(d.inject, func(r session.Record) bool {
		_, taken := spared[maskOf(&r)]
		_, other := hosts[hostOf(&r)]
		return taken || other
	})
	d.blocked += before - len(d.inject)
	d.fresh -= before - len(d.inject)
}

// lower reports whether a session's mapping is lower than a BIB entry that is in its way: by the mask, then by the IPv6
// host.
func lower(r *session.Record, way mask, host bibHost) bool {
	if c := maskOf(r).src4.Compare(way.src4); c != 0 {
		return c < 0
	}
	of := hostOf(r).src6
	return bytes.Compare(of[:], host.src6[:]) < 0
}
