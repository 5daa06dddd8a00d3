package worker

import (
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/worker/workertest"
)

// TestFlood has an upstream joold send its table, in no order, and newer news of some
// of its sessions come from everywhere meanwhile. The table goes to the module oldest
// first, and moves nothing back.
func TestFlood(t *testing.T) {
	t.Parallel()
	const n, perDatagram = 700, 35
	a, b := hosts(t)
	upstream := openPlain(t, a, group6, port, "sync")
	h := newStandby(t, jool4115, b)
	h.start().alone()
	send := func(records ...joolnl.Record) {
		for chunk := range slices.Chunk(records, perDatagram) {
			var list []byte
			for i := range chunk {
				var err error
				if list, err = joolnl.Packed40.AppendRecord(list, &chunk[i], workertest.Pool6); err != nil {
					t.Fatal(err)
				}
			}
			upstream.send(list)
		}
	}
	var table []joolnl.Record
	for i := range n {
		table = append(table, sessionAt(i, 6*time.Second+time.Duration(i*7919%30_000)*time.Millisecond))
	}
	send(table...)
	eventually(t, "it is held", func() (held bool) {
		h.onThread(func(p *pumps) { held = len(p.flood.records) == n })
		return held
	})
	newer := []joolnl.Record{sessionAt(3, 0), sessionAt(4, 0)}
	send(newer[0])
	h.report(newer[1])
	eventually(t, "all of it is there", func() bool { return h.instance.Sessions.Len() == n })

	for _, want := range newer {
		if got, _ := h.instance.Sessions.Get(want.Key()); idle(&got, ttl) > 5000 {
			t.Errorf("what had just been reported is idle for %d ms", idle(&got, ttl))
		}
	}
	last := int64(1 << 62)
	given := 0
	for _, r := range h.instance.Requests() {
		if r.Op != joolnl.JooldAdd {
			continue
		}
		for e := r.Entries; len(e) > 0; e = e[joolnl.Packed40.EntryLen():] {
			record := joolnl.Packed40.Record(e)
			if record.Key() == newer[0].Key() {
				continue
			}
			now := idle(&record, ttl)
			if now > last+1000 { // each is as old as it is when it is given
				t.Fatalf("idle for %d ms behind one of %d ms", now, last)
			}
			last = now
			given++
		}
	}
	if given != n-len(newer) {
		t.Errorf("%d of the table's sessions were given to the module, want %d", given, n-len(newer))
	}
}

// TestFloodNote: what goes on while a table is stored is noted too.
func TestFloodNote(t *testing.T) {
	r := sessionAt(3, 0)
	entries, err := joolnl.Packed40.AppendRecord(nil, &r, workertest.Pool6)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flood flood
		noted bool
	}{
		"nothing is held":   {flood{}, false},
		"a table is held":   {flood{records: make([]joolnl.Record, 1), fresher: map[joolnl.Key]struct{}{}}, true},
		"a table is stored": {flood{now: &injection{}, fresher: map[joolnl.Key]struct{}{}}, true},
	} {
		c.flood.note(entries, joolnl.Packed40)
		if _, noted := c.flood.fresher[r.Key()]; noted != c.noted {
			t.Errorf("%s: noted: %v", name, noted)
		}
	}
}
