package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/replication/sim"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestSealedSimulation is TestSimulation for hosts that require sealed datagrams. An attacker without the key hears all of them, and
// sends recorded, changed and forged ones from any address to any host, all the time. The invariants hold as without the attacker.
//
// The attacker does not hold datagrams back: it sends a recording to a host that has received the original, or has started since. An
// attacker who can interrupt a link can delay datagrams, and make sessions look younger by the delay.
func TestSealedSimulation(t *testing.T) { simulateAll(t, sealedSimulationOf) }

// sealedSimulationOf is simulationOf without the faults that need clear datagrams, and without those that keep a host from hearing the
// greetings that it needs: a host that is not heard hears nothing either, and a host that stands still while the others change their
// key learns of their new runs only from the next greetings.
func sealedSimulationOf(seed uint64) simulation {
	s := simulationOf(seed)
	s.keyed = true
	s.faults = slices.DeleteFunc(s.faults, func(f sim.Fault) bool {
		switch f.Kind {
		case sim.Forge, sim.OldJoold, sim.OldWire, sim.OneWay:
			return true
		case sim.Stall:
			return f.End() > simRotate && f.At < simRotate+3*simRotateStep+time.Minute
		}
		return false
	})
	return s
}

// keyed has the keys of simulated hosts, and is the attacker.
type keyed struct {
	sim     *sim.Simulation
	rand    *rand.Rand
	keys    []seal.Keys  // by host
	workers []*simulated // by host; the last ones
	since   []time.Time  // when these started
	// recorded has what the hosts have sent, in its order, from a moment on.
	recorded []recording
	// received has which hosts have received a datagram, by its run and counter: a bit per host.
	received map[simDatagram]uint
	// removed is a host with the removed key; nil: the hosts still have the key.
	removed *seal.Channel
}

type recording struct {
	data []byte
	at   time.Time
}

// simDatagram is a run and a counter.
type simDatagram [seal.RunLen + 8]byte

func idOf(d []byte) simDatagram { return simDatagram(d[4:seal.HeadLen]) }

const (
	// simRecorded is how many datagrams the attacker remembers.
	simRecorded = 20_000
	// simStrikes is the average time between two attacks, each of up to simPlayed datagrams.
	simStrikes = 100 * time.Millisecond
	simPlayed  = 20
	// simAttacker is the port from which the attacker sends. No worker looks at ports.
	simAttacker = 6465
	// simLinks is how long two hosts that begin to hear each other may take until they accept each other.
	simLinks = 2 * time.Second
	// simRotate is when the hosts begin to change their key. A step begins simRotateStep after the one before.
	simRotate     = 40 * time.Second
	simRotateStep = 5 * time.Second
)

var simOldKey, simKey = simKeyOf(1), simKeyOf(2)

// simKeyOf returns a key that is the same in each run.
func simKeyOf(id uint8) seal.Key {
	keys, err := seal.ParseKeys(fmt.Appendf(nil, "%d:%s=", id, strings.Repeat("joo"+string('a'+rune(id)), 11)[:43]))
	if err != nil {
		panic(err)
	}
	return keys.First()
}

func newKeyed(seed uint64, hosts int) *keyed {
	return &keyed{
		rand: rand.New(rand.NewPCG(seed, 77)), keys: slices.Repeat([]seal.Keys{seal.NewKeys(simOldKey)}, hosts),
		workers: make([]*simulated, hosts), since: make([]time.Time, hosts), received: make(map[simDatagram]uint),
	}
}

// spec changes a host's spec.
func (k *keyed) spec(host int, spec *configdir.Spec) {
	spec.Security, spec.Keys, spec.KeyFile = configdir.SecurityRequire, k.keys[host], "sim.key"
	spec.Group = simGroup(k.sim.Network.Group(host))
}

func simGroup(n int) netip.Addr { return netip.AddrFrom16([16]byte{0xff, 8, 15: byte(1 + n)}) }

// prepare gives a worker its keys before it starts.
func (k *keyed) prepare(r *simulated, spec *configdir.Spec) {
	if k == nil {
		return
	}
	k.spec(r.env.Host, spec)
	k.workers[r.env.Host], k.since[r.env.Host] = r, r.at
	r.newChannel = func(keys seal.Keys, c seal.Context, now time.Time) *seal.Channel {
		return seal.NewSimulated(keys, c, now, k.random)
	}
}

// arrives notes what a worker receives of another host.
func (k *keyed) arrives(r *simulated, d sim.Datagram) {
	if k != nil && d.From.Port() != simAttacker {
		k.received[idOf(d.Data)] |= 1 << r.env.Host
	}
}

// moves gives a worker the keys of another group.
func (k *keyed) moves(r *simulated, now time.Time) {
	if k != nil {
		k.rekey(r.env.Host, k.keys[r.env.Host], now)
	}
}

func (k *keyed) random(b []byte) {
	for i := range b {
		b[i] = byte(k.rand.Uint32())
	}
}

// attack schedules the attacks and a change of the hosts' key.
func (k *keyed) attack(s *sim.Simulation) {
	k.sim = s
	s.Network.Tap(func(_ int, data []byte) {
		if len(k.recorded) == simRecorded {
			k.recorded = slices.Delete(k.recorded, 0, simRecorded/2)
		}
		k.recorded = append(k.recorded, recording{bytes.Clone(data), s.Clock.Now()})
	})
	var strike func()
	strike = func() {
		k.strike()
		s.Clock.After(time.Duration(k.rand.Int64N(int64(2*simStrikes))), strike)
	}
	s.Clock.After(simStrikes, strike)
	at := sim.Epoch.Add(simRotate)
	for _, keys := range []seal.Keys{seal.NewKeys(simOldKey, simKey), seal.NewKeys(simKey, simOldKey), seal.NewKeys(simKey)} {
		for host := range k.keys {
			s.Clock.At(at.Add(time.Duration(host)*simRotateStep/10), func() { k.rekey(host, keys, s.Clock.Now()) })
		}
		at = at.Add(simRotateStep)
	}
	s.Clock.At(at, func() {
		k.removed = seal.NewSimulated(seal.NewKeys(simOldKey), seal.Context{Group: simGroup(0), Port: simSpec().Port}, s.Clock.Now(), k.random)
	})
}

// rekey changes the keys of a host.
func (k *keyed) rekey(host int, keys seal.Keys, now time.Time) {
	k.keys[host] = keys
	if r := k.workers[host]; r != nil && r.pumps != nil {
		r.at = now
		spec := r.w.spec()
		k.spec(host, &spec)
		r.setSecurity(spec, now)
	}
}

// strike sends some datagrams to one host.
func (k *keyed) strike() {
	to := k.rand.IntN(len(k.workers))
	if len(k.recorded) == 0 || !k.sim.Nodes[to].Running() {
		return
	}
	first, change := k.rand.IntN(len(k.recorded)), k.rand.IntN(10)
	if k.rand.IntN(2) == 0 { // what was sent lately
		first = max(0, len(k.recorded)-1-k.rand.IntN(2*simPlayed))
	}
	played := slices.Clone(k.recorded[first:min(first+1+k.rand.IntN(simPlayed), len(k.recorded))])
	if k.rand.IntN(2) == 0 {
		k.rand.Shuffle(len(played), func(i, j int) { played[i], played[j] = played[j], played[i] })
	}
	for _, r := range played {
		d := k.changed(r.data, change)
		if bytes.Equal(d, r.data) && k.received[idOf(d)]>>to&1 == 0 && !k.since[to].After(r.at) {
			continue // the original may still arrive
		}
		from := netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(k.rand.IntN(len(k.workers) + 2))})
		k.sim.Network.Inject(to, netip.AddrPortFrom(from, simAttacker), d)
	}
}

// changed returns what the attacker makes of a recorded datagram.
func (k *keyed) changed(d []byte, change int) []byte {
	d = bytes.Clone(d)
	switch change {
	case 0:
		d[k.rand.IntN(len(d))] ^= 1 << k.rand.IntN(8)
	case 1:
		d = d[:k.rand.IntN(len(d))]
	case 2: // a later counter
		binary.BigEndian.PutUint64(d[4+seal.RunLen:], binary.BigEndian.Uint64(d[4+seal.RunLen:])+k.rand.Uint64N(2*seal.Window))
	case 3: // another run
		k.random(d[4 : 4+seal.RunLen])
	case 4: // the head of another datagram
		copy(d, k.recorded[k.rand.IntN(len(k.recorded))].data[:seal.HeadLen])
	case 5: // clear
		return sim.ForgeHeads(k.rand, [][]byte{syncwire.Message{Sender: syncwire.ID(1 + k.rand.Uint32N(1000)), Body: &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10}}.Append(nil)})
	case 6: // a removed key
		if k.removed == nil {
			break
		}
		now := k.sim.Clock.Now()
		if k.rand.IntN(2) == 0 {
			return k.removed.Greet(nil, now)
		}
		list := syncwire.Trailer{Sender: 1, Seq: 1}.Append(nil)
		return k.removed.Seal(nil, syncwire.AppendSealed(nil, list, session.Packed40), now)
	}
	return d
}
