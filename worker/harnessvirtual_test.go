package worker

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/replication/sim"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// virtual is a testbed in virtual time, without sockets: hosts of a simulation, and a peer. Time passes only in until, and while the peer
// waits for a datagram.
type virtual struct {
	*sim.Simulation
	t     testing.TB
	hosts []*virtualHost
	peer  *peer
	port  int      // of the peer, on the simulated network
	inbox [][]byte // of the peer
}

// virtualHost is a host of a simulation with its log.
type virtualHost struct {
	*sim.Node
	v     *virtual
	log   logged
	level slog.LevelVar
}

// tables has the sessions of a host's instance for each host.
func tables(of ...[]session.Record) [][]session.Record { return of }

// newVirtual starts a host for each table. The faults happen at their times.
func newVirtual(t testing.TB, tables [][]session.Record, faults ...sim.Fault) *virtual {
	t.Helper()
	v := &virtual{t: t}
	module := sim.DefaultModule(jool4115)
	module.Globals.ICMP = workertest.ICMPTimeout
	c := sim.DefaultConfig(1, len(tables), module, nil)
	c.Traffic.Lanes, c.Faults = nil, faults
	for i := range c.Hosts {
		h := &virtualHost{v: v}
		v.hosts = append(v.hosts, h)
		log, memory := slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: &h.level})), newScratch().(*scratch)
		c.Hosts[i].Replica = func(e *sim.Env) sim.Replica {
			return &simulated{env: e, verify: simSpec().VerifyPeriod, memory: memory, log: log}
		}
	}
	v.Simulation = sim.New(c)
	v.peer = &peer{t: t, id: 77, wire: v}
	v.port = v.Network.Attach(netip.AddrPortFrom(netip.MustParseAddr("fe80::77"), port), 0, func(d sim.Datagram) bool {
		v.inbox = append(v.inbox, d.Data)
		return true
	})
	for i, h := range v.hosts {
		h.Node = v.Nodes[i]
		if err := h.Module.Add(packed(t, tables[i]...)); err != nil {
			t.Fatal(err)
		}
	}
	v.Run(time.Millisecond)
	t.Cleanup(v.accounted)
	return v
}

// accounted checks the ledger of each running worker.
func (v *virtual) accounted() {
	for _, h := range v.hosts {
		if h.Running() {
			h.worker().accounted(v.t)
		}
	}
}

// virtualPeer returns the only host of a virtual testbed, and the peer.
func virtualPeer(t testing.TB, records ...session.Record) (*peer, *virtualHost) {
	t.Helper()
	v := newVirtual(t, tables(records))
	return v.peer, v.hosts[0]
}

// until lets time pass until a condition holds.
func (v *virtual) until(what string, holds func() bool) {
	v.t.Helper()
	for end := v.Clock.Elapsed() + time.Minute; !holds(); v.Run(v.Clock.Elapsed() + time.Millisecond) {
		if v.Clock.Elapsed() >= end {
			v.t.Fatalf("not within a minute: %s", what)
		}
	}
}

// receive returns the next datagram that the peer receives.
func (v *virtual) receive() (b []byte) {
	v.t.Helper()
	v.until("a datagram arrives", func() bool { return len(v.inbox) > 0 })
	b, v.inbox = v.inbox[0], v.inbox[1:]
	return b
}

// worker returns the host's running worker.
func (h *virtualHost) worker() *simulated { return h.Replica().(*simulated) }

// Sync returns the worker's state.
func (h *virtualHost) Sync() SyncState { return h.worker().w.Sync() }

func (h *virtualHost) counters() *Counters { return h.worker().w.counters }

// synced waits until the host says that its table is complete, and returns the report of its last full sync.
func (h *virtualHost) synced() (last replication.SyncReport) {
	h.v.t.Helper()
	h.v.until("the table is complete", func() bool { s := h.Sync(); return s.Synced == syncwire.SyncYes && s.Phase == "" })
	if l := h.Sync().Last; l != nil {
		last = *l
	}
	return last
}

// get returns a session of the host's instance, and whether there is one.
func (h *virtualHost) get(want session.Record) (session.Record, bool) {
	return h.Module.Session(want.Key())
}

// has reports whether the host's instance has all of these sessions.
func (h *virtualHost) has(records []session.Record) bool {
	for i := range records {
		if _, there := h.get(records[i]); !there {
			return false
		}
	}
	return true
}

// put stores sessions in the module. The worker gives them to it, because it would notice another program that does.
func (h *virtualHost) put(records ...session.Record) {
	r := h.worker()
	r.w.counters.injected.Add(uint64(len(records)))
	for len(records) > 0 {
		n := min(36, len(records))
		r.add(packed(h.v.t, records[:n]...))
		records = records[n:]
	}
	r.toKernel()
}

// report makes the module store and report sessions.
func (h *virtualHost) report(records ...session.Record) {
	h.put(records...)
	h.Module.Report(packed(h.v.t, records...))
}

// alone waits until the host has no live peer.
func (h *virtualHost) alone() {
	h.v.t.Helper()
	h.v.until("the host is alone", func() bool { return h.Sync().Synced == syncwire.SyncAlone })
}

// alike waits until the hosts have the same sessions and are complete.
func (v *virtual) alike() {
	v.t.Helper()
	v.until("the hosts are complete and have the same sessions", func() bool {
		first := v.hosts[0].Module.Records()
		for _, h := range v.hosts {
			own := h.Module.Records()
			if s := h.Sync(); s.Synced != syncwire.SyncYes || !s.complete() || differing(first, own, apart) != "" || differing(own, first, apart) != "" {
				return false
			}
		}
		return true
	})
}

// pass lets time pass.
func (v *virtual) pass(d time.Duration) { v.Run(v.Clock.Elapsed() + d) }
