package replication

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
	"joolctl/syncwire"
)

// bulk returns the records of BULK index of a table.
func bulk(table []session.Record, index uint32) (b []byte) {
	return bulkOf(table, index, syncwire.MaxBulk)
}

// bulkOf is bulk for BULKs with so many sessions.
func bulkOf(table []session.Record, index uint32, perBulk int) (b []byte) {
	at := int(index) * perBulk
	for _, r := range table[at:min(at+perBulk, len(table))] {
		b = append(b, r[:]...)
	}
	return b
}

// TestAssembly adds the BULKs of tables in random order, some of them twice.
func TestAssembly(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for i, n := range []uint32{0, 1, syncwire.MaxBulk, syncwire.MaxBulk + 1, 1000, 70_000, 33, 34, 1000, 1000} {
		per := syncwire.MaxBulk
		if i >= 6 {
			per = []int{33, 33, 33, 1}[i-6]
		}
		table := sessionsAt(0, int(n))
		bulks := uint32((int(n) + per - 1) / per)
		a := NewAssembly(n, per)
		var got []session.Record
		for _, i := range rnd.Perm(int(bulks)) {
			index := uint32(i)
			for _, want := range []bool{true, false} {
				if added, err := a.Add(index, bulkOf(table, index, per), 0); added != want || err != nil {
					t.Fatalf("%d sessions, BULK %d: added %v, %v", n, index, added, err)
				}
			}
			if rnd.IntN(10) == 0 {
				got = append(got, a.Take()...)
			}
		}
		if a.Complete() {
			t.Errorf("%d sessions: complete without an END", n)
		}
		sound := a.End(n, bulks)
		if got = append(got, a.Take()...); !sound || !a.Complete() || !slices.Equal(got, table) || a.Ready() != 0 {
			t.Errorf("%d sessions: complete %v, %d records", n, a.Complete(), len(got))
		}
	}
}

func TestAssemblyRefuses(t *testing.T) {
	table := sessionsAt(0, 3*syncwire.MaxBulk-1)
	for _, c := range []struct {
		name    string
		before  []byte // BULK 3, which has arrived; nil: it has not
		index   uint32
		records []byte
	}{
		{"short, and not the last", nil, 1, bulk(table, 2)},
		{"short, although there are more", bulk(table, 0), 2, bulk(table, 2)},
	} {
		a := NewAssembly(uint32(len(table)), syncwire.MaxBulk)
		if c.before != nil {
			if added, err := a.Add(3, c.before, 0); !added || err != nil {
				t.Errorf("%s: BULK 3: added %v, %v", c.name, added, err)
			}
		}
		if added, err := a.Add(c.index, c.records, 0); added || err != nil {
			t.Errorf("%s: added %v, %v", c.name, added, err)
		}
	}
	last := NewAssembly(uint32(len(table)), syncwire.MaxBulk)
	if added, err := last.Add(2, bulk(table, 2), 0); !added || err != nil {
		t.Errorf("the last one: added %v, %v", added, err)
	}
	if added, err := last.Add(3, bulk(table, 0), 0); added || err != nil {
		t.Errorf("one after the last: added %v, %v", added, err)
	}
	a := NewAssembly(uint32(len(table)), syncwire.MaxBulk)
	bad := bulk(table, 0)
	bad[34] = 0xff
	if added, err := a.Add(0, bad, 0); added || !errors.Is(err, session.ErrReserved) {
		t.Errorf("a record with reserved bits: added %v, %v", added, err)
	}
	huge := NewAssembly(1<<22, syncwire.MaxBulk)
	if added, _ := huge.Add(maxLookahead+1, bulk(table, 0), 0); added {
		t.Error("a BULK far ahead was added")
	}
	if added, _ := huge.Add(maxLookahead, bulk(table, 0), 0); !added {
		t.Error("a BULK within the lookahead was not added")
	}
}

// TestAssemblyNumbers changes the announced number of sessions.
func TestAssemblyNumbers(t *testing.T) {
	table := sessionsAt(0, 100)
	a := NewAssembly(50, syncwire.MaxBulk)
	if !a.Expect(100) {
		t.Error("a new number before the first BULK was refused")
	}
	if _, err := a.Add(0, bulk(table, 0), 0); err != nil || a.Expect(50) {
		t.Errorf("a new number after the first BULK was accepted, %v", err)
	}
	bulks := uint32((100 + syncwire.MaxBulk - 1) / syncwire.MaxBulk)
	if !a.End(100, bulks) || a.got != 1 {
		t.Errorf("END of the expected number: %d BULKs are left", a.got)
	}
	if a.End(100, bulks+1) {
		t.Error("an END with too many BULKs was accepted")
	}
	if a.End(0, 0) {
		t.Error("an END with fewer BULKs than have arrived was accepted")
	}
	b := NewAssembly(50, syncwire.MaxBulk) // too few, and the right number is lost
	for i := range uint32(2) {
		if added, err := b.Add(i, bulk(table, i), 0); added != (i == 0 || i == 1) || err != nil {
			t.Errorf("BULK %d: added %v, %v", i, added, err)
		}
	}
	if !b.End(100, bulks) || b.Complete() {
		t.Error("END of a higher number was refused, or completes the table")
	}
	if added, _ := b.Add(2, bulk(table, 2), 0); !added || !b.Complete() || !slices.Equal(b.Take(), table) {
		t.Error("the last BULK does not complete the table")
	}
}

func TestAssemblyMissing(t *testing.T) {
	table := sessionsAt(0, 10*syncwire.MaxBulk)
	a := NewAssembly(uint32(len(table)), syncwire.MaxBulk)
	missing := func(want ...syncwire.Range) {
		t.Helper()
		if diff := cmp.Diff(want, a.Missing()); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
	}
	missing(syncwire.Range{From: 0, To: 9})
	for _, i := range []uint32{0, 3, 4, 9} {
		if _, err := a.Add(i, bulk(table, i), 0); err != nil {
			t.Fatal(err)
		}
	}
	missing(syncwire.Range{From: 1, To: 2}, syncwire.Range{From: 5, To: 8})
	for i := range uint32(10) {
		if _, err := a.Add(i, bulk(table, i), 0); err != nil {
			t.Fatal(err)
		}
	}
	missing(syncwire.Range{From: 9, To: 9}) // END is
	a = NewAssembly(0, syncwire.MaxBulk)
	missing(syncwire.Range{})
}

// TestAssemblyOfOtherLength adds BULKs with as many sessions as another sender has in each of its BULKs.
func TestAssemblyOfOtherLength(t *testing.T) {
	table := sessionsAt(0, 100)
	for per, others := range map[int][]int{33: {39, 34, 32}, syncwire.MaxBulk: {33}} {
		a := NewAssembly(100, per)
		for _, other := range others {
			for index := range uint32(2) {
				if added, err := a.Add(index, bulkOf(table, index, other), 0); added || err != nil {
					t.Errorf("BULK %d of %d sessions where each has %d: %v, %v", index, other, per, added, err)
				}
			}
		}
	}
}

// TestAssemblyTimes adds a BULK that arrives 1.5 s after the base of the table. Its sessions have more time left at the base; the greatest time left does not
// overflow.
func TestAssemblyTimes(t *testing.T) {
	table := []session.Record{tcpRecord(1, 5000), tcpRecord(2, 1<<32-1)}
	a := NewAssembly(2, syncwire.MaxBulk)
	if _, err := a.Add(0, bulk(table, 0), 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got := a.Take(); got[0].Expires() != 6500 || got[1].Expires() != 1<<32-1 {
		t.Errorf("%d and %d ms left", got[0].Expires(), got[1].Expires())
	}
	if a.got != 1 || !a.Taken() {
		t.Error("taking the records changes the numbers")
	}
}

// TestTakeKeepsNoRoom takes pieces and keeps them, like an Injection. The pieces together must use no more memory than
// their sessions, and the Assembly no more than one piece.
func TestTakeKeepsNoRoom(t *testing.T) {
	const bulks = 5000
	var data []byte
	for _, r := range recordsAt(syncwire.MaxBulk) {
		data = append(data, r[:]...)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	a := NewAssembly(bulks*syncwire.MaxBulk, syncwire.MaxBulk)
	var pieces [][]session.Record
	for i := range uint32(bulks) {
		if added, err := a.Add(i, data, 0); !added || err != nil {
			t.Fatalf("BULK %d: %v, %v", i, added, err)
		}
		if a.Ready() >= LeastPiece {
			pieces = append(pieces, a.Take())
		}
	}
	used := heap() - before
	if most := int64((bulks*syncwire.MaxBulk + 2*LeastPiece) * syncwire.RecordLen); used > most {
		t.Errorf("%d pieces take %d bytes, want %d at most", len(pieces), used, most)
	}
	runtime.KeepAlive(pieces)
	runtime.KeepAlive(&a)
}
