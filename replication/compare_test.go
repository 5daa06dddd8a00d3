package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
	"joolctl/syncwire"
)

var (
	ours   = syncwire.Settings{TTLs: [4]uint32{7_200_000, 240_000, 300_000, 60_000}}
	theirs = syncwire.Settings{TTLs: [4]uint32{3_600_000, 120_000, 200_000, 30_000}}
)

// idleFor is session n, in a state, that has had no packet for so many ms.
func idleFor(n int, s syncwire.Settings, state session.State, timer session.Timer, ms int64) session.Record {
	r := with(tcpRecord(n, 0), state, timer)
	r.SetExpires(uint32(s.TTL(uint8(session.TCP), uint8(timer)).Milliseconds() - ms))
	return r
}

func est(n int, s syncwire.Settings, ms int64) session.Record {
	return idleFor(n, s, session.Established, session.TimerEstablished, ms)
}

func closing(n int, s syncwire.Settings, ms int64) session.Record {
	return idleFor(n, s, session.Trans, session.TimerTransitory, ms)
}

func opening(n int, s syncwire.Settings, ms int64) session.Record {
	return idleFor(n, s, session.V6Init, session.TimerTransitory, ms)
}

func halfClosed(n int, s syncwire.Settings, ms int64) session.Record {
	return idleFor(n, s, session.V6FinRcv, session.TimerEstablished, ms)
}

func masked(r session.Record, mask byte) session.Record {
	r[19] = mask
	return r
}

func hexes(records []session.Record) string { return fmt.Sprintf("%x", records) }

func TestCompare(t *testing.T) {
	const tolerance = 2000
	list := func(r ...session.Record) []session.Record { return r }
	type result struct{ same, fresh int }
	for _, c := range []struct {
		name         string
		their, our   []session.Record
		inject, give []session.Record
		want         result
	}{
		{name: "both empty"},
		{name: "only theirs", their: list(est(2, ours, 5), est(1, ours, 5)), inject: list(est(1, ours, 5), est(2, ours, 5)), want: result{fresh: 2}},
		{name: "only ours", our: list(est(2, ours, 5), est(1, ours, 5)), give: list(est(1, ours, 5), est(2, ours, 5))},
		{name: "equal", their: list(est(1, ours, 5)), our: list(est(1, ours, 5)), want: result{same: 1}},
		{name: "theirs younger", their: list(est(1, ours, 5)), our: list(est(1, ours, 2006)), inject: list(est(1, ours, 5))},
		{name: "ours younger", their: list(est(1, ours, 2006)), our: list(est(1, ours, 5)), give: list(est(1, ours, 5))},
		{name: "theirs younger, within the tolerance", their: list(est(1, ours, 5)), our: list(est(1, ours, 2005)), want: result{same: 1}},
		{name: "ours younger, within the tolerance", their: list(est(1, ours, 2005)), our: list(est(1, ours, 5)), want: result{same: 1}},
		{name: "a stale established one has more time left than a closing one", their: list(est(1, ours, 600_000)), our: list(closing(1, ours, 100_000)), give: list(closing(1, ours, 100_000))},
		{name: "theirs closing", their: list(closing(1, ours, 100_000)), our: list(est(1, ours, 600_000)), inject: list(closing(1, ours, 100_000))},
		{name: "theirs established, a tie", their: list(est(1, ours, 1005)), our: list(opening(1, ours, 5)), inject: list(est(1, ours, 5))},
		{name: "ours established, a tie", their: list(opening(1, ours, 5)), our: list(est(1, ours, 1005)), give: list(est(1, ours, 5))},
		{name: "theirs closing, a tie", their: list(closing(1, ours, 5)), our: list(est(1, ours, 5)), inject: list(closing(1, ours, 5))},
		{name: "theirs closing, ours established again", their: list(closing(1, ours, 1006)), our: list(est(1, ours, 5)), give: list(est(1, ours, 5))},
		{name: "ours closing, theirs established again", their: list(est(1, ours, 5)), our: list(closing(1, ours, 1006)), inject: list(est(1, ours, 5))},
		{name: "theirs half closed, which renews nothing", their: list(halfClosed(1, ours, 1006)), our: list(est(1, ours, 5)), inject: list(halfClosed(1, ours, 5))},
		{name: "ours half closed", their: list(est(1, ours, 5)), our: list(halfClosed(1, ours, 1006)), give: list(halfClosed(1, ours, 5))},
		{name: "theirs established, much older", their: list(est(1, ours, 9000)), our: list(opening(1, ours, 5)), give: list(opening(1, ours, 5))},
		{name: "moved", their: list(masked(est(1, ours, 5), 7)), our: list(est(1, ours, 9000)), inject: list(masked(est(1, ours, 5), 7)), want: result{fresh: 1}},
		{name: "moved, ours younger", their: list(masked(est(1, ours, 9000), 7)), our: list(est(1, ours, 5)), give: list(est(1, ours, 5))},
		{name: "moved, a tie", their: list(masked(est(1, ours, 5), 7)), our: list(est(1, ours, 5)), give: list(est(1, ours, 5))},
		{name: "each has another FIN", their: list(halfClosed(1, ours, 5)), our: list(with(halfClosed(1, ours, 5), session.V4FinRcv, session.TimerEstablished)), inject: list(halfClosed(1, ours, 5))},
		{name: "moved, a tie, the higher one established", their: list(masked(est(1, ours, 5), 7)), our: list(opening(1, ours, 5)), give: list(opening(1, ours, 5))},
		{name: "moved, a tie, theirs lower", their: list(est(1, ours, 5)), our: list(masked(est(1, ours, 5), 7)), inject: list(est(1, ours, 5)), want: result{fresh: 1}},
		{name: "reported after the base", their: list(est(1, ours, -3000)), our: list(est(1, ours, -500)), inject: list(est(1, ours, -3000))},
		{name: "theirs twice", their: list(masked(est(1, ours, 9000), 7), est(1, ours, 5), masked(est(1, ours, 8000), 8)), our: list(est(1, ours, 5)), want: result{same: 1}},
		{name: "ours twice", their: list(est(1, ours, 5)), our: list(masked(est(1, ours, 9000), 7), est(1, ours, 5)), want: result{same: 1}},
		{name: "one of each", their: list(est(1, ours, 5), est(3, ours, 5), est(4, ours, 9000), est(5, ours, 7)), our: list(est(2, ours, 5), est(3, ours, 9000), est(4, ours, 5), est(5, ours, 9)),
			inject: list(est(1, ours, 5), est(3, ours, 5)), give: list(est(2, ours, 5), est(4, ours, 5)), want: result{same: 1, fresh: 1}},
	} {
		got := Compare(Unique(slices.Clone(c.their), ours), Unique(slices.Clone(c.our), ours), ours, ours, tolerance)
		if hexes(got.Inject) != hexes(c.inject) || hexes(got.Give) != hexes(c.give) || (result{got.Same, got.Fresh}) != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	// Idle times are each by its owner's settings.
	got := Compare(list(est(1, theirs, 50_000), est(2, theirs, 900), closing(3, theirs, 10)), list(est(1, ours, 50_500), est(2, ours, 9000), closing(3, ours, 9000)), theirs, ours, tolerance)
	if got.Same != 1 || hexes(got.Inject) != hexes(list(est(2, theirs, 900), closing(3, theirs, 10))) || len(got.Give) > 0 {
		t.Errorf("other settings: %+v", got)
	}
}

func TestRebase(t *testing.T) {
	in := []session.Record{
		est(1, ours, 1000), est(2, ours, 3_599_999), est(3, ours, 3_600_000), est(4, ours, 7_000_000),
		closing(5, ours, 1000), closing(6, ours, 120_001), est(7, ours, -1000),
		idleFor(8, ours, session.V4Init, session.TimerSYN4, 1000),
	}
	want := []session.Record{est(1, theirs, 1000), est(2, theirs, 3_599_999), closing(5, theirs, 1000), est(7, theirs, -1000), in[7]}
	if got := Rebase(slices.Clone(in), ours, theirs); hexes(got) != hexes(want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
	if got := Rebase(slices.Clone(in), ours, ours); hexes(got) != hexes(in) {
		t.Errorf("to the same settings\n got %x\nwant %x", got, in)
	}
}

func TestOldestFirst(t *testing.T) {
	want := []session.Record{est(4, ours, 7_000_000), closing(3, ours, 9000), est(2, ours, 8000), closing(5, ours, 10), est(1, ours, -5)}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		got := slices.Clone(want)
		rnd.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		if OldestFirst(got, ours); hexes(got) != hexes(want) {
			t.Errorf("\n got %x\nwant %x", got, want)
		}
	}
}

func TestAbsent(t *testing.T) {
	want := []session.Record{est(5, ours, 1), est(1, ours, 1), est(3, ours, 1), est(2, ours, 1), est(2, ours, 1)}
	have := []session.Record{est(3, ours, 900), masked(est(1, ours, 1), 9), est(4, ours, 1), closing(2, ours, 3)}
	if got := Absent(want, have); hexes(got) != hexes([]session.Record{est(1, ours, 1), est(5, ours, 1)}) {
		t.Errorf("%x", got)
	}
	if got := Absent(want[:2], nil); len(got) != 2 {
		t.Errorf("%x", got)
	}
	if got := Absent(nil, have); len(got) != 0 {
		t.Errorf("%x", got)
	}
}

// randomTable has sessions of a hundred, each known or not and idle for a random
// time.
func randomTable(rnd *rand.Rand, s syncwire.Settings) []session.Record {
	var table []session.Record
	for n := range 100 {
		if rnd.IntN(3) == 0 {
			continue
		}
		ms := rnd.Int64N(60_000) - 1000
		r := est(n, s, ms)
		switch rnd.IntN(5) {
		case 0:
			r = closing(n, s, ms)
		case 1:
			r = opening(n, s, ms)
		case 2:
			r = halfClosed(n, s, ms)
		}
		if rnd.IntN(10) == 0 {
			r = masked(r, byte(rnd.IntN(3)))
		}
		table = append(table, r)
	}
	rnd.Shuffle(len(table), func(i, j int) { table[i], table[j] = table[j], table[i] })
	return table
}

// overwrite returns the table after a module has stored the given sessions in it.
func overwrite(table, with []session.Record) map[session.Key]session.Record {
	m := make(map[session.Key]session.Record)
	for _, r := range append(slices.Clone(table), with...) {
		m[r.Key()] = r
	}
	return m
}

// TestExchange has an asker inject what it found, and give the rest back.
func TestExchange(t *testing.T) {
	const tolerance = 2000
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		their := ours
		if seed%2 == 1 {
			their = theirs
		}
		asker, sender := randomTable(rnd, ours), randomTable(rnd, their)
		first := Compare(Unique(slices.Clone(sender), their), Unique(slices.Clone(asker), ours), their, ours, tolerance)
		if first.Same+len(first.Inject) > len(sender) || first.Same+len(first.Give) > len(asker) || first.Fresh > len(first.Inject) {
			t.Fatalf("seed %d: %+v", seed, first)
		}
		given := slices.Clone(first.Give)
		askers := overwrite(asker, Rebase(first.Inject, their, ours))
		second := Compare(Unique(given, ours), Unique(slices.Clone(sender), their), ours, their, tolerance)
		if len(second.Inject) != len(first.Give) || second.Same > 0 {
			t.Fatalf("seed %d: of %d given back, %d are new there", seed, len(first.Give), len(second.Inject))
		}
		senders := overwrite(sender, Rebase(second.Inject, ours, their))

		if len(askers) != len(senders) {
			t.Fatalf("seed %d: %d and %d sessions", seed, len(askers), len(senders))
		}
		for key, a := range askers {
			b, there := senders[key]
			if apart := Idle(&a, ours) - Idle(&b, their); !there || apart > tolerance || apart < -tolerance || a.State() != b.State() || a.Src4() != b.Src4() {
				t.Errorf("seed %d: %x and %x, %d ms apart", seed, a, b, apart)
			}
		}
		for _, side := range []struct {
			before   []session.Record
			after    map[session.Key]session.Record
			settings syncwire.Settings
		}{{asker, askers, ours}, {sender, senders, their}} {
			for _, r := range side.before {
				now, there := side.after[r.Key()]
				least := Idle(&r, side.settings)
				if now.Src4() != r.Src4() {
					least += tolerance // another session has its place
				}
				if !there || Idle(&now, side.settings) > least {
					t.Errorf("seed %d: %x moved back to %x", seed, r, now)
				}
			}
		}
		// Once more there is nothing to do.
		again := Compare(Unique(values(senders), their), Unique(values(askers), ours), their, ours, tolerance)
		if len(again.Inject)+len(again.Give) > 0 {
			t.Errorf("seed %d: %d and %d differ still", seed, len(again.Inject), len(again.Give))
		}
	}
}

func values(m map[session.Key]session.Record) []session.Record {
	list := make([]session.Record, 0, len(m))
	for _, r := range m {
		list = append(list, r)
	}
	return list
}

// TestCompareKeys: two records stand at the same place if they have the same Key, and only then.
func TestCompareKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	record := func() (rec session.Record) { // few different ones
		for i := range rec {
			rec[i] = byte(r.IntN(2))
		}
		return kind(rec, session.Proto(r.IntN(3)), 0, 0, 0)
	}
	same := 0
	for range 100_000 {
		a, b := record(), record()
		if r.IntN(2) == 0 { // else they are hardly ever the same
			b = a
			b[r.IntN(len(b))] ^= 1
		}
		c := compareKeys(&a, &b)
		if equal := a.Key() == b.Key(); equal != (c == 0) || c != -compareKeys(&b, &a) {
			t.Fatalf("%x and %x: %d, and %d the other way round", a, b, c, compareKeys(&b, &a))
		} else if equal {
			same++
		}
	}
	if same == 0 {
		t.Error("no two were the same")
	}
}

// TestOldestFirstOfMany sorts many, some of them of one age.
func TestOldestFirstOfMany(t *testing.T) {
	records := sessionsAt(0, 2000)
	for i := range records {
		records[i] = sessionAt(i, time.Duration(i*7919%500)*time.Millisecond)
	}
	sorted := slices.Clone(records)
	OldestFirst(sorted, ttl)
	if !slices.IsSortedFunc(sorted, func(a, b session.Record) int { return int(Idle(&b, ttl) - Idle(&a, ttl)) }) {
		t.Error("they are not sorted by age")
	}
	byKey(records)
	byKey(sorted)
	if diff := cmp.Diff(records, sorted); diff != "" {
		t.Errorf("they are not the same as before (-want +got):\n%s", diff)
	}
}
