package guest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"joolctl/joolnl"
)

// ssSettings are the settings of an instance that say when its module reports sessions, by jool's names.
var ssSettings = map[string]func(joolnl.Globals) uint64{
	"ss-flush-asap": func(g joolnl.Globals) uint64 {
		if g.SSFlushASAP {
			return 1
		}
		return 0
	},
	"ss-flush-deadline":          func(g joolnl.Globals) uint64 { return uint64(g.SSFlushDeadline.Milliseconds()) },
	"ss-capacity":                func(g joolnl.Globals) uint64 { return uint64(g.SSCapacity) },
	"ss-max-payload":             func(g joolnl.Globals) uint64 { return uint64(g.SSMaxPayload) },
	"ss-max-sessions-per-packet": func(g joolnl.Globals) uint64 { return uint64(g.SSMaxSessions) },
}

// globals reads the settings of the instance "nat".
func (n *namespace) globals(t testing.TB) (g joolnl.Globals) {
	t.Helper()
	n.onInstance(t, "nat", func(c *joolnl.Conn) (err error) {
		g, err = c.AskGlobals()
		return err
	})
	return g
}

// changedSettings are those of ssSettings that differ, with their later values.
func changedSettings(before, after joolnl.Globals) map[string]uint64 {
	changed := make(map[string]uint64)
	for name, of := range ssSettings {
		if of(before) != of(after) {
			changed[name] = of(after)
		}
	}
	return changed
}

// tunedWithin is how long joolctl may take for the instance's settings.
const tunedWithin = 3 * time.Second

// tunedSettings are the settings that joolctl changes. C joold gets them from here, so that they are the product's own.
func tunedSettings(t testing.TB) map[string]uint64 {
	t.Helper()
	top := newTopology(t)
	before := top.j.globals(t)
	p, _ := top.pairs(group6)
	p.tuneSS = true
	w := startWorker(t, supervised, top.j, p)
	defer w.stop(t)
	changed := map[string]uint64{}
	for end := time.Now().Add(tunedWithin); len(changed) == 0 && time.Now().Before(end); <-time.After(pollEvery) {
		changed = changedSettings(before, top.j.globals(t))
	}
	if len(changed) == 0 {
		t.Logf("joolctl has changed no setting within %v", tunedWithin)
	}
	return changed
}

// startVariant starts the daemons of a variant on J and K, and waits until a session has crossed and both are at rest.
func startVariant(t testing.TB, top *topology, variant string, tuned map[string]uint64) (j, k worker) {
	t.Helper()
	kind := upstream
	pairJ, pairK := top.pairs(group6)
	switch variant {
	case LiveOurs:
		kind, pairJ.tuneSS, pairK.tuneSS = supervised, true, true
	case LiveSame:
		for name, value := range tuned {
			top.j.exec(t, "jool", "-i", "nat", "global", "update", name, strconv.FormatUint(value, 10))
			top.k.exec(t, "jool", "-i", "nat", "global", "update", name, strconv.FormatUint(value, 10))
		}
	}
	k = startWorker(t, kind, top.k, pairK)
	j = startWorker(t, kind, top.j, pairJ)
	if variant != LiveUpstream {
		eventually(t, tunedWithin, "the instances have the settings", func() string {
			for _, n := range []*namespace{top.j, top.k} {
				g := n.globals(t)
				for name, want := range tuned {
					if got := ssSettings[name](g); got != want {
						return fmt.Sprintf("%s: %s is %d, want %d", n.name, name, got, want)
					}
				}
			}
			return ""
		})
	}
	eventually(t, syncedWithin, "the first session is there", func() string {
		if top.k.sessionCount(t, "nat") == 1 {
			return ""
		}
		top.flood(t, portRange(9999, 1), 1) // finds the neighbours, too
		return "K has none"
	})
	j.awaitStartResync(t)
	k.awaitStartResync(t)
	return j, k
}
