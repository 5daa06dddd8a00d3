package replication

import (
	"encoding/binary"
	"testing"
	"time"

	"joolctl/syncwire"
)

// FuzzStream gives a stream any sequence of calls.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 0, 3, 4, 20, 1, 2, 2, 9})
	f.Add([]byte{0, 1, 3, 200, 4, 255, 4, 255, 5, 7})
	f.Fuzz(func(t *testing.T, ops []byte) {
		l := newListener(t)
		delivered, have := make(map[syncwire.Seq]bool), make(map[syncwire.Seq]bool)
		restarts := 0
		deliver := func(b []byte) {
			seq := syncwire.Seq(binary.BigEndian.Uint32(b))
			if l.restarts != restarts {
				restarts = l.restarts
				clear(delivered)
				clear(have)
			}
			have[seq] = true
			if delivered[seq] {
				t.Errorf("%d twice", seq)
			}
			delivered[seq] = true
		}
		base := syncwire.Seq(1<<32 - 40)
		in, out := 0, 0
		count := func(b []byte) { out++; deliver(b) }
		take := func(kind syncwire.Kind, seq syncwire.Seq) {
			if l.Receive(kind, seq, payload(seq), l.now, count) {
				in++
			}
		}
		for ; len(ops) >= 2; ops = ops[2:] {
			seq := base + syncwire.Seq(ops[1])
			switch ops[0] % 8 {
			case 0:
				take(syncwire.Live, seq)
			case 1:
				take(syncwire.Retransmission, seq)
			case 2:
				l.ExpectUpTo(seq, l.now, count)
			case 3:
				l.ExpectUpTo(seq<<6, l.now, count)
				delivered = make(map[syncwire.Seq]bool) // as far as the numbers come again
				base = l.next - 10
			case 4:
				l.now = l.now.Add(time.Duration(ops[1]) * time.Millisecond)
				ask, _ := l.Tick(l.now, count)
				if len(ask) > syncwire.MaxRanges {
					t.Errorf("%d ranges", len(ask))
				}
			case 5:
				lost := ops[0]&8 != 0
				for _, m := range l.missing {
					have[m.seq] = have[m.seq] || !lost && m.seq-seq <= 5
				}
				l.Gone([]syncwire.Range{{From: uint32(seq), To: uint32(seq + 5)}}, lost)
			case 6:
				l.Suppress([]syncwire.Range{{From: uint32(seq), To: uint32(seq + 5)}}, l.now)
			}
			if len(l.buffered) > MaxBuffered || len(l.missing) > MaxMissing {
				t.Fatalf("%d held, %d missing", len(l.buffered), len(l.missing))
			}
			if in != out+len(l.buffered) {
				t.Fatalf("%d were taken, %d delivered, %d are held", in, out, len(l.buffered))
			}
			for seq := l.first; l.started && l.restarts == restarts && !seq.After(l.last()); seq++ {
				if !have[seq] {
					t.Fatalf("%d never came, but everything from %d to %d is said to have come", seq, l.first, l.last())
				}
			}
			for i, h := range l.buffered {
				if !h.seq.After(l.next) || i > 0 && !h.seq.After(l.buffered[i-1].seq) || h.until.Before(l.bufferUntil) {
					t.Fatalf("held %d of %d is %d, next %d, until %v", i, len(l.buffered), h.seq, l.next, l.bufferUntil)
				}
			}
			for i, m := range l.missing {
				if !l.next.After(m.seq) || i > 0 && !m.seq.After(l.missing[i-1].seq) {
					t.Fatalf("missing %d of %d is %d, next %d", i, len(l.missing), m.seq, l.next)
				}
			}
		}
	})
}
