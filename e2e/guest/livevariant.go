package guest

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"joolctl/joolnl"
)

// ssSettings maps names in `jool global` to values. These settings determine when the module reports sessions.
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

// changedSettings returns the new values of the settings that differ.
func changedSettings(before, after joolnl.Globals) map[string]uint64 {
	changed := make(map[string]uint64)
	for name, of := range ssSettings {
		if of(before) != of(after) {
			changed[name] = of(after)
		}
	}
	return changed
}

// tunedWithin is the time that joolctl may take to change the settings.
const tunedWithin = 5 * time.Second

// tunedSettings runs joolctl and returns the settings that it changes. The variant LiveSame uses the same values.
func tunedSettings(t testing.TB) map[string]uint64 {
	t.Helper()
	top := newTopology(t)
	before := top.j.globals(t)
	p, _ := top.pairs(group6)
	w := top.j.startVariant(t, p, LiveOurs, nil)
	defer w.stop(t)
	return changedSettings(before, top.j.globals(t))
}

// liveHosts are J and K with a variant's daemons.
type liveHosts struct {
	variant string
	started time.Time // the daemons
	top     *topology
	j, k    worker
	opener  *liveOpener
	steady  []*net.UDPConn
	turn    int        // packets of the row steady, in batches
	opened  int        // source ports that the row new has used
	slice   *costSlice // the measurement that has begun
}

// newLiveHosts starts a variant's daemons on J and K, and waits until the first session has reached K and joolctl's full sync is over.
func newLiveHosts(t testing.TB, variant string, tuned map[string]uint64) *liveHosts {
	t.Helper()
	change := func(p pair) pair { return p }
	if variant == LiveKeyed {
		dir := keyDirectory(t)
		change = func(p pair) pair { return p.withKey(t, dir) }
	}
	return startLiveHosts(t, newTopology(t), variant, func(n *namespace, p pair) worker { return n.startVariant(t, change(p), variant, tuned) })
}

// startLiveHosts is newLiveHosts for a variant that start starts in a topology.
func startLiveHosts(t testing.TB, top *topology, variant string, start func(*namespace, pair) worker) *liveHosts {
	t.Helper()
	for _, n := range []*namespace{top.j, top.k} { // no session expires during the measurements
		n.exec(t, "jool", "-i", "nat", "global", "update", "udp-timeout", "2:00:00")
	}
	pairJ, pairK := top.pairs(group6)
	h := &liveHosts{variant: variant, top: top}
	h.k = start(top.k, pairK)
	h.j = start(top.j, pairJ)
	top.awaitFirst(t)
	h.j.awaitComplete(t)
	h.k.awaitComplete(t)
	h.started = time.Now()
	h.opener = top.newLiveOpener(t)
	return h
}

// startVariant starts a variant's daemon for the instance "nat", with the variant's settings.
func (n *namespace) startVariant(t testing.TB, p pair, variant string, tuned map[string]uint64) worker {
	t.Helper()
	switch variant {
	case LiveOurs, LiveKeyed:
		return n.startTuned(t, p)
	case LiveSame:
		n.changeSettings(t, tuned)
	}
	return startWorker(t, upstream, n, p)
}

// changeSettings changes settings of the instance "nat" as an operator does.
func (n *namespace) changeSettings(t testing.TB, settings map[string]uint64) {
	t.Helper()
	for name, value := range settings {
		n.exec(t, "jool", "-i", "nat", "global", "update", name, strconv.FormatUint(value, 10))
	}
	g := n.globals(t)
	for name, want := range settings {
		if got := ssSettings[name](g); got != want {
			t.Fatalf("%s: %s is %d, want %d", n.name, name, got, want)
		}
	}
}

// startTuned starts joolctl with "tune ss" and waits until the settings have changed.
func (n *namespace) startTuned(t testing.TB, p pair) worker {
	t.Helper()
	before := n.globals(t)
	p.tuneSS = true
	w := startWorker(t, supervised, n, p)
	eventually(t, tunedWithin, n.name+"'s instance has other settings", func() string {
		if g := n.globals(t); len(changedSettings(before, g)) == 0 {
			return fmt.Sprintf("%+v", g)
		}
		return ""
	})
	return w
}

// awaitFirst opens a session and waits until K has it.
func (top *topology) awaitFirst(t testing.TB) {
	t.Helper()
	eventually(t, syncedWithin, "the first session is there", func() string {
		if top.k.sessionCount(t, "nat") > 0 {
			return ""
		}
		top.flood(t, portRange(9999, 1), 1) // this also resolves the neighbours' addresses
		return "K has none"
	})
}
