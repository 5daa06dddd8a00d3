package replication

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// Idle returns for how long a session has had no packet, in milliseconds, on an instance with these settings. The time left
// alone does not tell that: a stale established session has more of it than a closing one. Idle is negative for a session
// that was reported after the moment at which its time left was read.
func Idle(r *session.Record, s syncwire.Settings) int64 {
	return s.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - int64(r.Expires())
}

// byKey sorts records by their Keys.
func byKey(records []session.Record) {
	slices.SortFunc(records, func(a, b session.Record) int { return compareKeys(&a, &b) })
}

func compareKeys(a, b *session.Record) int {
	ka, kb := keyNumbers(a), keyNumbers(b)
	for i := range ka {
		if ka[i] != kb[i] {
			return cmp.Compare(ka[i], kb[i])
		}
	}
	return 0
}

// keyNumbers returns a session's Key in a form that is quick to compare.
func keyNumbers(r *session.Record) [4]uint64 {
	rest := uint64(binary.BigEndian.Uint16(r[28:]))<<48 | uint64(binary.BigEndian.Uint32(r[20:]))<<16
	proto := r.Proto()
	if proto != session.ICMP {
		rest |= uint64(binary.BigEndian.Uint16(r[32:]))
	}
	return [4]uint64{binary.BigEndian.Uint64(r[8:]), rest, binary.BigEndian.Uint64(r[:]), uint64(proto)}
}

// OldestFirst sorts records by their idle times, so that the module, whose lists are sorted by age, finds the place of each
// at once.
func OldestFirst(records []session.Record, s syncwire.Settings) {
	oldestFirst(records, s, make([]ranked, len(records)))
}

// Prepare returns what a full sync sends of a table: each session once, oldest first. It reuses the records' memory, and sorts twice in
// the same memory: that of a large table is as large as half of the table.
func Prepare(records []session.Record, s syncwire.Settings) []session.Record {
	order := make([]ranked, len(records))
	records = dropDuplicates(records, s, order)
	oldestFirst(records, s, order[:len(records)])
	return records
}

func oldestFirst(records []session.Record, s syncwire.Settings, order []ranked) {
	for i := range records {
		order[i] = ranked{uint64(1<<62 - Idle(&records[i], s)), uint32(i)}
	}
	rank(records, order)
}

// ranked is a record's index and the number to sort it by.
type ranked struct {
	by uint64
	at uint32
}

// rank sorts records in place. Sorting the records themselves, or computing the numbers again for each comparison, takes
// several times as long.
func rank(records []session.Record, order []ranked) {
	slices.SortFunc(order, func(a, b ranked) int { return cmp.Compare(a.by, b.by) })
	for i := range order {
		first := records[i]
		for to := uint32(i); ; {
			from := order[to].at
			order[to].at = to // this place is done
			if from == uint32(i) {
				records[to] = first
				break
			}
			records[to], to = records[from], from
		}
	}
}

// Difference is the result of comparing a peer's table with the own one.
type Difference struct {
	// Inject has the peer's records that the own table lacks or that win against the own record (see Winner), Give the own
	// records that the peer's table lacks or that win.
	Inject, Give []session.Record
	// Same is how many sessions need no transfer.
	Same int
	// Fresh is how many sessions of Inject the own table has not at all, or not under this mask.
	Fresh int
	// Remove has the BIB entries to remove before Inject (see ResolveConflicts).
	Remove []Mask
	// Blocked is how many sessions were left out of Inject because of a newer BIB entry, and Limited is true if some of
	// these were left out because of the limit on removals. A piece's Blocked is less by those sessions of earlier pieces that
	// are in Inject now (see Comparison).
	Blocked int
	Limited bool

	blocked []session.Record
	// outdone has the peer's records that lost against own ones under other masks. They follow if the own ones' BIB entries go.
	outdone []session.Record
	hosts   map[Mask]bibHost // of the own BIB entries that are in the way
}

// Compare compares a peer's table with the own one. their and our are the settings of the two instances; the times left of
// both tables must be those of one moment. tolerance is in milliseconds (see Winner). Both tables must come from Unique.
// Inject reuses the memory of theirs.
func Compare(theirs, ours []session.Record, their, our syncwire.Settings, tolerance int64) (d Difference) {
	inject := theirs[:0]
	var give []session.Record
	i, j := 0, 0
	for i < len(theirs) || j < len(ours) {
		c := 1
		switch {
		case j == len(ours):
			c = -1
		case i < len(theirs):
			c = compareKeys(&theirs[i], &ours[j])
		}
		switch {
		case c < 0:
			inject = append(inject, theirs[i])
			d.Fresh++
			i++
		case c > 0:
			give = append(give, ours[j])
			j++
		default:
			behind := Idle(&ours[j], our) - Idle(&theirs[i], their)
			switch w := Winner(&theirs[i], &ours[j], behind, tolerance); {
			case w > 0:
				if theirs[i].Src4() != ours[j].Src4() {
					d.Fresh++ // once the own record is removed
				}
				inject = append(inject, younger(&theirs[i], &ours[j], -behind))
			case w < 0:
				if theirs[i].Src4() != ours[j].Src4() {
					d.outdone = append(d.outdone, theirs[i])
				}
				give = append(give, younger(&ours[j], &theirs[i], behind))
			default:
				d.Same++
			}
			i, j = i+1, j+1
		}
	}
	d.Inject, d.Give = inject, give
	return d
}

// Winner decides which of two records of one session both hosts keep: 1 for theirs, -1 for ours, 0 if they differ too
// little. behind is by how many milliseconds ours has been idle for longer. If that is more than the tolerance, also in
// milliseconds, the younger record wins. Otherwise both stem from one moment. Then the lower mask wins, as it does for BIB
// entries (see lower). With one mask, the record wins whose state is further on: the other host has missed a report.
func Winner(theirs, ours *session.Record, behind, tolerance int64) int {
	moved := ours.Src4().Compare(theirs.Src4())
	if moved != 0 {
		tolerance = min(tolerance, MinTolerance.Milliseconds())
	}
	switch {
	case behind > tolerance:
		return 1
	case behind < -tolerance:
		return -1
	case moved != 0:
		return moved
	}
	further := cmp.Compare(progress(theirs), progress(ours))
	last, less := theirs, behind
	if further < 0 {
		last, less = ours, -behind
	}
	// A packet leads back from TRANS to ESTABLISHED, and from one timer to another. It renews the session, which a FIN
	// does not. TRANS in place of ESTABLISHED does no harm, since the next packet corrects it.
	returns := last.State() == session.Trans || theirs.State() == ours.State()
	if returns && less < -returnedBy.Milliseconds() {
		return -further
	}
	return further
}

const (
	// MinTolerance is the least tolerance of Compare: clocks, reading a page and sending a datagram make such a difference
	// in idle time.
	MinTolerance = 2 * time.Second
	// returnedBy is by how much a record must be younger to be the successor of one whose state is further on. Datagrams
	// arrive sooner than that.
	returnedBy = time.Second
)

// younger returns the winner with the loser's idle time if the loser was idle for less, by so many milliseconds: otherwise
// the host that stores the winner's state would shorten its session. A winner with another mask keeps its own idle time.
func younger(winner, loser *session.Record, by int64) session.Record {
	r := *winner
	if by > 0 && winner.Src4() == loser.Src4() {
		r.SetExpires(uint32(min(int64(r.Expires())+by, math.MaxUint32)))
	}
	return r
}

// progress orders the states of a session as they follow each other (RFC 6146, section 3.5.2), and the timers of one state.
// No two states have the same number, so that both hosts choose the same record.
func progress(r *session.Record) int {
	states := [...]int{
		session.V6Init: 0, session.V4Init: 1, session.Established: 2,
		session.V4FinRcv: 3, session.V6FinRcv: 4, session.V4FinV6FinRcv: 5, session.Trans: 6,
	}
	timers := [...]int{session.TimerSYN4: 0, session.TimerEstablished: 1, session.TimerTransitory: 2}
	return states[r.State()]*len(timers) + timers[r.Timer()]
}

// Unique sorts records by their Keys, and keeps the youngest of each Key: a session whose mask changed while the table was
// read is in it twice. The result reuses the memory of records.
func Unique(records []session.Record, s syncwire.Settings) []session.Record {
	byKey(records)
	kept := records[:0]
	for i := range records {
		last := len(kept) - 1
		switch {
		case last < 0 || compareKeys(&kept[last], &records[i]) != 0:
			kept = append(kept, records[i])
		case Idle(&records[i], s) < Idle(&kept[last], s):
			kept[last] = records[i]
		}
	}
	return kept
}

// dropDuplicates keeps the youngest record of each Key, and the order of records. It reuses their memory. order must be as long.
func dropDuplicates(records []session.Record, s syncwire.Settings, order []ranked) []session.Record {
	// By the Keys' hashes: sorting the records themselves takes several times as long.
	for i := range records {
		order[i] = ranked{records[i].Hash(1), uint32(i)}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if a.by != b.by {
			return cmp.Compare(a.by, b.by)
		}
		return cmp.Or(compareKeys(&records[a.at], &records[b.at]), cmp.Compare(a.at, b.at))
	})
	var dropped []uint32
	for i, youngest := 1, 0; i < len(order); i++ {
		a, b := &records[order[youngest].at], &records[order[i].at]
		switch {
		case order[i].by != order[youngest].by || compareKeys(a, b) != 0:
			youngest = i
		case Idle(b, s) < Idle(a, s):
			dropped = append(dropped, order[youngest].at)
			youngest = i
		default:
			dropped = append(dropped, order[i].at)
		}
	}
	slices.Sort(dropped)
	kept := records[:0]
	for i := range records {
		if len(dropped) > 0 && dropped[0] == uint32(i) {
			dropped = dropped[1:]
			continue
		}
		kept = append(kept, records[i])
	}
	return kept
}

// Rebase converts a peer's records to the own settings: the idle times stay, and the times left change. Sessions that would
// have expired here are left out. The result reuses the memory of records.
func Rebase(records []session.Record, their, our syncwire.Settings) []session.Record {
	kept := records[:0]
	for i := range records {
		r := &records[i]
		left := our.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - Idle(r, their)
		if left > 0 {
			r.SetExpires(uint32(left))
			kept = append(kept, *r)
		}
	}
	return kept
}

// Absent returns those of want that are not in have under the same mask. It sorts both.
func Absent(want, have []session.Record) []session.Record {
	byKey(want)
	byKey(have)
	var missing []session.Record
	j := 0
	for i := range want {
		for j < len(have) && compareKeys(&have[j], &want[i]) < 0 {
			j++
		}
		if j == len(have) || compareKeys(&have[j], &want[i]) != 0 || have[j].Src4() != want[i].Src4() {
			missing = append(missing, want[i])
		}
	}
	return missing
}
