package worker

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// slice is how long a long task keeps the instance's thread from the pumps.
const slice = 2 * time.Millisecond

// table is an instance's sessions at one moment: every time left is as it was
// at base, whenever the page was read that the session stood on.
type table struct {
	records []session.Record
	base    time.Time
}

// readTable reads the instance's whole table, page by page and giving way to
// the pumps in between, and hands it to done, on the instance's thread. stop
// tells that nobody wants it any more.
func (p *pumps) readTable(sizeHint int, base time.Time, stop func() bool, done func(table, error)) {
	t := table{records: make([]session.Record, 0, sizeHint+sizeHint/16), base: base}
	var page []session.Session
	proto, last, more := session.TCP, (*session.Session)(nil), false
	var step func()
	step = func() {
		if p.module == nil || stop() {
			return
		}
		for began := p.do.now(); p.do.now().Sub(began) < slice; {
			var err error
			page, more, err = p.module.AskSessions(page[:0], proto, last)
			if err != nil {
				done(table{}, err)
				return
			}
			later := uint32(max(p.do.now().Sub(base).Milliseconds(), 0))
			for _, s := range page {
				r := s.Record()
				if r.Check() == nil {
					r.SetExpires(r.Expires() + later)
					t.records = append(t.records, r)
				}
			}
			switch {
			case more && len(page) > 0:
				s := page[len(page)-1]
				last = &s
			case proto < session.ICMP:
				proto, last = proto+1, nil
			default:
				done(t, nil)
				return
			}
		}
		p.do.post(step)
	}
	step()
}

// idle is how long a session has been without a packet at the table's base, in
// milliseconds: the time left says nothing by itself, for a stale established
// session has more of it than a closing one.
func idle(r *session.Record, s syncwire.Settings) int64 {
	return s.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - int64(r.Expires())
}

// byKey sorts records by their keys.
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

// keyNumbers is a session's Key in a form that is quick to compare.
func keyNumbers(r *session.Record) [4]uint64 {
	rest := uint64(binary.BigEndian.Uint16(r[28:]))<<48 | uint64(binary.BigEndian.Uint32(r[20:]))<<16
	proto := r.Proto()
	if proto != session.ICMP {
		rest |= uint64(binary.BigEndian.Uint16(r[32:]))
	}
	return [4]uint64{binary.BigEndian.Uint64(r[8:]), rest, binary.BigEndian.Uint64(r[:]), uint64(proto)}
}

// oldestFirst sorts records so that the module, whose lists are sorted by age,
// finds each one's place at once.
func oldestFirst(records []session.Record, s syncwire.Settings) {
	order := make([]ranked, len(records))
	for i := range records {
		order[i] = ranked{uint64(1<<62 - idle(&records[i], s)), uint32(i)}
	}
	rank(records, order)
}

// ranked is what a record is sorted by, and its place.
type ranked struct {
	by uint64
	at uint32
}

// rank sorts records in place. To move them about while sorting, or to ask
// anew each time what they are sorted by, takes several times as long.
func rank(records []session.Record, order []ranked) {
	slices.SortFunc(order, func(a, b ranked) int { return cmp.Compare(a.by, b.by) })
	for i := range order {
		first := records[i]
		for to := uint32(i); ; {
			from := order[to].at
			order[to].at = to // done
			if from == uint32(i) {
				records[to] = first
				break
			}
			records[to], to = records[from], from
		}
	}
}

// diff compares a peer's table with ours, both with the same base. inject is what we lack or what wins against ours, give
// what the peer lacks or what wins against its own (see winner). Both tables must come from unique, and inject takes the
// place of theirs.
func diff(theirs, ours []session.Record, their, our syncwire.Settings, tolerance int64) (d difference) {
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
			d.fresh++
			i++
		case c > 0:
			give = append(give, ours[j])
			j++
		default:
			behind := idle(&ours[j], our) - idle(&theirs[i], their)
			switch w := winner(&theirs[i], &ours[j], behind, tolerance); {
			case w > 0:
				if theirs[i].Src4() != ours[j].Src4() {
					d.fresh++ // once ours has made way
				}
				inject = append(inject, younger(&theirs[i], &ours[j], -behind))
			case w < 0:
				give = append(give, younger(&ours[j], &theirs[i], behind))
			default:
				d.same++
			}
			i, j = i+1, j+1
		}
	}
	d.inject, d.give = inject, give
	return d
}

// winner says which of two records of one session both hosts are to have: 1 for theirs, -1 for ours, 0 if there is no
// difference that counts. behind is by how many milliseconds ours has been idle for longer. If that is more than the
// tolerance, the younger record wins. Otherwise both stem from one moment. Then the lower mask wins, as it does for BIB
// entries (see lower). With one mask, the record wins whose state is further on: the other host has missed a report.
func winner(theirs, ours *session.Record, behind, tolerance int64) int {
	moved := ours.Src4().Compare(theirs.Src4())
	if moved != 0 {
		tolerance = min(tolerance, minTolerance.Milliseconds())
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

// returnedBy is by how much a record must be younger to have come after one whose state is further on. It is more than
// datagrams take on their way.
const returnedBy = time.Second

// younger returns the winner with the loser's idle time if that is less, by so many milliseconds: otherwise the session
// of the host that takes the winner's state would lose time. A winner with another mask keeps its own idle time.
func younger(winner, loser *session.Record, by int64) session.Record {
	r := *winner
	if by > 0 && winner.Src4() == loser.Src4() {
		r.SetExpires(uint32(min(int64(r.Expires())+by, math.MaxUint32)))
	}
	return r
}

// progress orders the states of a session by when they come (RFC 6146, section 3.5.2), and the timers of one state. No
// two states have the same place, so that both hosts choose the same record.
func progress(r *session.Record) int {
	states := [...]int{
		session.V6Init: 0, session.V4Init: 1, session.Established: 2,
		session.V4FinRcv: 3, session.V6FinRcv: 4, session.V4FinV6FinRcv: 5, session.Trans: 6,
	}
	timers := [...]int{session.TimerSYN4: 0, session.TimerEstablished: 1, session.TimerTransitory: 2}
	return states[r.State()]*len(timers) + timers[r.Timer()]
}

// unique sorts records by their keys and leaves the youngest of each: a session
// that got another mask while the table was read stands in it twice.
func unique(records []session.Record, s syncwire.Settings) []session.Record {
	byKey(records)
	kept := records[:0]
	for i := range records {
		last := len(kept) - 1
		switch {
		case last < 0 || compareKeys(&kept[last], &records[i]) != 0:
			kept = append(kept, records[i])
		case idle(&records[i], s) < idle(&kept[last], s):
			kept[last] = records[i]
		}
	}
	return kept
}

// difference is what diff finds.
type difference struct {
	inject, give []session.Record
	same         int
	fresh        int    // of inject: we have no such session, or not under this mask
	old          []mask // BIB entries that have to make way for inject
	hosts        map[mask]bibHost
	blocked      int  // sessions that were left out of inject: something newer has their mask
	limited      bool // or as many BIB entries as may go at a time are in the way
}

// rebase turns a peer's records into ours: the same idle time under our own
// TTLs. What we would have forgotten by now is left out.
func rebase(records []session.Record, their, our syncwire.Settings) []session.Record {
	kept := records[:0]
	for i := range records {
		r := &records[i]
		left := our.TTL(uint8(r.Proto()), uint8(r.Timer())).Milliseconds() - idle(r, their)
		if left > 0 {
			r.SetExpires(uint32(left))
			kept = append(kept, *r)
		}
	}
	return kept
}
