package seal

import (
	"math"
	"math/rand/v2"
	"testing"
)

// naive is a window that remembers all counters.
type naive struct {
	highest, floor uint64
	seen           map[uint64]bool
}

func (n *naive) fresh(c uint64) bool {
	return c > n.floor && !n.seen[c] && (c > n.highest || n.highest-c < Window)
}

// TestWindow compares the window with the naive one, for counters that jump as those of a network do, and further.
func TestWindow(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		var w window
		n := naive{seen: make(map[uint64]bool)}
		at := uint64(1)
		if seed%4 == 3 {
			at = math.MaxUint64 - 3*Window // no sender gets there, but a window must not fail
		}
		for range 20_000 {
			switch r.IntN(100) {
			case 0:
				at += r.Uint64N(3 * Window)
			case 1:
				at += Window - 1 + r.Uint64N(3)
			case 2:
				at += 64 * r.Uint64N(3)
			case 3:
				if n.highest > 0 {
					at := n.highest - min(n.highest, r.Uint64N(Window/2))
					w.close(at)
					n.floor = max(n.floor, at)
				}
			}
			c := at
			if back := r.Uint64N(Window + 100); r.IntN(2) == 0 {
				c = at - min(at, back)
			}
			if got, want := w.fresh(c), n.fresh(c); got != want {
				t.Fatalf("seed %d: counter %d with highest %d and floor %d is fresh: %v, want %v", seed, c, n.highest, n.floor, got, want)
			}
			if n.fresh(c) {
				w.see(c)
				n.seen[c] = true
				n.highest = max(n.highest, c)
			}
			if at > math.MaxUint64-4*64 {
				break
			}
			at++
		}
	}
}

func TestWindowEdges(t *testing.T) {
	var w window
	for _, c := range []struct {
		counter uint64
		fresh   bool
	}{
		{0, false}, {1, true}, {1, false}, {Window, true}, {Window + 1, true}, {2, true}, {1, false}, {3*Window + 2, true},
		{2*Window + 2, false}, {2*Window + 3, true}, {2*Window + 3, false}, {Window + 1, false},
	} {
		if got := w.fresh(c.counter); got != c.fresh {
			t.Errorf("%d is fresh: %v", c.counter, got)
		}
		if c.fresh {
			w.see(c.counter)
		}
	}
}
