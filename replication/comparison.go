package replication

import (
	"slices"
	"sort"

	"joolctl/session"
	"joolctl/syncwire"
)

// Comparison compares a peer's table with the own one while the peer's table arrives, piece by piece.
type Comparison struct {
	ours       []session.Record // from Unique
	their, our syncwire.Settings
	tolerance  int64  // see Winner
	met        []bool // ours that the peer's table has
	give       []session.Record
	removed    map[Mask]struct{} // own BIB entries that were removed since ours was read
	// blocked has the sessions of earlier pieces that own BIB entries block. The peer sends its oldest sessions first: a
	// younger session of the same mapping may remove the entry.
	blocked []session.Record
	outdone []session.Record             // the same for those that lost against own sessions under other masks
	retried bool                         // those in blocked and outdone were compared again
	live    map[reportedMapping]struct{} // of the sessions that were reported meanwhile
	seen    int                          // how many of these mappings are in live
	ages    ages
}

// NewComparison begins a comparison with the own table, whose memory it keeps. The times left of both tables must be those of
// one moment. their and our are the settings of the two instances. tolerance is in milliseconds (see Winner).
func NewComparison(own []session.Record, their, our syncwire.Settings, tolerance int64) *Comparison {
	ours := Unique(own, our)
	return &Comparison{ours: ours, their: their, our: our, tolerance: tolerance, met: make([]bool, len(ours)),
		removed: make(map[Mask]struct{}), live: make(map[reportedMapping]struct{}), ages: agesOf(ours, our)}
}

// Least is how many sessions a piece should have at least: the cost of a piece grows with the own table, too.
func (c *Comparison) Least() int { return len(c.ours) / 2 }

// Empty reports whether the own table is empty, so that nothing can conflict.
func (c *Comparison) Empty() bool { return len(c.ours) == 0 }

// Pending reports whether Piece has to be called a last time for the blocked and outdone sessions of earlier pieces.
func (c *Comparison) Pending() bool { return len(c.blocked)+len(c.outdone) > 0 && !c.retried }

// Piece compares a piece of the peer's table, whose memory it reuses. The result has no Give: see Give. Inject has the
// sessions to inject, oldest first, with their times left by the own settings (but see ages). rest is how many sessions of the
// peer's table follow in later pieces. In the last piece, if rest is 0, the sessions of earlier pieces that were blocked are
// compared again. reported are the mappings of the sessions that were reported meanwhile, always those of the call before and then
// more. most is that of ResolveConflicts.
func (c *Comparison) Piece(theirs []session.Record, rest int, reported []reportedMapping, most int) Difference {
	if c.Empty() { // the peer sends its oldest sessions first
		inject := Rebase(theirs, c.their, c.our)
		return Difference{Inject: inject, Fresh: len(inject)}
	}
	for ; c.seen < len(reported); c.seen++ {
		c.live[reported[c.seen]] = struct{}{}
	}
	theirs, ours := c.meet(Unique(theirs, c.their))
	d := Compare(theirs, ours, c.their, c.our, c.tolerance)
	c.give, d.Give = append(c.give, d.Give...), nil
	d.Inject, d.outdone = Rebase(d.Inject, c.their, c.our), Rebase(d.outdone, c.their, c.our)
	before := 0
	if rest == 0 {
		before = len(c.blocked)
		d.Inject, d.Fresh = append(d.Inject, c.blocked...), d.Fresh+before
		d.outdone = append(d.outdone, c.outdone...)
		c.blocked, c.outdone, c.retried = nil, nil, true
	}
	d.ResolveConflicts(c.present(), c.our, c.live, most)
	c.blocked, d.blocked, d.Blocked = append(c.blocked, d.blocked...), nil, d.Blocked-before
	c.outdone, d.outdone = append(c.outdone, d.outdone...), nil
	OldestFirst(d.Inject, c.our)
	c.ages.rejuvenate(d.Inject, rest, c.our)
	return d
}

// meet returns the sessions of a piece, whose memory it reuses, and the own records of these. It notes that the peer's table has
// them. A session that an earlier piece had is left out: the own record is compared once.
func (c *Comparison) meet(piece []session.Record) (theirs, ours []session.Record) {
	theirs = piece[:0]
	for i := range piece {
		at, found := sort.Find(len(c.ours), func(j int) int { return compareKeys(&piece[i], &c.ours[j]) })
		if found {
			if _, is := c.removed[maskOf(&c.ours[at])]; !is {
				if c.met[at] {
					continue
				}
				c.met[at] = true
				ours = append(ours, c.ours[at])
			}
		}
		theirs = append(theirs, piece[i])
	}
	return theirs, ours
}

// present returns the own records but those whose BIB entries were removed.
func (c *Comparison) present() []session.Record {
	if len(c.removed) == 0 {
		return c.ours
	}
	return c.without(c.ours)
}

func (c *Comparison) without(records []session.Record) (kept []session.Record) {
	for i := range records {
		if _, is := c.removed[maskOf(&records[i])]; !is {
			kept = append(kept, records[i])
		}
	}
	return kept
}

// Removed notes that own BIB entries were removed, with all their sessions.
func (c *Comparison) Removed(masks []Mask) {
	for _, m := range masks {
		c.removed[m] = struct{}{}
	}
}

// Give returns the own records that the peer's table lacks or that win, oldest first: to be called after the last piece. The
// result reuses the own table's memory.
func (c *Comparison) Give() []session.Record {
	lacked := c.ours[:0]
	for i := range c.ours {
		if !c.met[i] {
			lacked = append(lacked, c.ours[i])
		}
	}
	give := slices.Concat(lacked, c.give)
	if len(c.removed) > 0 {
		give = c.without(give)
	}
	OldestFirst(give, c.our)
	return give
}
