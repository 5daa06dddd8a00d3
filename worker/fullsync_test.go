package worker

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/replication/sim"
	"joolctl/session"
	"joolctl/syncwire"
)

func TestColdStandby(t *testing.T) {
	for _, v := range []joolnl.Version{jool419, jool4112, jool4115} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			const n = 3000
			active, standby := bed.standby(0, sessionsAt(0, n)...).of(v), bed.standby(1).of(v)
			active.start()
			standby.start()
			got := standby.synced()
			wantEqual(t, active, standby)
			if got.Got != n || got.Injected != n || got.Had+got.Collisions+got.GaveBack+got.Replaced != 0 || got.From != "fd64::1" {
				t.Errorf("%+v", got)
			}
			if l := standby.counters.Losses(); l != (Losses{}) {
				t.Errorf("losses %+v", l)
			}
			if f := standby.counters.FullSyncs(); f.Stored == 0 || f.Unanswered+f.Interrupted+f.TooLarge != 0 {
				t.Errorf("full syncs %+v", f)
			}
			active.synced() // complete after the standby has sent back nothing, or after a full sync from the standby
			if added, _, _ := active.instance.Sessions.Counts(); added != 0 {
				t.Errorf("%d sessions were given to the active host's module", added)
			}
			oldestCameFirst(t, standby)
		})
	}
}

// oldestCameFirst checks that the sessions in JOOLD_ADDs are sorted by age, the oldest first.
func oldestCameFirst(t *testing.T, h *host) {
	t.Helper()
	var last int64 = 1 << 62
	for _, req := range h.instance.Requests() {
		f := session.ListFormat(req.Entries)
		for b := req.Entries; len(b) > 0; b = b[f.EntryLen():] {
			r := f.Record(b)
			// The worker corrects the times left for the duration of the injection, so idle times are not exact.
			if now := replication.Idle(&r, ttl); now > last+1000 {
				t.Fatalf("a session that has been idle for %d ms is injected after one with %d ms", now, last)
			} else {
				last = now
			}
		}
	}
}

// TestMixedVersions runs full syncs between modules of different versions.
func TestMixedVersions(t *testing.T) {
	versions := []joolnl.Version{jool419, jool4112, jool4115}
	for i, v := range versions {
		for _, w := range []joolnl.Version{versions[(i+1)%3], versions[(i+2)%3]} {
			t.Run(fmt.Sprintf("%v and %v", v, w), func(t *testing.T) {
				t.Parallel()
				bed := newTestbed(t, 2)
				first, second := bed.standby(0, sessionsAt(0, 500)...).of(v), bed.standby(1, sessionsAt(400, 500)...).of(w)
				first.start()
				second.start()
				first.synced()
				second.synced()
				become(t, first, second)
				first.report(sessionsAt(2000, 100)...)
				become(t, first, second)
				wantEqual(t, first, second)
			})
		}
	}
}

func TestEqualTables(t *testing.T) {
	const n = 3000
	v := newVirtual(t, tables(sessionsAt(0, n), sessionsAt(0, n)))
	for _, h := range v.hosts {
		if r := h.synced(); r.Got != n || r.Had != n || r.Injected+r.GaveBack+r.Collisions != 0 {
			t.Errorf("%+v", r)
		}
	}
	v.pass(time.Second)
	for _, h := range v.hosts {
		if n := h.Usage.Adds; n != 0 {
			t.Errorf("%d JOOLD_ADDs", n)
		}
	}
}

// TestStaleTable starts a host with a table in which sessions and mappings have changed elsewhere since. The newer sessions
// replace the older ones, and older mappings that collide with newer ones are removed.
func TestStaleTable(t *testing.T) {
	for _, who := range []string{"the stale host starts", "the fresh host starts"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			fresh, stale := bed.standby(0), bed.standby(1)
			var old, now []session.Record
			for i := range 400 {
				o := kind(sessionAt(4*i, 0), session.TCP, session.Established, 0, 10*time.Minute)
				old = append(old, o)
				switch i % 4 {
				case 0: // still in use
					now = append(now, kind(o, session.TCP, session.Established, 0, 5*time.Second))
				case 1: // closing: less time left than the stale session
					now = append(now, kind(o, session.TCP, session.Trans, session.TimerTransitory, time.Minute))
				case 2: // its mask belongs to another host
					o[14]++
					now = append(now, kind(o, session.TCP, session.Established, 0, time.Second))
				case 3: // the host has another mask
					o[16]++
					now = append(now, kind(o, session.TCP, session.Established, 0, time.Second))
				}
			}
			fresh.instance.Sessions.Put(now...)
			stale.instance.Sessions.Put(old...)
			before := fresh.instance.Sessions.Records()
			first, second := fresh, stale
			if who == "the fresh host starts" {
				first, second = stale, fresh
			}
			first.start().alone()
			second.start()
			second.synced()
			become(t, fresh, stale)
			unchanged(t, fresh, before)
			wantEqual(t, fresh, stale)
		})
	}
}

// TestThreeHosts starts two hosts with empty tables together: both request a full sync at the same time.
func TestThreeHosts(t *testing.T) {
	const later = 10 * time.Second
	v := newVirtual(t, tables(sessionsAt(0, 5000), nil, nil), sim.Fault{Kind: sim.Kill, For: later, Host: 1}, sim.Fault{Kind: sim.Kill, For: later, Host: 2})
	v.hosts[0].alone()
	v.Run(later)
	v.hosts[1].synced()
	v.hosts[2].synced()
	v.alike()
	v.hosts[1].report(sessionsAt(10_000, 50)...)
	v.until("all have the live sessions", func() bool { return v.hosts[0].Module.Len() == 5050 && v.hosts[2].Module.Len() == 5050 })
	v.alike()
}

// TestSenderDies stops the peer that sends its table in the middle of that: another peer takes over.
func TestSenderDies(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 3)
	const n = 5000
	first, other := bed.standby(0, sessionsAt(0, n)...), bed.standby(1, sessionsAt(0, n-10)...)
	gate := first.gate()
	first.start()
	other.start()
	first.synced()
	other.synced()
	// The tables are equal now. With one more session, the first host becomes the one that is asked for a full sync.
	first.instance.Sessions.Put(sessionsAt(n, 1)...)
	within(t, 3*patience, "the other host knows the size of the larger table", func() bool {
		p := other.Peers()
		return len(p) == 1 && p[0].Sessions == n+1
	})
	gate.Lock()
	cold := bed.standby(2)
	cold.start()
	eventually(t, "the cold host receives a table", func() bool { return cold.Sync().Phase == replication.PhaseCollecting.String() })
	// The cold host loses half of the table, and the sender does not receive its NACKs.
	first.lossy(100)
	cold.lossy(50)
	gate.Unlock()
	eventually(t, "it receives", func() bool {
		s := cold.Sync()
		return s.Phase == replication.PhaseCollecting.String() && s.Done > 0 || s.Synced == syncwire.SyncYes // by the other peer
	})
	first.stop()
	cold.lossy(0)
	if r := cold.synced(); r.From != "fd64::2" || r.Got != n {
		t.Errorf("%+v", r)
	}
	wantEqual(t, other, cold)
}

// lossy makes the kernel drop a percentage of the datagrams that a worker's socket receives.
func (h *host) lossy(percent uint32) {
	h.t.Helper()
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtRand},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: 100},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: percent, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.filter(prog)
}

// filter attaches a BPF program to the network socket.
func (h *host) filter(prog []bpf.RawInstruction) {
	h.t.Helper()
	filter := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(h.running.socket.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		h.t.Fatal(err)
	}
}

// TestLoss loses datagrams in both directions, during a full sync and with live datagrams.
func TestLoss(t *testing.T) {
	for _, percent := range []uint32{1, 10, 20} {
		t.Run(fmt.Sprintf("%d %%", percent), func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			const n = 10_000
			active, standby := bed.standby(0, sessionsAt(0, n)...), bed.standby(1)
			active.start()
			active.lossy(percent)
			standby.start()
			standby.lossy(percent)
			standby.synced()
			become(t, active, standby)
			// Live datagrams: two every 5 ms.
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := range 100 {
				active.report(sessionsAt(20_000+40*i, 40)...)
				<-tick.C
			}
			become(t, active, standby)
			wantEqual(t, active, standby)
			l := standby.counters.Losses()
			t.Logf("%d datagrams repaired, %d lost", l.Repaired, l.NetworkLost)
			if percent >= 10 && l.Repaired == 0 {
				t.Error("no missing datagram was retransmitted")
			}
			within(t, 4*patience, "the standby is complete", func() bool { s := standby.Sync(); return s.complete() })
		})
	}
}

// TestLiveDuringFullSync reports sessions while a full sync brings older records of them.
func TestLiveDuringFullSync(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	const n = 5000
	active, standby := bed.standby(0, sessionsAt(0, n)...), bed.standby(1)
	active.start().alone()
	standby.start()
	for i := 0; standby.Sync().Synced != syncwire.SyncYes; i++ {
		eventually(t, "the reports are processed", func() bool { // otherwise reports would pile up for a slow worker
			return active.counters.Ledger().Reported == uint64(2*i) && standby.counters.Ledger().Reported == uint64(i)
		})
		// Established sessions, most of them in the table already, are closed.
		r := sessionAt(4*(i%(n/4)), 0)
		active.report(kind(r, session.TCP, session.V6FinRcv, 0, 0))
		active.report(kind(r, session.TCP, session.V4FinV6FinRcv, session.TimerTransitory, 0))
		standby.report(sessionAt(100_000+4*i, 0))
	}
	become(t, active, standby)
	wantEqual(t, active, standby)
}

// TestWithoutSequence runs a host with a peer that sends datagrams without trailers, like upstream's joold.
func TestWithoutSequence(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	ours := bed.standby(0, sessionsAt(0, 100)...)
	plain := bed.standby(1)
	plain.current.Sequence = false
	plain.start()
	ours.start()
	ours.report(sessionsAt(1000, 40)...)
	eventually(t, "live sessions cross", func() bool { return plain.instance.Sessions.Len() == 40 })
	plain.report(sessionsAt(2000, 40)...)
	eventually(t, "live sessions cross in the other direction", func() bool { return ours.instance.Sessions.Len() == 180 })
	ours.alone()
	if p := ours.Peers(); len(p) != 1 || p[0].ID != 0 {
		t.Errorf("peers %+v", p)
	}
	if l := plain.counters.Losses(); l.Malformed > 0 || l.NotUnderstood == 0 {
		t.Errorf("losses %+v", l)
	}
	if l := ours.counters.Losses(); l != (Losses{}) {
		t.Errorf("losses %+v", l)
	}
}

// TestRestart stops the active host's worker while sessions are opened, and starts it again: many sessions, or too few for the comparison
// of table sizes. Afterwards its peers have the sessions.
func TestRestart(t *testing.T) {
	const at, down = 10 * time.Second, time.Second
	for _, c := range []struct {
		name   string
		tables [][]session.Record
		opened int
	}{
		{"two hosts", tables(sessionsAt(0, 500), nil), 2000},
		{"three hosts", tables(sessionsAt(0, 500), nil, nil), 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVirtual(t, c.tables, sim.Fault{Kind: sim.Kill, At: at, For: down})
			v.alike()
			v.Run(at)
			for i := range c.opened {
				if err := v.hosts[0].Module.Add(packed(t, sessionAt(500+i, 0))); err != nil {
					t.Fatal(err)
				}
			}
			v.Run(at + down)
			v.hosts[0].synced()
			v.until("all have the sessions", func() bool {
				for _, h := range v.hosts {
					if h.Module.Len() != 500+c.opened {
						return false
					}
				}
				return true
			})
			v.alike()
		})
	}
}

// TestAppears sends a live datagram of an unknown peer before its HELLO, as if an earlier HELLO had been lost. The host requests a
// full sync from that peer.
func TestAppears(t *testing.T) {
	s, h := virtualPeer(t)
	h.alone()
	s.live(sessionAt(1, 0))
	s.say(&syncwire.Hello{Sync: syncwire.SyncAlone, Sessions: 1, Settings: ttl})
	if solicit, _ := control[*syncwire.Solicit](s); solicit.To != s.id {
		t.Errorf("%+v", solicit)
	}
}
