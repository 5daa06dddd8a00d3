package guest

import (
	"fmt"
	"net"
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

// liveHosts are J and K with the daemons of one variant.
type liveHosts struct {
	variant string
	top     *topology
	j, k    worker
	opener  *liveOpener
	steady  []*net.UDPConn
	opened  int // source ports of the row new
}

// newLiveHosts starts the daemons of a variant on J and K, and waits until a session has crossed and both are at rest.
func newLiveHosts(t testing.TB, variant string, tuned map[string]uint64) *liveHosts {
	t.Helper()
	top := newTopology(t)
	for _, n := range []*namespace{top.j, top.k} { // no session ends while others are counted
		n.exec(t, "jool", "-i", "nat", "global", "update", "udp-timeout", "2:00:00")
	}
	pairJ, pairK := top.pairs(group6)
	h := &liveHosts{variant: variant, top: top}
	h.k = top.k.startVariant(t, pairK, variant, tuned)
	h.j = top.j.startVariant(t, pairJ, variant, tuned)
	top.awaitFirst(t)
	h.j.awaitStartResync(t)
	h.k.awaitStartResync(t)
	h.opener = top.newLiveOpener(t)
	return h
}

// startVariant starts the daemon of a variant for the instance "nat", and waits until it listens and the instance has the variant's settings.
func (n *namespace) startVariant(t testing.TB, p pair, variant string, tuned map[string]uint64) worker {
	t.Helper()
	kind := upstream
	switch variant {
	case LiveOurs:
		kind, p.tuneSS = supervised, true
	case LiveSame:
		for name, value := range tuned {
			n.exec(t, "jool", "-i", "nat", "global", "update", name, strconv.FormatUint(value, 10))
		}
	}
	w := startWorker(t, kind, n, p)
	if variant == LiveUpstream {
		return w
	}
	eventually(t, tunedWithin, n.name+"'s instance has the settings", func() string {
		g := n.globals(t)
		for name, want := range tuned {
			if got := ssSettings[name](g); got != want {
				return fmt.Sprintf("%s is %d, want %d", name, got, want)
			}
		}
		return ""
	})
	return w
}

// awaitFirst waits until a first session has gone from J to K.
func (top *topology) awaitFirst(t testing.TB) {
	t.Helper()
	eventually(t, syncedWithin, "the first session is there", func() string {
		if top.k.sessionCount(t, "nat") > 0 {
			return ""
		}
		top.flood(t, portRange(9999, 1), 1) // finds the neighbours, too
		return "K has none"
	})
}
