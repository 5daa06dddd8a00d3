package worker

import (
	"bytes"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

var ringStart = time.Unix(1_000_000, 0)

// wantRing checks that a ring has from to last, each as put by numbered, and
// nothing around it.
func wantRing(t *testing.T, r *ring, from, last syncwire.Seq) {
	t.Helper()
	for seq := from; !seq.After(last); seq++ {
		got, sent, ok := r.get(seq)
		if want := numbered(seq); !ok || !bytes.Equal(got, want) || !sent.Equal(ringStart.Add(time.Duration(seq-from))) && last-from < ringDatagrams-1 {
			t.Fatalf("%d: %x, sent at %v, %v; want %x", seq, got, sent, ok, want)
		}
	}
	for _, seq := range []syncwire.Seq{from - 1, from - ringDatagrams, from - 1<<31, last + 1, last + ringDatagrams, last + 1<<31} {
		if got, _, ok := r.get(seq); ok || got != nil {
			t.Errorf("%d is there: %x", seq, got)
		}
	}
}

// numbered is a datagram of a length that its number gives it.
func numbered(seq syncwire.Seq) []byte {
	return bytes.Repeat([]byte{byte(seq), byte(seq >> 8)}, 1+int(seq)%(ringDatagramLen/2))
}

func TestRing(t *testing.T) {
	for _, first := range []syncwire.Seq{1, 5000, 1<<32 - 700, 1<<31 - 10} {
		var r ring
		if _, _, ok := r.get(0); ok {
			t.Error("an empty ring has something")
		}
		for i := range syncwire.Seq(3*ringDatagrams + 7) {
			b := numbered(first + i)
			r.put(first+i, b, ringStart.Add(time.Duration(i)))
			clear(b)
			if i == 0 || i == 10 || i == ringDatagrams-1 || i == ringDatagrams || i == 3*ringDatagrams {
				wantRing(t, &r, first+i-min(i, ringDatagrams-1), first+i)
			}
		}
		r.free()
		if _, _, ok := r.get(first + 3*ringDatagrams + 6); ok || r.data != nil || r.slots != nil {
			t.Error("freed, and it has something")
		}
		next := first + 3*ringDatagrams + 7
		r.put(next, numbered(next), ringStart)
		wantRing(t, &r, next, next)
	}
}

// TestRingTooLong has what no frame can carry.
func TestRingTooLong(t *testing.T) {
	var r ring
	r.put(1, numbered(1), ringStart)
	r.put(2, make([]byte, ringDatagramLen+1), ringStart)
	r.put(3, make([]byte, ringDatagramLen), ringStart)
	if b, _, ok := r.get(2); ok {
		t.Errorf("%d bytes were kept", len(b))
	}
	if b, _, ok := r.get(3); !ok || len(b) != ringDatagramLen {
		t.Errorf("%d bytes, %v", len(b), ok)
	}
	if b, _, ok := r.get(1); !ok || !bytes.Equal(b, numbered(1)) {
		t.Errorf("%x, %v", b, ok)
	}
}

func TestRingRepeatedWithin(t *testing.T) {
	var r ring
	r.put(1, numbered(1), ringStart)
	r.put(2, numbered(2), ringStart)
	now := ringStart
	for _, c := range []struct {
		after time.Duration
		seq   syncwire.Seq
		want  bool
	}{{0, 1, false}, {0, 1, true}, {9, 1, true}, {0, 2, false}, {1, 1, false}, {9, 1, true}, {1, 1, false}} {
		now = now.Add(c.after)
		if got := r.repeatedWithin(c.seq, 10, now); got != c.want {
			t.Errorf("%v, %d: %v", now.Sub(ringStart), c.seq, got)
		}
	}
	r.put(1+ringDatagrams, numbered(1), now)
	if r.repeatedWithin(1+ringDatagrams, 10, now) {
		t.Error("another datagram in the same place was repeated")
	}
}

func TestRingNewest(t *testing.T) {
	v := jool4115
	f := v.Format()
	key := func(n int) session.Key { r := f.Record(entries(t, v, n, 1)); return r.Key() }
	var r ring
	base := syncwire.Seq(1<<32 - 2)
	for i, list := range [][]byte{entries(t, v, 1, 3), entries(t, v, 2, 1), make([]byte, ringDatagramLen+1), entries(t, v, 3, 3), entries(t, v, 1, 1)} {
		r.put(base+syncwire.Seq(i), list, ringStart)
	}
	for _, c := range []struct {
		from syncwire.Seq
		want map[int]syncwire.Seq
	}{
		{base, map[int]syncwire.Seq{1: 4, 2: 1, 3: 3, 4: 3, 5: 3}},
		{base - 5, map[int]syncwire.Seq{1: 4, 2: 1, 3: 3, 4: 3, 5: 3}},
		{base + 2, map[int]syncwire.Seq{1: 4, 3: 3, 4: 3, 5: 3}},
		{base + 4, map[int]syncwire.Seq{1: 4}},
		{base + 5, nil},
	} {
		got := r.newest(c.from, f)
		r.forgetNewest()
		if len(got) != len(c.want) {
			t.Errorf("from %d: %d sessions, want %d", c.from, len(got), len(c.want))
		}
		for n, i := range c.want {
			if seq, ok := got[key(n)]; !ok || seq != base+i {
				t.Errorf("from %d, session %d: %d, %v", c.from, n, seq, ok)
			}
		}
	}
	// Little by little, both ways, while datagrams are sent.
	for _, from := range []syncwire.Seq{base + 4, base + 1, base + 3, base} {
		r.newest(from, f)
	}
	r.put(base+5, entries(t, v, 2, 1), ringStart)
	got := r.newest(base+2, f)
	for n, i := range map[int]syncwire.Seq{1: 4, 2: 5, 3: 3, 4: 3, 5: 3} {
		if got[key(n)] != base+i {
			t.Errorf("session %d: %d, want %d", n, got[key(n)], base+i)
		}
	}
}

func TestRingNoAllocations(t *testing.T) {
	var r ring
	b := numbered(700)
	seq := syncwire.Seq(0)
	r.put(seq, b, ringStart)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		r.put(seq, b, ringStart)
		_, _, _ = r.get(seq - 5)
		r.repeatedWithin(seq, time.Second, ringStart)
	}); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
