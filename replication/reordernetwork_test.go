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
// answers what is asked for.
func TestStreamOverBadNetwork(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		// Every other network loses what is asked and repeated too.
		loses := func(p float64) bool { return r.Float64() < p }
		loss, badBack := r.Float64()*0.3, seed%2 == 1
		first := syncwire.Seq(1<<32 - 1 - r.Uint32N(3000))
		const n = 3000
		var w wire
		l := newListener(t)
		begin := l.now
		l.jitter = func() time.Duration { return time.Duration(r.IntN(int(10 * time.Millisecond))) }

		delivered := make(map[syncwire.Seq]int)
		arrived := make(map[syncwire.Seq]time.Duration) // the original, first
		var newest syncwire.Seq
		inRetransmission, some := false, false
		deliver := func(b []byte) {
			seq := syncwire.Seq(binary.BigEndian.Uint32(b))
			delivered[seq]++
			if inRetransmission && seq != newest+1 {
				return
			}
			if some && !seq.After(newest) {
				t.Errorf("seed %d: %d is delivered behind %d", seed, seq, newest)
			}
			newest, some = seq, true
			if at, ok := arrived[seq]; ok && w.at-at > ReorderFor {
				t.Errorf("seed %d: %d waited for %v", seed, seq, w.at-at)
			}
		}
		now := func() time.Time { return begin.Add(w.at) }
		var tick func()
		var next time.Duration = -1
		wake := func() { // the work of the worker's timer
			_, again := l.bufferUntil, time.Time{}
			if len(l.buffered) > 0 {
				again = l.bufferUntil
			}
			for _, m := range l.missing {
				if again.IsZero() || m.again.Before(again) {
					again = m.again
				}
			}
			if at := max(again.Sub(begin), w.at); !again.IsZero() && (next < w.at || at < next) {
				next = at
				w.in(at-w.at, tick)
			}
		}
		tick = func() {
			next = -1
			ask, _ := l.Tick(now(), deliver)
			if len(ask) > 0 && !(badBack && loses(loss)) {
				w.in(time.Millisecond, func() {
					for _, a := range ask {
						for seq := syncwire.Seq(a.From); ; seq++ {
							if !(badBack && loses(loss)) {
								w.in(time.Millisecond, func() {
									inRetransmission = true
									l.Receive(syncwire.Retransmission, seq, payload(seq), now(), deliver)
									inRetransmission = false
									wake()
								})
							}
							if uint32(seq) == a.To {
								break
							}
						}
					}
				})
			}
			wake()
		}
		for i := range n {
			seq := first + syncwire.Seq(i)
			sent := time.Duration(i) * 300 * time.Microsecond
			for range 1 + r.IntN(10)/9 { // some twice
				if i > 0 && loses(loss) {
					continue
				}
				late := time.Duration(0)
				if i > 0 && loses(0.1) {
					late = time.Duration(r.IntN(int(30 * time.Millisecond)))
				}
				w.in(sent+late, func() {
					if _, twice := arrived[seq]; !twice {
						arrived[seq] = w.at
					}
					l.Receive(syncwire.Live, seq, payload(seq), now(), deliver)
					wake()
					if len(l.buffered) > MaxBuffered || len(l.missing) > MaxMissing {
						t.Fatalf("seed %d: %d held, %d missing", seed, len(l.buffered), len(l.missing))
					}
				})
			}
		}
		last := first + n - 1
		w.in(2*time.Second, func() { l.ExpectUpTo(last, now(), deliver); wake() })
		w.run()

		lost := 0
		for i := range n {
			switch delivered[first+syncwire.Seq(i)] {
			case 0:
				lost++
			case 1:
			default:
				t.Errorf("seed %d: %d was delivered %d times", seed, first+syncwire.Seq(i), delivered[first+syncwire.Seq(i)])
			}
		}
		if uint64(lost) != l.lost || !badBack && lost > 0 {
			t.Errorf("seed %d: %d of %d were not delivered, %d are known to be lost", seed, lost, n, l.lost)
		}
		if l.next != last+1 || len(l.buffered)+len(l.missing) > 0 {
			t.Errorf("seed %d: in the end it waits for %d, %d held, %d missing", seed, l.next, len(l.buffered), len(l.missing))
		}
	}
}
