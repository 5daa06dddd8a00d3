package replication

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

func TestStreamInOrder(t *testing.T) {
	l := newListener(t)
	l.live(41, 42, 43)
	l.want(41, 42, 43)
	l.says(43)
	l.idle()
	l.counts(0, 0)
}

func TestStreamBegins(t *testing.T) {
	t.Run("with a datagram", func(t *testing.T) {
		l := newListener(t)
		l.live(100, 99)
		l.want(100)
	})
	t.Run("with a control message", func(t *testing.T) {
		l := newListener(t)
		l.says(0)
		l.live(1)
		l.want(1)
		l.idle()
	})
	t.Run("not with somebody else's repeat", func(t *testing.T) {
		l := newListener(t)
		l.repeat(10)
		l.live(100)
		l.want(100)
		l.idle()
	})
}

// TestStreamPassed checks that only originals that were delivered in order have passed; a retransmission may contain
// fewer sessions. A datagram that arrives too late, or twice, is dropped.
func TestStreamPassed(t *testing.T) {
	l := newListener(t)
	take := func(kind syncwire.Kind, seq syncwire.Seq, want bool) {
		t.Helper()
		if got := l.Receive(kind, seq, payload(seq), l.now, l.deliver); got != want {
			t.Errorf("%d of kind %d was taken: %v", seq, kind, got)
		}
	}
	take(syncwire.Retransmission, 1, false)
	take(syncwire.Live, 1, true)
	take(syncwire.Retransmission, 2, true) // before it was missed
	take(syncwire.Live, 2, false)
	take(syncwire.Live, 5, true)
	take(syncwire.Live, 5, false)
	take(syncwire.Retransmission, 4, true)
	take(syncwire.Live, 3, true)
	l.want(1, 2, 3, 4, 5)
	take(syncwire.Live, 9, true)
	l.says(9)
	take(syncwire.Live, 7, false)
	take(syncwire.Retransmission, 7, true)
	take(syncwire.Retransmission, 7, false)
	l.want(9, 7)
}

// TestStreamComplete follows up to where everything has come of a sender.
func TestStreamComplete(t *testing.T) {
	l := newListener(t)
	whole := func(what string, first, last, top syncwire.Seq) {
		t.Helper()
		if l.first != first || l.last() != last || l.top != top {
			t.Errorf("%s: everything from %d to %d, the last one is %d; want %d, %d, %d", what, l.first, l.last(), l.top, first, last, top)
		}
	}
	l.live(5)
	whole("the first one", 5, 5, 5)
	l.live(6, 8)
	whole("one is late", 5, 6, 6)
	l.after(ReorderFor)
	whole("one is missing", 5, 6, 8)
	l.says(10)
	whole("the last ones are missing", 5, 6, 8)
	l.repeat(7)
	whole("a retransmission", 5, 8, 8)
	l.repeat(10)
	whole("a retransmission of the last one", 5, 8, 10)
	l.Gone([]syncwire.Range{{From: 9, To: 9}}, false)
	whole("the rest has been sent again since", 5, 10, 10)
	l.live(12)
	l.says(12)
	l.Gone([]syncwire.Range{{From: 11, To: 11}}, true)
	whole("one is lost for good", 12, 12, 12)
	if l.restarts != 0 {
		t.Errorf("%d restarts", l.restarts)
	}
}

// TestStreamRestart has a sender count from a lower number again.
func TestStreamRestart(t *testing.T) {
	l := newListener(t)
	l.live(1000)
	for seq := syncwire.Seq(1); seq < RestartAfter; seq++ {
		l.live(seq)
		l.says(seq) // is as good as a datagram
		if l.restarts > 0 {
			break
		}
	}
	at := l.next
	if l.restarts != 1 || at > RestartAfter {
		t.Fatalf("%d restarts, the next one is %d", l.restarts, at)
	}
	l.live(at, at+1)
	l.want(1000, at, at+1)
	if l.first != at || l.last() != at+1 {
		t.Errorf("everything from %d to %d", l.first, l.last())
	}
	// Duplicates between other datagrams are no restart.
	for seq := at + 2; seq < at+100; seq++ {
		l.live(seq, at, at, at, at)
		l.want(seq)
	}
	if l.restarts != 1 {
		t.Errorf("%d restarts", l.restarts)
	}
}

// TestStreamReordered fills gaps within the time that is waited.
func TestStreamReordered(t *testing.T) {
	l := newListener(t)
	l.live(1, 3, 5, 4)
	l.want(1)
	l.nacks(l.after(ReorderFor - 1))
	l.live(2)
	l.want(2, 3, 4, 5)
	l.idle()
	l.live(2, 3, 4, 5, 1) // once more
	l.want()
	l.idle()
	l.counts(0, 0)
}

func TestStreamGap(t *testing.T) {
	l := newListener(t)
	l.live(1, 3, 4, 6, 3)
	l.nacks(l.after(ReorderFor-1), nil...)
	l.want(1)
	l.nacks(l.after(1), 2, 2, 5, 5)
	l.want(3, 4, 6)
	l.live(2, 5) // late originals: the retransmissions are on the way, with fewer sessions
	l.want()
	l.repeat(5, 5, 2, 2, 4)
	l.want(5, 2)
	l.counts(0, 2)
	l.idle()
	l.live(7)
	l.want(7)
}

// TestStreamBuffersEachForItsTime has a second gap open while the first is waited
// for: nothing waits longer than it may because of that.
func TestStreamBuffersEachForItsTime(t *testing.T) {
	l := newListener(t)
	l.live(1, 3)
	l.after(ReorderFor / 2)
	l.live(5)
	l.want(1)
	l.nacks(l.after(ReorderFor/2), 2, 2)
	l.want(3)
	l.nacks(l.after(ReorderFor/2), 4, 4)
	l.want(5)

	l = newListener(t)
	l.live(1, 9)
	l.after(ReorderFor / 2)
	l.live(7, 5)
	l.want(1)
	l.nacks(l.after(ReorderFor/2), 2, 4, 6, 6, 8, 8) // 9 may not wait longer
	l.want(5, 7, 9)
}

// TestStreamTickReturnsWhen goes from moment to moment.
func TestStreamTickReturnsWhen(t *testing.T) {
	l := newListener(t)
	l.live(1, 3)
	begin := l.now
	var asked []time.Duration
	for range 20 {
		ask, again := l.Tick(l.now, l.deliver)
		if len(ask) > 0 {
			asked = append(asked, l.now.Sub(begin))
		}
		if again.IsZero() {
			break
		}
		if !again.After(l.now) {
			t.Fatalf("at %v it is to come again at %v", l.now.Sub(begin), again.Sub(begin))
		}
		l.now = again
	}
	ms := time.Millisecond
	if want := []time.Duration{20 * ms, 70 * ms, 270 * ms, 1070 * ms}; !slices.Equal(asked, want) {
		t.Errorf("asked after %v, want %v", asked, want)
	}
	if took := l.now.Sub(begin); took != 4270*ms {
		t.Errorf("given up after %v", took)
	}
	l.counts(1, 0)
	l.repeat(2) // too late
	l.want(1, 3)
	l.idle()
}

func TestStreamBuffersSoMany(t *testing.T) {
	l := newListener(t)
	l.live(1)
	for i := range MaxBuffered {
		l.live(syncwire.Seq(3 + i))
	}
	l.want(1)
	l.live(3 + MaxBuffered)
	if len(l.got) != MaxBuffered+1 || len(l.buffered) != 0 {
		t.Errorf("%d delivered, %d held", len(l.got), len(l.buffered))
	}
	l.nacks(l.after(0), 2, 2)
}

func TestStreamTail(t *testing.T) {
	l := newListener(t)
	l.live(1, 2)
	l.says(5)
	l.nacks(l.after(0), 3, 5)
	l.live(6)
	l.says(6)
	l.says(3) // an old message
	l.want(1, 2, 6)
	l.repeat(3, 4, 5)
	l.want(3, 4, 5)
	l.idle()
	l.counts(0, 3)

	// A message with the sender's position ends the wait only for the datagrams up to that position.
	l = newListener(t)
	l.live(1, 3, 5, 7)
	l.says(4)
	l.want(1, 3, 5)
	l.nacks(l.after(0), 2, 2, 4, 4)
	l.live(6)
	l.want(6, 7)
}

func TestStreamBacksOffForOthers(t *testing.T) {
	l := newListener(t)
	l.live(1, 3, 4, 6)
	l.jitter = func() time.Duration { return 5 * time.Millisecond }
	l.nacks(l.after(ReorderFor))
	l.Suppress([]syncwire.Range{{From: 0, To: 3}}, l.now)
	l.nacks(l.after(5*time.Millisecond), 5, 5)
	l.nacks(l.after(44 * time.Millisecond))
	l.nacks(l.after(time.Millisecond), 2, 2)
	// A receiver that has sent a NACK does not suppress the next one.
	l.Suppress([]syncwire.Range{{From: 2, To: 5}}, l.now)
	l.nacks(l.after(5*time.Millisecond), 5, 5)
}

func TestStreamGone(t *testing.T) {
	l := newListener(t)
	l.live(1, 10)
	l.after(ReorderFor)
	l.want(1, 10)
	if n := l.Gone([]syncwire.Range{{From: 0, To: 4}}, true); n != 3 {
		t.Errorf("%d dropped", n)
	}
	if n := l.Gone([]syncwire.Range{{From: 3, To: 5}, {From: 9, To: 20}}, false); n != 2 {
		t.Errorf("%d dropped", n)
	}
	l.counts(3, 2)
	if n := l.Gone([]syncwire.Range{{From: 100, To: 3}}, true); n != 0 {
		t.Errorf("%d dropped of another range", n)
	}
	l.repeat(2, 5, 6)
	l.want(6)
	l.nacks(l.after(50*time.Millisecond), 7, 8)
}

// TestStreamWraps runs over the end of the numbers.
func TestStreamWraps(t *testing.T) {
	const end = 1<<32 - 1
	l := newListener(t)
	l.live(end-2, end-1)
	l.live(1, end) // 0 is missing
	l.want(end-2, end-1, end)
	l.nacks(l.after(ReorderFor), 0, 0)
	l.live(3, 0)
	l.nacks(l.after(ReorderFor), 2, 2)
	l.repeat(0, 2)
	l.want(1, 3, 0, 2)
	l.idle()

	l = newListener(t)
	l.live(end - 1)
	l.says(1)
	l.nacks(l.after(0), end, 1)
	l.Suppress([]syncwire.Range{{From: end - 5, To: 0}}, l.now)
	l.repeat(1, end, 0)
	l.want(end-1, 1, end, 0)
	l.idle()
}

// TestStreamJumps has the sender's number jump by any distance.
func TestStreamJumps(t *testing.T) {
	for _, far := range []syncwire.Seq{MaxMissing, MaxMissing + 1, 1 << 20, 1<<31 - 1, 1 << 31} {
		for name, jump := range map[string]func(*listener){
			"datagram": func(l *listener) { l.live(far); l.after(ReorderFor) },
			"message":  func(l *listener) { l.says(far - 1); l.after(0) },
		} {
			l := newListener(t)
			l.live(0)
			jump(l)
			gap := uint64(far - 1)
			if uint64(len(l.missing))+l.lost != gap || len(l.missing) > MaxMissing || cap(l.missing) > 4*MaxMissing {
				t.Errorf("%s of %d: %d missing, %d lost", name, far, len(l.missing), l.lost)
			}
			if far > MaxMissing+1 && l.missing[len(l.missing)-1].seq != far-1 {
				t.Errorf("%s of %d: it waits for other than the newest", name, far)
			}
			next := far
			if name == "datagram" {
				next++
			}
			l.got = nil
			l.live(next)
			l.want(next)
			// A second gap: MaxMissing datagrams are missing already.
			l.live(next + 11)
			l.after(ReorderFor)
			if len(l.missing) > MaxMissing || uint64(len(l.missing))+l.lost != gap+10 || l.missing[len(l.missing)-1].seq != next+10 {
				t.Errorf("%s of %d and 10: %d missing, %d lost", name, far, len(l.missing), l.lost)
			}
		}
	}
	// Back by more than half of all numbers is forth.
	l := newListener(t)
	l.live(5, 4)
	l.says(4)
	l.want(5)
	l.idle()
}

// TestStreamAsksInPieces misses every other datagram.
func TestStreamAsksInPieces(t *testing.T) {
	l := newListener(t)
	const n = 3 * syncwire.MaxRanges
	for i := range syncwire.Seq(n) {
		l.live(1 + 2*i)
		l.says(1 + 2*i)
	}
	asked := make(map[uint32]int)
	for range 20 {
		ask := l.after(ReorderFor)
		if len(ask) > syncwire.MaxRanges {
			t.Fatalf("%d ranges", len(ask))
		}
		for _, r := range ask {
			for i := r.From; i <= r.To; i++ {
				asked[i]++
			}
		}
	}
	if len(asked) != n-1 {
		t.Errorf("%d were asked for, %d are missing", len(asked), n-1)
	}
}

func TestRanges(t *testing.T) {
	var got []syncwire.Range
	for _, n := range []uint32{1<<32 - 2, 1<<32 - 1, 0, 1, 3, 4, 9} {
		got = AppendRange(got, n)
	}
	want := []syncwire.Range{{From: 1<<32 - 2, To: 1}, {From: 3, To: 4}, {From: 9, To: 9}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for n, in := range map[uint32]bool{1<<32 - 3: false, 1<<32 - 2: true, 0: true, 1: true, 2: false, 3: true, 4: true, 5: false, 9: true, 10: false} {
		if inRanges(want, n) != in {
			t.Errorf("%d: %v", n, !in)
		}
	}
}
