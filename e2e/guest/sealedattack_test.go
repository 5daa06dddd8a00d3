package guest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/seal"
	control "joolctl/supervisor"
)

const (
	// assaultRate is how many datagrams an attacker sends in a second, and assaultFor is for how long.
	assaultRate = 50_000
	assaultFor  = 10 * time.Second
)

// Bounds of an assault.
const (
	// assaultEach is the standby's processor time for each refused datagram, where an instruction takes a nanosecond.
	assaultEach = 10 * time.Microsecond
	// assaultTimes bounds that cost as a multiple of the cost of the same datagram on a host without a key.
	assaultTimes = 2.0
	// assaultMemory is by how much the standby's memory may grow.
	assaultMemory = 8 << 20
	// assaultLatency is how long a new session may take to the standby's module meanwhile: 99 of 100, and all.
	assaultLatency, assaultLongest = 20 * time.Millisecond, 200 * time.Millisecond
)

// TestSealedAttack attacks two hosts with datagrams that were made without a key, were sealed with a removed key, or were recorded, and
// compares that with the same datagrams to hosts without a key.
func TestSealedAttack(t *testing.T) {
	enter(t, "sealed attack")
	var datagrams [][]byte
	var sealed, clear assaulted
	t.Run("hosts with a key", func(t *testing.T) {
		old, present := genkey(t, "1"), genkey(t, "2")
		g := newSealedGroup(t, "require", old)
		heard := g.outsider.startCapture(t)
		g.during(t, func() {
			for _, keys := range []string{old + present, present + old, present} {
				for _, h := range g.w.hosts {
					h.change(t, func() { writeKeys(t, h.dir, keys) })
				}
			}
			<-time.After(2 * time.Second)
		})
		recorded := heard.stop(t)
		if len(recorded) > 1000 {
			recorded = recorded[len(recorded)-1000:]
		}
		datagrams = slices.Concat(recorded, makeUp(t, old, recorded))
		sealed = g.assault(t, datagrams)
		// A host does not count its own datagrams.
		if n := sealed.refused(); n > sealed.sent || n < sealed.sent*8/10 {
			t.Errorf("%d datagrams were sent, %d were refused: %+v", sealed.sent, n, sealed.losses)
		}
		l := sealed.losses
		t.Logf("%+v", l)
		if l.Forged == 0 || l.Replayed == 0 || l.UnknownKey == 0 {
			t.Errorf("%+v", l)
		}
	})
	t.Run("hosts without a key", func(t *testing.T) {
		clear = newSealedGroup(t, "", "").assault(t, datagrams)
	})
	ratio(t, "processor time of the standby for each datagram of the attacker", sealed.each(), clear.each(), assaultTimes)
	if sealed.each() > assaultEach {
		t.Errorf("the standby took %v for each refused datagram, may take %v", sealed.each(), assaultEach)
	}
}

// assaulted has the effects of an assault on the standby.
type assaulted struct {
	sent   uint64
	cpu    time.Duration
	losses losses
}

type losses = struct {
	Forged, Replayed, UnknownKey, Unconfirmed, Throttled, ClearRefused, NotUnderstood uint64
}

func (a *assaulted) refused() uint64 {
	l := a.losses
	return l.Forged + l.Replayed + l.UnknownKey + l.Unconfirmed + l.Throttled + l.ClearRefused
}

// each is the processor time for one datagram.
func (a *assaulted) each() time.Duration { return a.cpu / time.Duration(max(1, a.sent)) }

// makeUp makes datagrams from an old key and a recording.
func makeUp(t *testing.T, old string, recorded [][]byte) (made [][]byte) {
	t.Helper()
	keys, err := seal.ParseKeys([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	c := seal.NewChannel(keys, seal.Context{Group: netip.MustParseAddr(group6), Port: groupPort}, time.Now())
	for i := range 1000 {
		length := []int{50, 600, 1380}[i%3] // few lengths, because the kernel divides datagrams of one length
		content := make([]byte, length)
		made = append(made, c.Seal(nil, append([]byte{1}, content...), time.Now()), c.Greet(nil, time.Now()))
		// A later counter of a known run: the host has to look at all bytes.
		later := slices.Clone(recorded[len(recorded)-1-i%100])
		later = append(later, make([]byte, max(0, 1400-len(later)))...)[:1400]
		binary.BigEndian.PutUint64(later[4+seal.RunLen:], binary.BigEndian.Uint64(later[4+seal.RunLen:])+uint64(i)<<32)
		// An unknown run.
		unknown := make([]byte, seal.Overhead+length)
		_, _ = rand.Read(unknown)
		copy(unknown, []byte{0, 0, seal.Version, 2})
		changed := slices.Clone(recorded[i%len(recorded)])
		changed[len(changed)-1-i%seal.TagLen] ^= 1
		made = append(made, later, unknown, changed)
	}
	return made
}

// assault attacks the hosts while sessions are opened, and measures the standby.
func (g *sealedGroup) assault(t *testing.T, datagrams [][]byte) (a assaulted) {
	t.Helper()
	k := g.w.hosts[1]
	attacker := g.outsider.newAttacker(t, "2001:db8:ff08::66", syncJ6, syncK6)
	attacker.load(datagrams)
	// One emulated processor does the work of all hosts. The attacks go to the standby alone.
	for _, port := range []string{"port0", "port2"} {
		g.sw.exec(t, "bridge", "link", "set", "dev", port, "isolated", "on")
	}
	h := &liveHosts{top: g.topology, opener: g.newLiveOpener(t)}
	g.phase("assault")
	before, cpu, memory := k.row(t), k.cpuTime(t), procKB(t, k.process, "status", "VmRSS")
	verdicts := k.watchVerdict(t)
	s := attacker.start(t, assaultRate)
	m := h.latency(t, liveTraffic{20 * time.Millisecond, 1, int(assaultFor / (20 * time.Millisecond)), 0})
	sent, perSecond := s.stop(t)
	for verdict, n := range verdicts() {
		if t.Logf("the standby has said %q %d times", verdict, n); verdict != "yes" {
			t.Errorf("the standby has said %q", verdict)
		}
	}
	g.opened += m.Opened
	took := m.Times()
	t.Logf("%d datagrams, %.0f a second; %v", sent, perSecond, m)
	g.w.awaitComplete(syncedWithin, g.ownJ+g.opened)
	after := k.row(t)
	a.sent, a.cpu = uint64(sent), k.cpuTime(t)-cpu
	grown := procKB(t, k.process, "status", "VmRSS") - memory
	b, c := before.Losses, after.Losses
	a.losses = losses{c.Forged - b.Forged, c.Replayed - b.Replayed, c.UnknownKey - b.UnknownKey, c.Unconfirmed - b.Unconfirmed, c.Throttled - b.Throttled, c.ClearRefused - b.ClearRefused, c.NotUnderstood - b.NotUnderstood}
	t.Logf("processor time %v of %v; %d kB more memory; samples without a yes %v; %+v", a.cpu, s.took, grown>>10, g.w.notYes(), c)
	if perSecond < 0.95*assaultRate {
		t.Errorf("only %.0f datagrams were sent in a second", perSecond)
	}
	if m.Lost > 0 || len(took) == 0 || quantile(took, 0.99) > assaultLatency || took[len(took)-1] > assaultLongest {
		t.Errorf("sessions did not arrive in time: %v", m)
	}
	if grown > assaultMemory {
		t.Errorf("the standby has %d kB more memory", grown>>10)
	}
	for i, n := range g.w.notYes() {
		if n > 0 {
			t.Errorf("%s did not say yes in %d samples", g.w.hosts[i].pair.name, n)
		}
	}
	// Without a key, the attacker's addresses are those of peers.
	if row := after; row.Security == "require" && (row.FullSyncs != before.FullSyncs || len(row.Peers) != len(before.Peers)) {
		t.Errorf("full syncs %+v, then %+v; %d peers, then %d", before.FullSyncs, row.FullSyncs, len(before.Peers), len(row.Peers))
	}
	if c.SocketDrops > 0 {
		t.Errorf("%d datagrams overran the socket", c.SocketDrops)
	}
	return a
}

// watchVerdict asks a host again and again whether it is complete, until the function is called that returns how often it said what.
// A witness cannot: it waits for the thread of the host's namespace.
func (h *watched) watchVerdict(t *testing.T) (stop func() map[string]int) {
	t.Helper()
	quit, ended, said := make(chan struct{}), make(chan struct{}), make(map[string]int)
	go func() {
		defer close(ended)
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			if s, err := (control.Client{Socket: h.socket}).Status(context.Background(), nil); err != nil {
				said[err.Error()]++
			} else {
				said[s.Workers[0].Synced]++
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() map[string]int {
		close(quit)
		<-ended
		return said
	}
}
