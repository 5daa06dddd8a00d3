package guest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"joolctl/seal"
	control "joolctl/supervisor"
)

// TestSealedGroup changes keys and modes of groups under traffic. The machine's clock counts instructions.
func TestSealedGroup(t *testing.T) {
	enter(t, "sealed")
	t.Run("key rotation", testKeyRotation)
	t.Run("migration", testMigration)
	t.Run("kept sockets", testKeptSockets)
}

// sealedGroup is J with the traffic, its standbys, and a namespace without a worker, all on one link "sync".
type sealedGroup struct {
	*topology
	w        *witness
	sw       *namespace
	outsider *namespace
	source   uint16 // port of n6's for the next traffic
	opened   int    // sessions
	ownJ     int    // sessions that J has had before
}

// newSealedGroup starts the hosts: J, K and further standbys.
func newSealedGroup(t *testing.T, security, keys string, standbys ...string) *sealedGroup {
	t.Helper()
	g := &sealedGroup{topology: newTopology(t), source: 40000}
	sw, made := g.onSwitch(t, append(standbys, "X")...)
	g.sw, g.outsider = sw, made[len(standbys)]
	// A new session's first packet finds the addresses of its neighbours resolved.
	g.sendUDP(t, portRange(9999, 1), 1, pace{})
	eventually(t, replyWithin, "a packet passes J", func() string {
		if g.j.sessionCount(t, "nat") == 0 {
			return "it has no session"
		}
		return ""
	})
	g.j.give(t, 0) // they go to the standbys by full sync
	g.ownJ = g.j.sessionCount(t, "nat")
	g.start(t, security, keys, append([]*namespace{g.j, g.k}, made[:len(standbys)]...)...)
	return g
}

func (g *sealedGroup) start(t *testing.T, security, keys string, hosts ...*namespace) {
	t.Helper()
	g.w = observeBy(t, "start", func(p pair) supervisor { return startKeyed(t, p.secured(security), keys) }, placedOn(group6, hosts...))
	g.w.awaitComplete(completeWithin, g.ownJ)
}

// during opens sessions through J while do runs, and then waits until each host has all of them.
func (g *sealedGroup) during(t *testing.T, do func()) {
	t.Helper()
	o := g.trickle(t, g.source, 20*time.Millisecond, 1)
	g.source++
	do()
	g.opened += o.mustStop(t)
	g.w.awaitComplete(syncedWithin, g.ownJ+g.opened)
}

// change has a host take other files, and waits for that.
func (h *watched) change(t *testing.T, write func()) {
	t.Helper()
	before := h.changes(h.pair.name)
	write()
	eventually(t, takesEffectWithin, h.pair.name+" takes other files", func() string {
		if h.changes(h.pair.name) == before {
			return h.log.String()
		}
		return ""
	})
}

// row returns the row of the host's pair in the supervisor's status.
func (h *watched) row(t *testing.T) control.Row {
	t.Helper()
	s, err := control.Client{Socket: h.socket}.Status(context.Background(), nil)
	if err != nil || len(s.Workers) != 1 {
		t.Fatalf("%s: %d workers, %v", h.pair.name, len(s.Workers), err)
	}
	return s.Workers[0]
}

// notYes returns how many samples of each host since the phase began had another verdict than yes.
func (w *witness) notYes() (samples []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		samples = append(samples, h.notYes)
	}
	return samples
}

// phase begins a phase of the witness.
func (g *sealedGroup) phase(name string) { g.w.enter(name, wrongYesAtMost, func() {}) }

// testKeyRotation has three hosts get another key, as the documentation says, while sessions are opened. Then it has them
// send everything that there is. A listener finds no address of any session.
func testKeyRotation(t *testing.T) {
	one, two := genkey(t, "1"), genkey(t, "2")
	g := newSealedGroup(t, "require", one, "L")
	heard := g.outsider.startCapture(t)
	var before []control.Row
	for _, h := range g.w.hosts {
		before = append(before, h.row(t))
	}
	g.phase("rotation")
	g.during(t, func() {
		for _, keys := range []string{one + two, two + one, two} {
			for _, h := range g.w.hosts {
				h.change(t, func() { writeKeys(t, h.dir, keys) })
			}
		}
	})
	for i, n := range g.w.notYes() {
		h := g.w.hosts[i]
		t.Logf("%s: %d samples without a yes", h.pair.name, n)
		if n > 0 {
			t.Errorf("%s did not say yes all the time", h.pair.name)
		}
		checkNothingLost(t, h.pair.name, before[i], h.row(t))
	}
	g.everything(t)
	datagrams := heard.stop(t)
	frames := heard.frames
	sessions := g.j.sessions(t, "nat")
	if found := traces(frames, sessions); found > 0 || len(datagrams) < 200 {
		t.Errorf("%d frames of %d have an address of one of %d sessions", found, len(frames), len(sessions))
	}
	sealedWith := make(map[uint8]int)
	for _, d := range datagrams {
		if !seal.IsSealed(d) {
			t.Fatalf("a clear datagram: %x", d)
		}
		sealedWith[seal.KeyID(d)]++
	}
	t.Logf("%d datagrams, sealed with the keys %v", len(datagrams), sealedWith)
	if sealedWith[1] == 0 || sealedWith[2] == 0 {
		t.Errorf("datagrams by key: %v", sealedWith)
	}
}

// everything has the hosts send each kind of datagram: NACKs and repeats because L loses a part, a table that K advertises, and a
// full sync, the greetings and the HELLOs of L, which starts again with an empty table.
func (g *sealedGroup) everything(t *testing.T) {
	t.Helper()
	g.phase("everything")
	l := g.w.hosts[2]
	g.sw.exec(t, "tc", "qdisc", "replace", "dev", "port2", "root", "netem", "loss", "20%")
	g.during(t, func() {
		eventually(t, syncedWithin, "L has missed datagrams, and peers have repeated them", func() string {
			if n := l.row(t).Losses.Repaired; n < 3 {
				return fmt.Sprintf("%d were repaired", n)
			}
			return ""
		})
	})
	g.sw.exec(t, "tc", "qdisc", "del", "dev", "port2", "root")
	if out, code := g.w.hosts[1].command(t, "advertise", "--all"); code != exitOK {
		t.Fatal(out)
	}
	g.phase("restart of L")
	l.process.stop(t)
	l.namespace.replaceInstance(t)
	l.process = start(t, nil, joolctl, "up", l.dir, "--socket", l.socket)
	g.during(t, func() {
		eventually(t, completeWithin, "L has received a full sync", func() string {
			row, err := control.Client{Socket: l.socket}.Status(context.Background(), nil)
			if err != nil {
				return err.Error()
			}
			if row.Workers[0].FullSyncs.Stored == 0 {
				return "not yet"
			}
			return ""
		})
	})
}

// testMigration has three hosts change from clear to sealed datagrams and back, one after the other, as the documentation says, while
// sessions are opened.
func testMigration(t *testing.T) {
	g := newSealedGroup(t, "", genkey(t, "7"), "L")
	before := make([]control.Row, len(g.w.hosts))
	for i, h := range g.w.hosts {
		before[i] = h.row(t)
	}
	for _, mode := range []string{"accept", "send", "require", "send", "accept", ""} {
		g.phase("to " + mode)
		heard := g.outsider.startCapture(t)
		g.during(t, func() {
			for _, h := range g.w.hosts {
				h.change(t, func() { h.pair.secured(mode).write(t, h.dir) })
			}
		})
		t.Logf("to %q: samples without a yes %v", mode, g.w.notYes())
		heard.stop(t)
		clear := traces(heard.frames, g.j.sessions(t, "nat"))
		// The last host to change has sent clear datagrams until then.
		if heard := g.outsider.startCapture(t); mode == "send" || mode == "require" {
			g.during(t, func() { <-time.After(time.Second) })
			heard.stop(t)
			if n := traces(heard.frames, g.j.sessions(t, "nat")); n > 0 {
				t.Errorf("%q on all hosts: %d of %d frames have an address of a session", mode, n, len(heard.frames))
			}
		} else if clear == 0 {
			t.Errorf("%q: no frame has an address of a session", mode)
		}
		for i, n := range g.w.notYes() {
			if n > 0 {
				t.Errorf("to %q: %s did not say yes in %d samples", mode, g.w.hosts[i].pair.name, n)
			}
		}
	}
	for i, h := range g.w.hosts {
		checkNothingLost(t, h.pair.name, before[i], h.row(t))
	}
}

// checkNothingLost checks that a host has lost no datagram and needed no full sync between two rows.
func checkNothingLost(t *testing.T, host string, before, after control.Row) {
	t.Helper()
	l := after.Losses
	t.Logf("%s: %+v; full syncs %+v, then %+v", host, l, before.FullSyncs, after.FullSyncs)
	if after.FullSyncs != before.FullSyncs && !losesBursts(module(t)) {
		t.Errorf("%s needed a full sync", host)
	}
	if lost := l.NetworkLost + l.Forged + l.UnknownKey + l.ClearRefused + l.SocketDrops + l.Malformed; lost > 0 {
		t.Errorf("%s: %+v", host, l)
	}
}

// testKeptSockets restarts K's supervisor under a service manager that keeps its sockets. The sealed datagrams that wait there are for
// the run of the worker before, so that the next worker drops them. It gets their sessions all the same.
func testKeptSockets(t *testing.T) {
	top := newTopology(t)
	dir := keyDirectory(t)
	pairJ, pairK := top.pairs(group6)
	startWorker(t, supervised, top.j, pairJ.withKey(t, dir))
	m := startManaged(t, top.k, pairK.withKey(t, dir))
	m.awaitSynced(t, "yes")
	const meanwhile = 50
	m.restart(t, func() { top.sendUDP(t, portRange(20000, 1), meanwhile, often()) })
	m.awaitSynced(t, "yes")
	top.awaitSameCount(t, meanwhile, syncedWithin)
	s, err := control.Client{Socket: m.socket}.Status(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	row := s.Workers[0]
	t.Logf("%+v, full sync: %+v", row.Losses, row.LastFullSync)
	if row.Losses.Unconfirmed == 0 {
		t.Error("no datagram waited in the socket")
	}
}
