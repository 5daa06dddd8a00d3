package worker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"joolctl/configdir"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// wrongFor is how long a host may say that it is complete although it lacks sessions of its peers: 2 s, and half a second for the
// sampling on a busy machine.
const wrongFor = 2500 * time.Millisecond

// TestNeverWrong makes hosts lack each other's sessions. None of them says for longer than wrongFor that it is complete,
// and in the end all are.
func TestNeverWrong(t *testing.T) {
	for _, c := range []struct {
		name   string
		hosts  int
		tables func(i int) []session.Record // at the start
		// after happens once all are complete.
		after func(t *testing.T, hosts []*host, bed *testbed)
	}{
		{name: "two with different tables start", hosts: 2, tables: func(i int) []session.Record { return sessionsAt(1000*i, 100) }},
		{name: "three with different tables start", hosts: 3, tables: func(i int) []session.Record { return sessionsAt(1000*i, 500) }},
		{name: "one of three does not hear the active host", hosts: 3, after: func(t *testing.T, hosts []*host, _ *testbed) {
			hosts[2].deafTo(1)
			i := 0
			eventually(t, "it notices, while sessions are reported", func() bool {
				hosts[0].report(sessionsAt(10*i, 10)...)
				i++
				s := hosts[2].Sync()
				return !s.complete()
			})
		}},
		{name: "two of three do not hear different sessions", hosts: 3, after: func(t *testing.T, hosts []*host, _ *testbed) {
			for deaf := 1; deaf <= 2; deaf++ {
				hosts[deaf].deafTo(1)
				hosts[0].report(sessionsAt(100*deaf, 10)...)
				other := hosts[3-deaf]
				eventually(t, "the other host has them", func() bool { return other.has(sessionsAt(100*deaf, 10)) })
				hosts[deaf].deafTo()
			}
			hosts[0].stop() // from now on it cannot retransmit them
		}},
		{name: "two pairs meet", hosts: 4, tables: func(i int) []session.Record { return sessionsAt(i/2*1000, 100) },
			after: func(t *testing.T, hosts []*host, bed *testbed) {
				for i := range 10 {
					r := sessionAt(20_000+i, 0)
					for _, h := range []*host{hosts[0], hosts[2]} {
						h.report(r)
					}
					for _, h := range []*host{hosts[1], hosts[3]} {
						eventually(t, "the session crosses", func() bool { return h.has([]session.Record{r}) })
					}
				}
				bed.join()
			}},
		{name: "the active host's module drops sessions", hosts: 2, after: func(t *testing.T, hosts []*host, _ *testbed) {
			for i := range 5 {
				hosts[0].instance.Sessions.Put(sessionAt(i, 0))
				hosts[0].instance.Set(func(in *workertest.Instance) { in.Stats[78]++ })
				eventually(t, "the worker sees the drop", func() bool { return hosts[0].counters.Losses().KernelDropped == uint64(i+1) })
			}
		}},
		{name: "a forged HELLO has a much higher sequence number", hosts: 2, after: func(t *testing.T, hosts []*host, bed *testbed) {
			forger := bed.peer(2)
			forger.id, forger.last = hosts[0].running.host.Knowledge.Self(), 1_000_000
			forger.say(&syncwire.Hello{Settings: ttl})
			i := 0
			eventually(t, "the standby stores live sessions again", func() bool {
				hosts[0].report(sessionAt(i, 0))
				i++
				return hosts[1].instance.Sessions.Len() > 0
			})
		}},
		{name: "the active host counts from a lower number again", hosts: 2, after: func(t *testing.T, hosts []*host, _ *testbed) {
			for i := range 40 {
				hosts[0].report(sessionAt(i, 0))
			}
			eventually(t, "they have crossed", func() bool { return hosts[1].instance.Sessions.Len() == 40 })
			hosts[0].onThread(func(p *pumps) { // as if the virtual machine had been reset to a snapshot
				back := p.host.Knowledge.Checkpoint(time.Now())
				back.Position.Seq = 3
				p.host.Knowledge.Continue(&back, time.Now())
			})
			i := 100
			eventually(t, "the standby stores live sessions again", func() bool {
				hosts[0].report(sessionAt(i, 0))
				i++
				return hosts[1].instance.Sessions.Len() > 40
			})
		}},
		{name: "the standby moves to another group", hosts: 2, after: func(t *testing.T, hosts []*host, bed *testbed) {
			there := bed.standby(2, sessionsAt(5000, 100)...)
			there.current.Group = netip.MustParseAddr("ff08::77")
			there.start().alone()
			hosts[1].reconfigure(func(s *configdir.Spec) { s.Group = there.spec().Group })
			hosts[0] = there
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, c.hosts+1, map[bool]layout{true: halved}[c.hosts == 4])
			var hosts []*host
			for i := range c.hosts {
				h := bed.standby(i)
				if c.tables != nil {
					h.instance.Sessions.Put(c.tables(i)...)
				}
				h.instance.Stats = map[int]uint64{78: 0} // JSTAT_JOOLD_SSS_ENOSPC
				hosts = append(hosts, h.start())
			}
			w := watch(t, hosts...)
			for _, h := range hosts {
				h.complete()
			}
			if c.after != nil {
				c.after(t, hosts, bed)
				w.among(hosts...)
			}
			within(t, 3*patience, "all are complete and equal", func() bool {
				for _, h := range w.hosts() {
					if s := h.Sync(); !s.complete() || !h.has(w.hosts()[0].instance.Sessions.Records()) || !w.hosts()[0].has(h.instance.Sessions.Records()) {
						return false
					}
				}
				return true
			})
			w.end()
		})
	}
}

// isRunning reports whether the host's worker runs.
func (h *host) isRunning() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running != nil
}

// has reports whether a host's table has all of these sessions.
func (h *host) has(records []session.Record) bool {
	for i := range records {
		if _, there := h.instance.Sessions.Get(records[i].Key()); !there {
			return false
		}
	}
	return true
}

// deafTo makes a host drop datagrams from the addresses fd64::n of a lan, and receive all others.
func (h *host) deafTo(addresses ...int) {
	h.t.Helper()
	const source = 8 // offset of the source address in the IPv6 header
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: 0xfff00000 + source + 12, Size: 4}}
	for i, n := range addresses {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(n), SkipTrue: uint8(len(addresses) - i)})
	}
	raw, err := bpf.Assemble(append(prog, bpf.RetConstant{Val: 1 << 18}, bpf.RetConstant{Val: 0}))
	if err != nil {
		h.t.Fatal(err)
	}
	h.filter(raw)
}

// watcher samples the states and tables of hosts.
type watcher struct {
	t       *testing.T
	mu      sync.Mutex
	watched []*host
	since   map[*host]time.Time
	stop    chan struct{}
	done    sync.WaitGroup
}

func watch(t *testing.T, hosts ...*host) *watcher {
	w := &watcher{t: t, watched: slices.Clone(hosts), since: make(map[*host]time.Time), stop: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case now := <-tick.C:
				w.sample(now)
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

// among replaces the watched hosts. It leaves out those whose worker has stopped.
func (w *watcher) among(hosts ...*host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched = nil
	for _, h := range hosts {
		if h.isRunning() {
			w.watched = append(w.watched, h)
		}
	}
}

func (w *watcher) hosts() []*host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watched
}

func (w *watcher) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.done.Wait()
}

// sample records since when hosts have said that they are complete although they lack sessions.
func (w *watcher) sample(now time.Time) {
	hosts := w.hosts()
	for _, h := range hosts {
		lacks := ""
		if s := h.Sync(); s.Synced == syncwire.SyncYes && s.complete() {
			for i, other := range hosts {
				if other != h && other.isRunning() && !h.has(other.instance.Sessions.Records()) {
					lacks = fmt.Sprintf("host %d has sessions that are missing: %d here, %d there", i, h.instance.Sessions.Len(), other.instance.Sessions.Len())
				}
			}
		}
		began, wrong := w.since[h]
		switch {
		case lacks == "":
			delete(w.since, h)
		case !wrong:
			w.since[h] = now
		case now.Sub(began) > wrongFor:
			w.t.Errorf("says that it is complete for %v, but %s", now.Sub(began), lacks)
			delete(w.since, h)
		}
	}
}
