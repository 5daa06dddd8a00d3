package worker

import (
	"encoding/hex"
	"os"
	"runtime"
	"strings"
	"testing"

	"joolctl/joolnl"
)

// capturedDatagrams are those that a C joold of a version sent.
func capturedDatagrams(t *testing.T, v joolnl.Version) [][]byte {
	t.Helper()
	text, err := os.ReadFile("../joolnl/testdata/jool-" + v.String() + "/datagrams.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

// mutations calls fn with b with each of its bits turned, cut after each of its
// bytes, and with each of its bytes once more at the end.
func mutations(b []byte, fn func([]byte)) {
	work := make([]byte, len(b)+1)
	for i := range 8 * len(b) {
		copy(work, b)
		work[i/8] ^= 1 << (i % 8)
		fn(work[:len(b)])
	}
	for n := range b {
		fn(b[:n])
		copy(work, b)
		work[len(b)] = b[n]
		fn(work)
	}
}

// TestMutatedCaptures sends every mutation of what C joold has sent: no session
// moves but those that are named, and each datagram is in a counter.
func TestMutatedCaptures(t *testing.T) {
	a, b := hosts(t)
	for _, v := range []joolnl.Version{jool419, 0x04010d00, jool4115} {
		t.Run(v.String(), func(t *testing.T) {
			sender := openPlain(t, a, group6, port, "sync")
			before := sessionsAt(0, 1000)
			h := newStandby(t, v, b, before...)
			h.start()
			named := make(map[joolnl.Key]bool)
			name := func(d []byte) {
				for _, f := range []joolnl.Format{joolnl.Nested, joolnl.Packed52, joolnl.Packed40} {
					for rest := d; len(rest) >= f.EntryLen(); rest = rest[f.EntryLen():] {
						if f.Check(rest) == nil {
							r := f.Record(rest)
							named[r.Key()] = true
						}
					}
				}
			}
			var sent uint64
			send := func(d []byte) {
				name(d)
				sender.send(d)
				if sent++; sent%256 == 0 { // never more than its buffer takes
					h.counted(sent)
				}
			}
			var heap, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&heap)
			captured := capturedDatagrams(t, v)
			whole := 0
			for _, d := range captured {
				if len(d) > whole {
					whole = len(d)
				}
				mutations(d, send)
			}
			h.counted(sent)
			if len(captured) == 0 || whole < 320 {
				t.Fatal("the captures hold no sessions")
			}
			t.Logf("%d datagrams that name %d sessions, losses %+v", sent, len(named), h.counters.Losses())
			unnamed := 0
			for _, r := range before {
				if named[r.Key()] {
					continue
				}
				if got, ok := h.instance.Sessions.Get(r.Key()); !ok || !got.Same(&r) {
					t.Errorf("%v was not named, and is %v now", r, got)
				}
				unnamed++
			}
			if unnamed < len(before)/2 {
				t.Errorf("only %d sessions are not named", unnamed)
			}
			known := make(map[joolnl.Key]bool)
			for _, r := range before {
				known[r.Key()] = true
			}
			for _, r := range h.instance.Sessions.Records() {
				if !named[r.Key()] && !known[r.Key()] {
					t.Errorf("nobody named %v", r)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			more := int64(after.HeapAlloc) - int64(heap.HeapAlloc)
			for _, r := range h.instance.Requests() {
				more -= int64(cap(r.Entries)) // the kernel here forgets nothing
			}
			if more > 32<<20 {
				t.Errorf("%d MB more are used", more>>20)
			}
		})
	}
}

// counted waits until so many datagrams are in the counters.
func (h *host) counted(n uint64) {
	h.t.Helper()
	var got uint64
	eventually(h.t, "every datagram is counted", func() bool {
		l := h.counters.Losses()
		got = h.counters.Stats().NetRcvdPackets + l.Malformed + l.NotUnderstood
		return got >= n
	})
}
