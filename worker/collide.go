package worker

import (
	"net/netip"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

// mask names a BIB entry by its IPv4 side.
type mask struct {
	proto joolnl.Proto
	src4  netip.AddrPort
}

// bibHost names a BIB entry by its IPv6 side.
type bibHost struct {
	proto joolnl.Proto
	src6  [18]byte // address and port
}

func maskOf(r *joolnl.Record) mask { return mask{r.Proto(), r.Src4()} }

func hostOf(r *joolnl.Record) bibHost {
	h := bibHost{proto: r.Proto()}
	k := r.Key()
	copy(h.src6[:], k[:18])
	return h
}

// inTheWay finds the BIB entries of ours that keep sessions of a peer's out: one
// that gives their mask to another host, or their host another mask. Where all
// sessions of all that is in a session's way are older than it, and none was
// reported by our own kernel lately, old has those entries and again the
// session. Idle times are those of our settings at one base.
func inTheWay(wanted, own []joolnl.Record, our syncwire.Settings, touched map[joolnl.Key]struct{}) (old []mask, again []joolnl.Record) {
	if len(wanted) == 0 {
		return nil, nil
	}
	masks, hosts := make(map[mask]struct{}), make(map[bibHost]struct{}) // of the wanted
	for i := range wanted {
		masks[maskOf(&wanted[i])], hosts[hostOf(&wanted[i])] = struct{}{}, struct{}{}
	}
	hostOfMask, maskOfHost := make(map[mask]bibHost), make(map[bibHost]mask) // ours
	youngest := make(map[mask]int64)                                         // idle time
	for i := range own {
		r := &own[i]
		m, h := maskOf(r), hostOf(r)
		_, sameMask := masks[m]
		_, sameHost := hosts[h]
		if !sameMask && !sameHost {
			continue
		}
		hostOfMask[m], maskOfHost[h] = h, m
		age := idle(r, our)
		if _, live := touched[r.Key()]; live {
			age = -1 << 62
		}
		if before, known := youngest[m]; !known || age < before {
			youngest[m] = age
		}
	}
	chosen := make(map[mask]struct{})
	for i := range wanted {
		w := &wanted[i]
		m, h := maskOf(w), hostOf(w)
		var ways []mask
		if other, taken := hostOfMask[m]; taken && other != h {
			ways = append(ways, m)
		}
		if other, has := maskOfHost[h]; has && other != m {
			ways = append(ways, other)
		}
		older := len(ways) > 0
		for _, way := range ways {
			older = older && youngest[way] > idle(w, our)+minTolerance.Milliseconds()
		}
		if !older {
			continue
		}
		again = append(again, *w)
		for _, way := range ways {
			if _, twice := chosen[way]; !twice {
				chosen[way] = struct{}{}
				old = append(old, way)
			}
		}
	}
	return old, again
}
