package replication

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"joolctl/syncwire"
)

// wire is a network in virtual time.
type wire struct {
	at    time.Duration
	queue events
}

type event struct {
	at time.Duration
	n  int // in the order in which they were put
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any     { last := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return last }

func (w *wire) in(d time.Duration, do func()) {
	heap.Push(&w.queue, event{w.at + d, len(w.queue), do})
}

// run does everything until nothing is to be done.
func (w *wire) run() {
	for len(w.queue) > 0 {
		e := heap.Pop(&w.queue).(event)
		w.at = e.at
		e.do()
	}
}

// TestStreamOverBadNetwork loses, doubles and reorders datagrams at random, and
// retransmits what the receiver requests. Every other network loses requests
// and retransmissions too.
func TestStreamOverBadNetwork(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		loss := r.Float64() * 0.3
		const n = 3000
		first := syncwire.Seq(1<<32 - 1 - r.Uint32N(n))
		b := newBadNetwork(t, seed, r, loss, first)
		for i := range n {
			b.send(first+syncwire.Seq(i), time.Duration(i)*300*time.Microsecond)
		}
		last := first + n - 1
		b.in(2*time.Second, func() { b.receiver.ExpectUpTo(last, b.now(), b.deliver); b.schedule() })
		b.run()
		b.checkEnd(n)
	}
}

// badNetwork is a receiver behind a network that loses datagrams, and a sender that retransmits them.
type badNetwork struct {
	wire
	t        *testing.T
	seed     uint64
	random   *rand.Rand
	receiver *listener
	begin    time.Time
	first    syncwire.Seq  // is never lost: with it, the receiver learns where the numbers begin
	loss     float64       // the share of datagrams that are lost
	bothWays bool          // requests and retransmissions are lost too
	ticks    time.Duration // when the receiver's next tick is scheduled; -1: none is

	delivered      map[syncwire.Seq]int
	arrived        map[syncwire.Seq]time.Duration // when a live datagram arrived first
	newest         syncwire.Seq                   // of those that were delivered in order
	some           bool                           // there is a newest one
	retransmission bool                           // the receiver receives a retransmission now
}

func newBadNetwork(t *testing.T, seed uint64, r *rand.Rand, loss float64, first syncwire.Seq) *badNetwork {
	b := &badNetwork{t: t, seed: seed, random: r, receiver: newListener(t), first: first, loss: loss, bothWays: seed%2 == 1, ticks: -1,
		delivered: make(map[syncwire.Seq]int), arrived: make(map[syncwire.Seq]time.Duration)}
	b.begin = b.receiver.now
	b.receiver.jitter = func() time.Duration { return time.Duration(r.IntN(int(10 * time.Millisecond))) }
	return b
}

func (b *badNetwork) now() time.Time { return b.begin.Add(b.at) }

// happens draws whether an event of a probability happens.
func (b *badNetwork) happens(p float64) bool { return b.random.Float64() < p }

// losesBack draws whether a request or a retransmission is lost.
func (b *badNetwork) losesBack() bool { return b.bothWays && b.happens(b.loss) }

// send sends a live datagram: some twice, some not at all, and some are late.
func (b *badNetwork) send(seq syncwire.Seq, at time.Duration) {
	for range 1 + b.random.IntN(10)/9 {
		if seq != b.first && b.happens(b.loss) {
			continue
		}
		late := time.Duration(0)
		if seq != b.first && b.happens(0.1) {
			late = time.Duration(b.random.IntN(int(30 * time.Millisecond)))
		}
		b.in(at+late, func() { b.arrive(seq) })
	}
}

// arrive has the receiver receive a live datagram.
func (b *badNetwork) arrive(seq syncwire.Seq) {
	if _, twice := b.arrived[seq]; !twice {
		b.arrived[seq] = b.at
	}
	l := b.receiver
	l.Receive(syncwire.Live, seq, payload(seq), b.now(), b.deliver)
	b.schedule()
	if len(l.buffered) > MaxBuffered || len(l.missing) > MaxMissing {
		b.t.Fatalf("seed %d: %d held, %d missing", b.seed, len(l.buffered), len(l.missing))
	}
}

// deliver checks that datagrams are delivered in order, but for retransmissions, and that none waits too long.
func (b *badNetwork) deliver(data []byte) {
	seq := syncwire.Seq(binary.BigEndian.Uint32(data))
	b.delivered[seq]++
	if b.retransmission && seq != b.newest+1 {
		return
	}
	if b.some && !seq.After(b.newest) {
		b.t.Errorf("seed %d: %d is delivered behind %d", b.seed, seq, b.newest)
	}
	b.newest, b.some = seq, true
	if at, ok := b.arrived[seq]; ok && b.at-at > ReorderFor {
		b.t.Errorf("seed %d: %d waited for %v", b.seed, seq, b.at-at)
	}
}

// schedule does the work of the worker's timer: it schedules the receiver's next tick.
func (b *badNetwork) schedule() {
	var again time.Time
	l := b.receiver
	if len(l.buffered) > 0 {
		again = l.bufferUntil
	}
	for _, m := range l.missing {
		if again.IsZero() || m.again.Before(again) {
			again = m.again
		}
	}
	if at := max(again.Sub(b.begin), b.at); !again.IsZero() && (b.ticks < b.at || at < b.ticks) {
		b.ticks = at
		b.in(at-b.at, b.tick)
	}
}

// tick has the receiver request what it misses.
func (b *badNetwork) tick() {
	b.ticks = -1
	ask, _ := b.receiver.Tick(b.now(), b.deliver)
	if len(ask) > 0 && !b.losesBack() {
		b.in(time.Millisecond, func() { b.retransmit(ask) })
	}
	b.schedule()
}

// retransmit sends the requested datagrams again.
func (b *badNetwork) retransmit(ask []syncwire.Range) {
	for _, a := range ask {
		for i := range a.To - a.From + 1 { // the numbers may wrap
			if seq := syncwire.Seq(a.From + i); !b.losesBack() {
				b.in(time.Millisecond, func() {
					b.retransmission = true
					b.receiver.Receive(syncwire.Retransmission, seq, payload(seq), b.now(), b.deliver)
					b.retransmission = false
					b.schedule()
				})
			}
		}
	}
}

// checkEnd checks that each of n datagrams was delivered once, or is counted as lost, and that the receiver waits for nothing.
func (b *badNetwork) checkEnd(n int) {
	b.t.Helper()
	lost, l := 0, b.receiver
	for i := range n {
		switch seq := b.first + syncwire.Seq(i); b.delivered[seq] {
		case 0:
			lost++
		case 1:
		default:
			b.t.Errorf("seed %d: %d was delivered %d times", b.seed, seq, b.delivered[seq])
		}
	}
	if uint64(lost) != l.lost || !b.bothWays && lost > 0 {
		b.t.Errorf("seed %d: %d of %d were not delivered, %d are known to be lost", b.seed, lost, n, l.lost)
	}
	if l.next != b.first+syncwire.Seq(n) || len(l.buffered)+len(l.missing) > 0 {
		b.t.Errorf("seed %d: in the end it waits for %d, %d held, %d missing", b.seed, l.next, len(l.buffered), len(l.missing))
	}
}
