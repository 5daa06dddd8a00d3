package seal

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// network is a simulated network of hosts, with an attacker that hears all datagrams.
type network struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Time
	todo events
	n    int // counts the events, to order those of one time

	hosts []*simHost
	// loss and duplicates are the shares of datagrams that are lost and duplicated; delay is the longest delay.
	loss, duplicates float64
	delay            time.Duration

	sent     []sentContent // by their number
	recorded [][]byte      // the attacker's recording, at most maxRecorded datagrams
	insider  *Channel      // the attacker's, who has a key that is removed later; nil: the attacker has none
	outcomes [Outcomes]int
	// broken, if not nil, breaks a host before it receives a datagram.
	broken func(*Channel)
	// fail is called if a host does what it must not. It is Fatalf unless a test expects a failure.
	fail func(format string, args ...any)
}

const maxRecorded = 20_000

// sentContent is a content that a host has sent.
type sentContent struct {
	sender  *simHost
	life    int // the sender's
	at      time.Time
	counter uint64
	run     Run
	opened  map[int]int // how often, by the receiver's number
}

// simHost is a host. A restart gives it another Channel.
type simHost struct {
	net    *network
	number int
	ch     *Channel
	keys   Keys
	life   int       // counts restarts and steps of the clock
	since  time.Time // when the present life began
	every  time.Duration
	// named says since when, and under which run and counter, a life of a peer has named a run of this host's present life.
	named map[simLife]time.Time
	step  time.Duration // of the wall clock
	dead  bool
}

type simLife struct{ host, life int }

type event struct {
	at time.Time
	n  int
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, k int) bool {
	return e[i].at.Before(e[k].at) || e[i].at.Equal(e[k].at) && e[i].n < e[k].n
}
func (e events) Swap(i, k int) { e[i], e[k] = e[k], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newNetwork(t *testing.T, seed uint64, hosts int, keys Keys, every time.Duration) *network {
	n := &network{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: start, delay: 20 * time.Millisecond, fail: t.Fatalf}
	for i := range hosts {
		h := &simHost{net: n, number: i, keys: keys, every: every}
		n.hosts = append(n.hosts, h)
		h.restart()
		h.traffic()
	}
	return n
}

// after calls do after a time.
func (n *network) after(d time.Duration, do func()) {
	n.n++
	heap.Push(&n.todo, event{n.now.Add(d), n.n, do})
}

// run runs the network for a time.
func (n *network) run(d time.Duration) {
	for end := n.now.Add(d); ; {
		for _, h := range n.hosts {
			if !h.dead && !n.now.Before(h.ch.Due()) {
				h.greet()
			}
		}
		next := end
		if len(n.todo) > 0 && n.todo[0].at.Before(next) {
			next = n.todo[0].at
		}
		for _, h := range n.hosts {
			if due := h.ch.Due(); !h.dead && due.Before(next) && due.After(n.now) {
				next = due
			}
		}
		n.now = next
		if !next.Before(end) {
			return
		}
		for len(n.todo) > 0 && !n.todo[0].at.After(n.now) {
			heap.Pop(&n.todo).(event).do()
		}
	}
}

func (n *network) random(b []byte) {
	for i := range b {
		b[i] = byte(n.rand.Uint32())
	}
}

// restart gives the host a new Channel.
func (h *simHost) restart() {
	h.step = 0
	h.ch = NewSimulated(h.keys, testContext, h.net.now, h.net.random)
	h.ch.wall = func(at time.Time) time.Time {
		if at.Before(h.since) {
			return at
		}
		return at.Add(h.step)
	}
	h.begin()
}

// begin begins a life of the host: from now on nothing counts that was sent before.
func (h *simHost) begin() {
	h.life++
	h.since = h.net.now
	h.named = make(map[simLife]time.Time)
}

// stepClock sets the host's wall clock, as if the host were set back to a snapshot.
func (h *simHost) stepClock() {
	h.begin()
	h.step = time.Hour
	h.ch.last = h.net.now.Add(-time.Nanosecond)
	h.ch.turn(h.net.now)
	h.step = 0
}

// traffic sends contents at random intervals.
func (h *simHost) traffic() {
	h.net.after(time.Duration(h.net.rand.Int64N(int64(2*h.every))), func() {
		if !h.dead {
			h.send()
		}
		h.traffic()
	})
}

// send sends a content that says its number.
func (h *simHost) send() {
	n := h.net
	content := binary.BigEndian.AppendUint32([]byte{1}, uint32(len(n.sent)))
	datagram := h.ch.Seal(nil, content, n.now)
	n.sent = append(n.sent, sentContent{h, h.life, n.now, h.ch.own.counter, h.ch.own.run, make(map[int]int)})
	n.transmit(h, datagram)
}

// greet sends a greeting, and notes which lives of the others it names.
func (h *simHost) greet() {
	n := h.net
	datagram := h.ch.Greet(nil, n.now)
	for _, named := range h.ch.names {
		for _, other := range n.hosts {
			from := simLife{h.number, h.life}
			if _, before := other.named[from]; other != h && !before && other.ch.proves(&named.run) {
				other.named[from] = n.now
			}
		}
	}
	n.transmit(h, datagram)
}

// transmit delivers a datagram to all other hosts and to the attacker.
func (n *network) transmit(from *simHost, datagram []byte) {
	if len(n.recorded) < maxRecorded {
		n.recorded = append(n.recorded, datagram)
	} else {
		n.recorded[n.rand.IntN(maxRecorded)] = datagram
	}
	if n.insider != nil {
		n.insider.Open(bytes.Clone(datagram), n.now)
	}
	for _, to := range n.hosts {
		if to == from {
			continue
		}
		copies := 1
		if n.rand.Float64() < n.duplicates {
			copies = 2
		}
		for range copies {
			if n.rand.Float64() >= n.loss {
				n.after(time.Duration(n.rand.Int64N(int64(n.delay))), func() { to.receive(datagram) })
			}
		}
	}
}

// receive opens a datagram, and checks that it may be opened.
func (h *simHost) receive(datagram []byte) {
	n := h.net
	if h.dead {
		return
	}
	if n.broken != nil {
		n.broken(h.ch)
	}
	content, outcome := h.ch.Open(bytes.Clone(datagram), n.now)
	n.outcomes[outcome]++
	if len(h.ch.runs) > maxRuns+maxCandidates || len(h.ch.silent) > maxSilent {
		n.fail("host %d remembers %d runs and %d silent ones", h.number, len(h.ch.runs), len(h.ch.silent))
	}
	if outcome != Opened {
		return
	}
	if len(content) != 5 || int(binary.BigEndian.Uint32(content[1:])) >= len(n.sent) {
		n.fail("host %d opens %x, which was never sent", h.number, content)
		return
	}
	s := &n.sent[binary.BigEndian.Uint32(content[1:])]
	named, ok := h.named[simLife{s.sender.number, s.life}]
	switch {
	case s.sender == h:
		n.fail("host %d opens its own datagram", h.number)
	case s.at.Before(h.since):
		n.fail("host %d opens a datagram from before its present life", h.number)
	case !ok || s.at.Before(named):
		n.fail("host %d opens a datagram that was sent before its sender named the host's run", h.number)
	}
	id := h.number + h.life*len(n.hosts)
	if s.opened[id]++; s.opened[id] > 1 {
		n.fail("host %d opens a datagram twice", h.number)
	}
}

// attack makes the attacker send datagrams to all hosts: recordings, alone or many in their order, mutated ones, forged ones of known
// and unknown runs, and those of a key that the hosts no longer have.
func (n *network) attack(every time.Duration) {
	n.after(every, func() {
		n.attack(every)
		if len(n.recorded) == 0 {
			return
		}
		d := bytes.Clone(n.recorded[n.rand.IntN(len(n.recorded))])
		if n.rand.IntN(3) == 0 {
			d = bytes.Clone(n.recorded[len(n.recorded)-1])
		}
		switch n.rand.IntN(8) {
		case 0:
			d[n.rand.IntN(len(d))] ^= 1 << n.rand.IntN(8)
		case 1:
			d = d[:n.rand.IntN(len(d))]
		case 2: // a later counter
			binary.BigEndian.PutUint64(d[4+RunLen:], binary.BigEndian.Uint64(d[4+RunLen:])+n.rand.Uint64N(2*Window))
		case 3: // another run
			n.random(d[4 : 4+RunLen])
		case 4:
			if n.insider == nil || n.rand.IntN(10) > 0 {
				break
			}
			if d = n.insider.Greet(nil, n.now); n.rand.IntN(2) == 0 {
				d = n.insider.Seal(nil, []byte("\x01made by the attacker"), n.now)
			}
		case 5: // a part of the recording, from a greeting on perhaps
			if n.rand.IntN(10) > 0 {
				break
			}
			from := n.rand.IntN(len(n.recorded))
			for _, r := range n.recorded[from:min(from+100, len(n.recorded))] {
				for _, h := range n.hosts {
					h.receive(r)
				}
			}
		}
		for _, h := range n.hosts {
			h.receive(d)
		}
	})
}

// reached reports which share of the contents that were sent in a time was opened by all others.
func (n *network) reached(from, to time.Time) (missing, all int) {
	for i := range n.sent {
		s := &n.sent[i]
		if s.at.Before(from) || !s.at.Before(to) {
			continue
		}
		all++
		if len(s.opened) != len(n.hosts)-1 {
			missing++
		}
	}
	return missing, all
}

// confirmed reports whether all hosts accept each other.
func (n *network) confirmed() bool {
	for _, h := range n.hosts {
		for _, other := range n.hosts {
			if h == other {
				continue
			}
			p := h.ch.runs[other.ch.own.run]
			if p == nil || !p.accepted || !p.accepts {
				return false
			}
		}
	}
	return true
}

// within runs the network until all hosts accept each other, and fails if this takes longer.
func (n *network) within(limit time.Duration) {
	n.t.Helper()
	began := n.now
	for !n.confirmed() {
		if n.run(10 * time.Millisecond); n.now.Sub(began) > limit {
			n.t.Fatalf("the hosts have not confirmed each other within %v; outcomes %v", limit, n.outcomes)
		}
	}
}

// TestAttacker restarts hosts, changes keys and sets clocks while an attacker records, replays, mutates and forges, and while the network
// loses, duplicates and reorders datagrams. The attacker belongs to the group at first, until its key is removed.
func TestAttacker(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			n := newAttacked(t, seed)
			n.rounds(12)
			n.within(5 * time.Second)
			for outcome, count := range n.outcomes {
				if count == 0 && Outcome(outcome) < Malformed && Outcome(outcome) != Throttled && Outcome(outcome) != UnknownKey {
					t.Errorf("outcome %d never occurs: %v", outcome, n.outcomes)
				}
			}
			t.Logf("outcomes %v", n.outcomes)
		})
	}
}

// TestAttackerFinds breaks the hosts' protection. The attacker has them open what they must not.
func TestAttackerFinds(t *testing.T) {
	for _, c := range []struct {
		name, fails string
		broken      func(*Channel)
	}{
		{"no replay window", "opens a datagram twice", func(c *Channel) {
			for _, p := range c.runs {
				p.seen.bits, p.seen.highest = [windowWords]uint64{}, 0
			}
		}},
		{"runs are accepted at once", "opens its own datagram", func(c *Channel) {
			for _, p := range c.runs {
				p.accepted = p.accepted || p.authentic
			}
		}},
		{"runs that are silent are forgotten", "opens a datagram twice", func(c *Channel) { clear(c.silent) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := ""
			for seed := uint64(0); seed < 8 && found == ""; seed++ {
				n := newAttacked(t, seed)
				n.broken = c.broken
				n.fail = func(format string, args ...any) {
					if found == "" {
						found = fmt.Sprintf("seed %d: ", seed) + fmt.Sprintf(format, args...)
					}
				}
				for round := 0; round < 12 && found == ""; round++ {
					n.rounds(1)
				}
			}
			if found == "" || !strings.Contains(found, c.fails) {
				t.Errorf("found %q, want %q", found, c.fails)
			}
			t.Log(found)
		})
	}
}

// newAttacked returns a network of three hosts with an attacker whose key they have just removed.
func newAttacked(t *testing.T, seed uint64) *network {
	removed, one := keyOf(9, 9), keyOf(1, 1)
	n := newNetwork(t, seed, 3, NewKeys(removed), 50*time.Millisecond)
	n.loss, n.duplicates = 0.05, 0.02
	n.insider = NewSimulated(NewKeys(removed), testContext, n.now, n.random)
	n.within(5 * time.Second)
	for _, keys := range []Keys{NewKeys(removed, one), NewKeys(one, removed), NewKeys(one)} {
		n.rekey(keys)
	}
	n.attack(5 * time.Millisecond)
	return n
}

// rekey changes the keys of one host after the other.
func (n *network) rekey(keys Keys) {
	for _, h := range n.hosts {
		h.keys = keys
		h.ch.SetKeys(h.keys, n.now)
		n.run(time.Second)
	}
}

// rounds does something to a host, so many times.
func (n *network) rounds(rounds int) {
	one, two := keyOf(1, 1), keyOf(2, 2)
	keys := []Keys{NewKeys(one), NewKeys(one, two), NewKeys(two, one), NewKeys(two), NewKeys(two, one), NewKeys(one, two)}
	for range rounds {
		n.within(5 * time.Second)
		n.run(time.Duration(n.rand.Int64N(int64(5 * time.Second))))
		h := n.hosts[n.rand.IntN(3)]
		switch n.rand.IntN(4) {
		case 0:
			h.restart()
		case 1:
			h.stepClock()
		case 2:
			h.dead = true
			n.run(time.Duration(n.rand.Int64N(int64(2 * keepFor))))
			h.dead = false
			if n.rand.IntN(2) == 0 {
				h.restart()
			}
		case 3:
			n.rekey(keys[(slices.Index(keys, h.keys)+1)%len(keys)])
		}
	}
}

// TestFlood has two hosts confirm each other while 50,000 forged datagrams a second arrive at each.
func TestFlood(t *testing.T) {
	for _, c := range []struct {
		name   string
		forged func(n *network, known []Run) Run
		within time.Duration
	}{
		{"random runs", func(n *network, _ []Run) (r Run) { n.random(r[:]); return r }, 3 * time.Second},
		{"runs of a recording", func(n *network, known []Run) Run { return known[n.rand.IntN(len(known))] }, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var known []Run
			for i := range uint64(maxCandidates / 2) { // hosts that have lived before
				known = append(known, seeded(100+i, testKeys, start).own.run)
			}
			n := newNetwork(t, 1, 2, testKeys, 100*time.Millisecond)
			forged := make([]byte, 200)
			const every, together = time.Millisecond, 50
			var flood func()
			flood = func() {
				n.after(every, flood)
				for range together {
					n.random(forged[:40])
					h := head{1, c.forged(n, known), n.rand.Uint64()}
					h.append(forged[:0])
					for _, host := range n.hosts {
						host.receive(forged)
					}
				}
			}
			flood()
			n.within(c.within)
			n.run(time.Second)
			n.hosts[0].restart()
			n.within(c.within)
			if n.outcomes[Opened] == 0 || n.outcomes[Forged] < 50_000 {
				t.Errorf("outcomes %v", n.outcomes)
			}
		})
	}
}

// TestRenewal runs three hosts for two and a half hours. Each renews its run twice, and no datagram is lost.
func TestRenewal(t *testing.T) {
	n := newNetwork(t, 1, 3, testKeys, time.Second)
	n.within(3 * time.Second)
	from, runs := n.now, make(map[Run]bool)
	n.run(150 * time.Minute)
	to := n.now
	n.run(time.Second)
	missing, all := n.reached(from, to)
	if missing > 0 || all < 20_000 {
		t.Errorf("%d of %d datagrams are missing", missing, all)
	}
	for i := range n.sent {
		runs[n.sent[i].run] = true
	}
	if len(runs) != 9 {
		t.Errorf("%d runs, want 3 for each of 3 hosts", len(runs))
	}
	for _, h := range n.hosts {
		if h.ch.Links() != 2 {
			t.Errorf("host %d has %d links, want 2", h.number, h.ch.Links())
		}
	}
}

// TestRenewalWithLoss loses a third of the datagrams. Nearly all that arrive are opened.
func TestRenewalWithLoss(t *testing.T) {
	n := newNetwork(t, 1, 3, testKeys, time.Second)
	n.loss = 0.33
	n.within(10 * time.Second)
	before := n.outcomes
	n.run(5 * time.Hour)
	if lost := n.outcomes[Unconfirmed] - before[Unconfirmed]; lost > 20 {
		t.Errorf("%d datagrams of runs that were not accepted in time; outcomes %v", lost, n.outcomes)
	}
}

// TestKeyRotation adds a key at each host, moves it to the first place at each, and then removes the old one. No datagram is lost.
func TestKeyRotation(t *testing.T) {
	one, two := keyOf(1, 1), keyOf(2, 2)
	n := newNetwork(t, 1, 3, NewKeys(one), 10*time.Millisecond)
	n.within(3 * time.Second)
	from := n.now
	for _, keys := range []Keys{NewKeys(one, two), NewKeys(two, one), NewKeys(two)} {
		for _, h := range n.hosts {
			h.keys = keys
			h.ch.SetKeys(keys, n.now)
			n.run(2 * time.Second)
		}
	}
	to := n.now
	n.run(time.Second)
	if missing, all := n.reached(from, to); missing > 0 || all < 3000 {
		t.Errorf("%d of %d datagrams are missing; outcomes %v", missing, all, n.outcomes)
	}
	for _, h := range n.hosts {
		if h.ch.own.key != 2 {
			t.Errorf("host %d seals with key %d", h.number, h.ch.own.key)
		}
	}
}
