package seal

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
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

func (e *events) Push(x any) { *e = append(*e, x.(event)) }

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
