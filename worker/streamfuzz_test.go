package worker

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
		delivered := make(map[syncwire.Seq]bool)
		deliver := func(b []byte) {
			seq := syncwire.Seq(binary.BigEndian.Uint32(b))
			if delivered[seq] {
				t.Errorf("%d twice", seq)
			}
			delivered[seq] = true
		}
		base := syncwire.Seq(1<<32 - 40)
		in, out := 0, 0
		count := func(b []byte) { out++; deliver(b) }
		take := func(kind syncwire.Kind, seq syncwire.Seq) {
			if l.take(kind, seq, payload(seq), l.now, count) {
				in++
			}
		}
		first, started := syncwire.Seq(0), false
		for ; len(ops) >= 2; ops = ops[2:] {
			seq := base + syncwire.Seq(ops[1])
			switch ops[0] % 8 {
			case 0:
				take(syncwire.Live, seq)
			case 1:
				take(syncwire.Repeat, seq)
			case 2:
				l.expectUpTo(seq, l.now, count)
			case 3:
				l.expectUpTo(seq<<6, l.now, count)
				delivered = make(map[syncwire.Seq]bool) // as far as the numbers come again
				base = l.next - 10
			case 4:
				l.now = l.now.Add(time.Duration(ops[1]) * time.Millisecond)
				ask, _ := l.tick(l.now, count)
				if len(ask) > syncwire.MaxRanges {
					t.Errorf("%d ranges", len(ask))
				}
			case 5:
				l.drop([]syncwire.Range{{From: uint32(seq), To: uint32(seq + 5)}}, ops[0]&8 != 0)
			case 6:
				l.othersAsked([]syncwire.Range{{From: uint32(seq), To: uint32(seq + 5)}}, l.now)
			}
			if len(l.held) > maxHeld || len(l.missing) > maxMissing {
				t.Fatalf("%d held, %d missing", len(l.held), len(l.missing))
			}
			if in != out+len(l.held) {
				t.Fatalf("%d were taken, %d delivered, %d are held", in, out, len(l.held))
			}
			begin := l.next - syncwire.Seq(l.passed+l.skipped)
			if started && begin != first || l.stream.bytes != 4*l.passed {
				t.Fatalf("%d passed, of %d bytes, and %d skipped: it began with %d, not %d", l.passed, l.stream.bytes, l.skipped, begin, first)
			}
			first, started = begin, l.started
			for i, h := range l.held {
				if !h.seq.After(l.next) || i > 0 && !h.seq.After(l.held[i-1].seq) || h.until.Before(l.holdUntil) {
					t.Fatalf("held %d of %d is %d, next %d, until %v", i, len(l.held), h.seq, l.next, l.holdUntil)
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
