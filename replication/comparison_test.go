package replication

import (
	"math/rand/v2"
	"slices"
	"testing"

	"joolctl/session"
)

// TestPieces compares a table piece by piece, with a random own table: the result is that of comparing it at once.
func TestPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		var their, own []session.Record
		for n := range 60 {
			state := []session.State{session.V6Init, session.Established, session.Trans}[rnd.IntN(3)]
			record := func() session.Record {
				return idleFor(n, ours, state, session.TimerEstablished, rnd.Int64N(20_000))
			}
			switch rnd.IntN(4) {
			case 0:
				their = append(their, record())
			case 1:
				own = append(own, record())
			default:
				their, own = append(their, record()), append(own, record())
			}
		}
		if round%10 == 0 {
			own = nil
		}
		OldestFirst(their, ours)
		whole := Compare(Unique(slices.Clone(their), ours), Unique(slices.Clone(own), ours), ours, ours, 2000)
		OldestFirst(whole.Inject, ours)
		OldestFirst(whole.Give, ours)

		c := NewComparison(slices.Clone(own), ours, ours, 2000)
		var inject []session.Record
		same, fresh := 0, 0
		for rest := slices.Clone(their); len(rest) > 0; {
			n := min(1+rnd.IntN(20), len(rest))
			d := c.Piece(slices.Clone(rest[:n]), len(rest)-n, nil, MaxRemovals)
			inject, same, fresh, rest = append(inject, d.Inject...), same+d.Same, fresh+d.Fresh, rest[n:]
		}
		give := c.Give()
		byKey(whole.Inject)
		byKey(inject)
		byKey(whole.Give)
		byKey(give)
		if hexes(inject) != hexes(whole.Inject) || hexes(give) != hexes(whole.Give) || same != whole.Same || fresh != whole.Fresh {
			t.Fatalf("round %d: %d to inject, %d to give, %d are the same, %d are new; at once %d, %d, %d, %d", round, len(inject), len(give), same, fresh,
				len(whole.Inject), len(whole.Give), whole.Same, whole.Fresh)
		}
	}
}

// TestPiecesOrder: the sessions of each piece are injected oldest first.
func TestPiecesOrder(t *testing.T) {
	c := NewComparison([]session.Record{est(9, ours, 1)}, ours, ours, 2000)
	d := c.Piece([]session.Record{est(1, ours, 500), est(2, ours, 9000), est(3, ours, 70)}, 0, nil, MaxRemovals)
	if want := []session.Record{est(2, ours, 9000), est(1, ours, 500), est(3, ours, 70)}; hexes(d.Inject) != hexes(want) {
		t.Errorf("%v", d.Inject)
	}
}

// TestPiecesAfterRemoval removes a BIB entry because of one piece: sessions of that entry in the next piece are new, and are
// not given back.
func TestPiecesAfterRemoval(t *testing.T) {
	const old = 20_000
	own := est(1, ours, old)
	moved := masked(est(1, ours, 5), 7) // of the same host and port, under another mask
	moved[23]++                         // another session
	c := NewComparison([]session.Record{own}, ours, ours, 2000)
	d := c.Piece([]session.Record{moved}, 1, nil, MaxRemovals)
	if len(d.Remove) != 1 || d.Remove[0] != maskOf(&own) {
		t.Fatalf("%+v", d)
	}
	c.Removed(d.Remove)
	again := masked(est(1, ours, 2*old), 7)
	if d := c.Piece([]session.Record{again}, 0, nil, MaxRemovals); len(d.Inject) != 1 || d.Fresh != 1 {
		t.Errorf("the session was removed with its BIB entry, and is not injected: %+v", d)
	}
	if give := c.Give(); len(give) > 0 {
		t.Errorf("given back: %v", give)
	}
}

// TestPiecesBlocked has an own BIB entry block a session until a younger session of the same mapping, in a later piece, removes
// the entry. The blocked session is compared again in the last piece only.
func TestPiecesBlocked(t *testing.T) {
	const old = 20_000
	own := est(1, ours, old)
	older, other, last := masked(est(1, ours, 2*old), 7), est(2, ours, 30), est(3, ours, 30)
	moved := masked(est(1, ours, 5), 7) // of the same host and port, under another mask
	older[23], moved[23] = 9, 8         // other sessions
	c := NewComparison([]session.Record{own}, ours, ours, 2000)
	for _, piece := range []struct {
		session                          session.Record
		inject, fresh, blocked, removals int
	}{{older, 0, 0, 1, 0}, {other, 1, 1, 0, 0}, {moved, 1, 1, 0, 1}, {last, 2, 2, -1, 0}} {
		rest := 1
		if piece.session == last {
			rest = 0
		}
		d := c.Piece([]session.Record{piece.session}, rest, nil, MaxRemovals)
		if len(d.Inject) != piece.inject || d.Fresh != piece.fresh || d.Blocked != piece.blocked || len(d.Remove) != piece.removals {
			t.Errorf("%+v, want %+v", d, piece)
		}
		c.Removed(d.Remove)
	}
	if c.Pending() {
		t.Error("the blocked sessions were not compared again")
	}
}

// TestPiecesOutdone has an own session win against the peer's record of it, which has another mask, and then go with its BIB entry
// because of a younger session of the peer's mapping. The peer's record takes its place, unless the entry stays.
func TestPiecesOutdone(t *testing.T) {
	own := est(1, ours, 20_000)
	loses, other, wins := masked(est(1, ours, 40_000), 7), est(2, ours, 30), masked(est(1, ours, 5), 7)
	wins[23] = 8 // another session
	for _, c := range []struct {
		name   string
		pieces [][]session.Record
		inject int
	}{
		{"in one piece", [][]session.Record{{loses, wins}}, 2},
		{"in the last piece", [][]session.Record{{loses}, {wins}}, 2},
		{"before the last piece", [][]session.Record{{loses}, {wins}, {other}}, 3},
		{"after all pieces", [][]session.Record{{loses}, {wins}, nil}, 2},
		{"nothing wins", [][]session.Record{{loses}, {other}}, 1},
	} {
		table := NewComparison([]session.Record{own}, ours, ours, 2000)
		inject, fresh, blocked := 0, 0, 0
		for i, piece := range c.pieces {
			d := table.Piece(slices.Clone(piece), len(c.pieces)-1-i, nil, MaxRemovals)
			table.Removed(d.Remove)
			inject, fresh, blocked = inject+len(d.Inject), fresh+d.Fresh, blocked+d.Blocked
			if last := i == len(c.pieces)-1; table.Pending() == last {
				t.Errorf("%s: piece %d: pending: %v", c.name, i, !last)
			}
		}
		if inject != c.inject || fresh != c.inject || blocked != 0 {
			t.Errorf("%s: %d sessions to inject, %d new, %d blocked; want %d", c.name, inject, fresh, blocked, c.inject)
		}
	}
}

// TestPiecesTwice has a session in two pieces of the peer's table. It is compared once.
func TestPiecesTwice(t *testing.T) {
	own := est(1, ours, 20_000)
	c := NewComparison([]session.Record{own, est(2, ours, 1)}, ours, ours, 2000)
	first := c.Piece([]session.Record{est(1, ours, 10_000)}, 1, nil, MaxRemovals)
	second := c.Piece([]session.Record{masked(est(1, ours, 9_000), 7)}, 0, nil, MaxRemovals)
	if len(first.Inject) != 1 || len(second.Inject)+len(second.Remove)+second.Same > 0 {
		t.Errorf("%+v, then %+v", first, second)
	}
	if give := c.Give(); len(give) != 1 || give[0] != est(2, ours, 1) {
		t.Errorf("given back: %v", give)
	}
}
