package worker

import (
	"encoding/hex"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/internal/fuzztest"
	"joolctl/joolnl"
	"joolctl/session"
	"joolctl/syncwire"
)

// capturedDatagrams returns datagrams that a C joold of a version has sent.
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

// kept returns the inputs in the fuzzing corpus of a target in syncwire.
func kept(t *testing.T, target string) [][]byte {
	t.Helper()
	return fuzztest.Kept(t, "../syncwire/testdata/fuzz/"+target+"/*", 10)
}

// mutations calls fn with variants of b: with each single bit inverted, with each possible truncation, and with a copy of each
// of its bytes appended.
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

// processor is the CPU time that the process may use for each mutated datagram. It includes that of the test and of the
// simulated kernel, and allows for the race detector.
const processor = 500 * time.Microsecond

// TestMutatedCaptures sends every mutation of datagrams that C joold has sent.
func TestMutatedCaptures(t *testing.T) {
	bed := newTestbed(t, 2)
	for _, v := range []joolnl.Version{jool419, 0x04010d00, jool4115} {
		bed.run(v.String(), func(t *testing.T, bed *testbed) {
			before := sessionsAt(0, 1000)
			h := bed.standby(1, before...).of(v)
			captured := capturedDatagrams(t, v)
			if len(captured) == 0 {
				t.Fatal("the capture has no datagrams")
			}
			takesMutations(t, h.start(), bed.peer(0), captured, before)
		})
	}
}

// TestMutatedControls sends every mutation of one control message of each kind.
func TestMutatedControls(t *testing.T) {
	bed := newTestbed(t, 2)
	before := sessionsAt(0, 1000)
	h := bed.standby(1, before...)
	h.start()
	record := sessionAt(700, 0)
	self := h.running.host.Knowledge.Self()
	var messages [][]byte
	for _, body := range []syncwire.Body{
		&syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, Sessions: 1000, Module: uint32(jool4115), Settings: ttl, Software: "joolctl", Generation: 2, NextIn: 1,
			Vector: []syncwire.Component{{Origin: 5, Known: true, Complete: syncwire.Position{Generation: 1, Seq: 9}, Highest: syncwire.Position{Generation: 2, Seq: 12}, Age: 3}}},
		&syncwire.Solicit{To: self},
		&syncwire.Nack{To: self, Ranges: []syncwire.Range{{From: 3, To: 5}, {From: 9, To: 9}}},
		&syncwire.Gone{To: self, Ranges: []syncwire.Range{{From: 3, To: 5}}},
		&syncwire.Begin{FullSync: 7, Audience: []syncwire.ID{self, 9}, Sessions: 3, Settings: ttl},
		&syncwire.Bulk{FullSync: 7, Index: 0, Records: slices.Repeat(record[:], 3)},
		&syncwire.End{FullSync: 7, Sessions: 3, Bulks: 1},
	} {
		messages = append(messages, syncwire.Message{Sender: 1000, Last: 5, Body: body}.Append(nil))
	}
	takesMutations(t, h, bed.peer(0), messages, before)
}

// takesMutations sends every mutation of some datagrams to a worker. Only sessions that occur in a valid mutation may change,
// a counter must count each datagram that is not a valid control message, and memory and CPU time must stay within bounds.
func takesMutations(t *testing.T, h *host, sender *peer, datagrams [][]byte, before []session.Record) {
	t.Helper()
	named := make(map[session.Key]bool)
	name := func(d []byte) (control bool) {
		if m, err := syncwire.Parse(d); err == nil {
			if bulk, ok := m.Body.(*syncwire.Bulk); ok {
				for records := bulk.Records; len(records) > 0; records = records[syncwire.RecordLen:] {
					r := session.Record(records)
					named[r.Key()] = true
				}
			}
			return true
		}
		for _, f := range []session.Format{session.Nested, session.Packed52, session.Packed40} {
			for rest := d; len(rest) >= f.EntryLen(); rest = rest[f.EntryLen():] {
				if f.Check(rest) == nil {
					r := f.Record(rest)
					named[r.Key()] = true
				}
			}
		}
		return false
	}
	var sent, counted uint64
	send := func(d []byte) {
		if !name(d) {
			counted++
		}
		sender.send(d)
		if sent++; sent%128 == 0 { // the worker's receive buffer must not overrun
			h.counted(counted)
			h.blocked(func() {})
		}
	}
	var heap, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	busy := processorTime(t)
	for _, d := range datagrams {
		mutations(d, send)
	}
	h.counted(counted)
	took := (processorTime(t) - busy) / time.Duration(sent)
	t.Logf("%d datagrams, %v of processor time each, that name %d sessions, losses %+v", sent, took, len(named), h.counters.Losses())
	if took > processor {
		t.Errorf("%v of processor time for each datagram", took)
	}
	onlyNamedChanged(t, h, named, before)
	runtime.GC()
	runtime.ReadMemStats(&after)
	more := int64(after.HeapAlloc) - int64(heap.HeapAlloc)
	for _, r := range h.instance.Requests() {
		more -= int64(cap(r.Entries)) // the simulated kernel keeps all requests
	}
	if more > 32<<20 {
		t.Errorf("%d MB more are used", more>>20)
	}
}

// onlyNamedChanged checks that only sessions which datagrams named are new or have changed.
func onlyNamedChanged(t *testing.T, h *host, named map[session.Key]bool, before []session.Record) {
	t.Helper()
	unnamed := 0
	for _, r := range before {
		if named[r.Key()] {
			continue
		}
		if got, ok := h.instance.Sessions.Get(r.Key()); !ok || !got.Same(&r) {
			t.Errorf("no datagram had %v, but it has changed to %v", r, got)
		}
		unnamed++
	}
	if unnamed < len(before)/2 {
		t.Errorf("only %d sessions occur in no datagram", unnamed)
	}
	known := make(map[session.Key]bool)
	for _, r := range before {
		known[r.Key()] = true
	}
	for _, r := range h.instance.Sessions.Records() {
		if !named[r.Key()] && !known[r.Key()] {
			t.Errorf("no datagram had the new session %v", r)
		}
	}
}

// processorTime returns the CPU time that the process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counted waits until the worker has counted n datagrams.
func (h *host) counted(n uint64) {
	h.t.Helper()
	var got uint64
	eventually(h.t, "every datagram is counted", func() bool {
		l := h.counters.Losses()
		got = h.counters.Stats().NetRcvdPackets + l.Malformed + l.NotUnderstood
		return got >= n
	})
}
