package worker

import (
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

const (
	// listenFor is how long a worker waits for the answers to its first HELLO
	// before it holds itself to be alone.
	listenFor = 3 * time.Second
	// collectFor is how long it waits for others once one has answered.
	collectFor = 150 * time.Millisecond
	// beginWithin is how soon a peer that was asked must begin, and stallFor how
	// long its flow may stop, before the next one is asked.
	beginWithin = time.Second
	stallFor    = 500 * time.Millisecond
	stalls      = 6
	// maxSessions bounds what a peer can make us collect: 36 bytes each.
	maxSessions = 4 << 20
	// maxHeldBytes bounds the live updates that wait for a resync's end.
	maxHeldBytes = 8 << 20
	// firstPause and longestPause bound the time between two resyncs that were
	// not asked for by a start: a lasting difference must cost little.
	firstPause   = time.Second
	longestPause = 5 * time.Minute
	// largeTable is from when on memory is given back to the system at once.
	largeTable = 100_000
)

// phase is where a worker stands on its way to a complete table.
type phase uint8

const (
	settled    phase = iota // nothing to do
	listening               // for HELLOs
	asking                  // SOLICIT sent
	collecting              // BULKs
	comparing               // with the own table
	injecting
	checking // reading back
)

func (p phase) String() string {
	return [...]string{"settled", "listening for peers", "asking a peer", "receiving", "comparing", "injecting", "reading back"}[p]
}

// ResyncReport is what one resync came to.
type ResyncReport struct {
	From       string `json:"from"`
	Why        string `json:"why"`
	Got        int    `json:"got"`
	Had        int    `json:"had"`
	Injected   int    `json:"injected"`
	Replaced   int    `json:"replaced"` // BIB entries of ours that made way for newer ones
	Collisions int    `json:"collisions"`
	GaveBack   int    `json:"gave_back"`
	// Took is the time from BEGIN to the end; the others are its parts.
	Took      time.Duration `json:"took"`
	Receiving time.Duration `json:"receiving"`
	Comparing time.Duration `json:"comparing"`
	Injecting time.Duration `json:"injecting"`
}

// resync is the asking and receiving side.
type resync struct {
	p     *pumps
	phase phase
	sync  syncwire.Sync
	// why is what the next resync is for; empty: none is wanted.
	why   string
	since time.Time // when the phase began
	due   time.Time // when to go on
	pause time.Duration
	ended time.Time // the last one

	tried  []syncwire.ID // in this round
	target syncwire.ID

	in       *incoming
	touched  map[joolnl.Key]struct{} // reported by our own kernel meanwhile
	held     [][]byte                // live updates that wait
	heldSize int
	inject   []joolnl.Record
	injected int
}

// incoming is a resync that arrives.
type incoming struct {
	id       uint32
	from     *peer
	forUs    bool // an answer to what we asked: what its sender lacks goes back
	settings syncwire.Settings
	base     time.Time
	expected uint32
	records  []joolnl.Record // BULK i's are at i × MaxBulk
	have     []uint64        // bitmap of BULKs
	got      uint32          // BULKs
	bulks    uint32          // as END says; 0 before
	sessions uint32
	ended    bool
	stalls   int
	mends    uint64          // of the datagrams that are lost, if it ends complete
	own      []joolnl.Record // our own table
	ownRead  bool
	// The instance's number of sessions before the injection, and how many of
	// these are new to it.
	before, fresh                int
	received, compared, injected time.Time // when that was done
}

// want asks for a resync, soon if it is the first in a while.
func (r *resync) want(why string, now time.Time) {
	if r.why != "" || r.phase != settled {
		return
	}
	r.why = why
	r.due = now
	if !r.ended.IsZero() {
		r.pause = min(max(2*r.pause, firstPause), longestPause)
		if now.Sub(r.ended) > 2*r.pause {
			r.pause = firstPause
		}
		r.due = maxTime(now, r.ended.Add(r.pause))
	}
}

// start is the first thing of all.
func (r *resync) start(now time.Time) {
	r.why = "start"
	r.enter(listening, now, now.Add(listenFor))
}

func (r *resync) enter(ph phase, now, due time.Time) {
	r.phase, r.since, r.due = ph, now, due
	r.p.publishSync()
}

// helloHeard tells that a peer of ours has said something.
func (r *resync) helloHeard(p *peer, isNew bool, now time.Time) {
	switch {
	case r.phase == listening:
		r.due = minTime(r.due, now.Add(collectFor))
	case r.sync == syncwire.SyncAlone && p.served && p.Sync == syncwire.SyncYes:
		// It had our table whole and gave back what we lacked.
		r.sync, r.why = syncwire.SyncYes, ""
		r.p.publishSync()
		r.p.helloSoon(now)
	case isNew && r.sync == syncwire.SyncAlone:
		r.want("a peer appeared", now)
		if p.asks { // it will ask us, and give back what we lack
			r.due = now.Add(2 * listenFor)
		}
	}
}

// tick does what is due and returns when to come again.
func (r *resync) tick(now time.Time) time.Time {
	switch {
	case r.phase == settled && r.why == "", r.phase == comparing, r.phase == injecting, r.phase == checking:
		return time.Time{}
	case now.Before(r.due):
		return r.due
	}
	switch r.phase {
	case settled:
		if r.sync == syncwire.SyncAlone && r.p.answers.current != nil {
			r.due = now.Add(listenFor) // who is being served gives back what we lack
			return r.due
		}
		r.tried = nil
		r.ask(now)
	case listening, asking:
		r.ask(now)
	case collecting:
		r.stalled(now)
	}
	return r.due
}

// ask asks the best peer that was not asked yet.
func (r *resync) ask(now time.Time) {
	best := r.p.w.peers.best(r.tried, now)
	if best == nil {
		if len(r.tried) == 0 {
			r.sync = syncwire.SyncAlone
		} else {
			r.p.w.log.warn("no peer gave its session table", "why it was wanted", r.why)
		}
		failed := len(r.tried) > 0
		why := r.why
		r.finish(now)
		if failed {
			r.want(why, now)
		}
		return
	}
	if r.sync == syncwire.SyncAlone {
		r.sync = syncwire.SyncNo
	}
	r.target = best.stream.sender
	r.tried = append(r.tried, r.target)
	r.p.sendControl(&syncwire.Solicit{To: r.target})
	r.enter(asking, now, now.Add(beginWithin))
}

// finish goes to rest.
func (r *resync) finish(now time.Time) {
	n := 0
	if r.in != nil {
		n = int(r.in.sessions)
	}
	r.in, r.inject, r.touched, r.target, r.why = nil, nil, nil, 0, ""
	r.ended = now
	r.enter(settled, now, time.Time{})
	r.p.releaseHeld()
	r.p.freeLater(n)
	r.p.helloSoon(now)
}

// begin takes a BEGIN.
func (r *resync) begin(b *syncwire.Begin, from *peer, now time.Time) {
	if !b.For(r.p.self) || b.Sessions > maxSessions {
		return
	}
	switch r.phase {
	case comparing, injecting, checking:
		return // it comes again when it is needed: see peers' session counts
	case collecting:
		if r.in.from != from {
			return
		}
	}
	if r.why == "" {
		r.why = map[syncwire.Why]string{syncwire.WhyReturn: whyReturned, syncwire.WhyAdvertise: whyAdvertised}[b.Why]
		if r.why == "" {
			r.why = "offered"
		}
	}
	if in := r.in; in != nil && in.id == b.Resync {
		if in.got == 0 { // now the sender knows the number
			in.expected, in.stalls = b.Sessions, 0
			r.due = now.Add(stallFor)
			r.p.publishSync()
		}
		return
	}
	r.in = &incoming{id: b.Resync, from: from, forUs: b.Why == syncwire.WhyAnswer && len(b.Audience) > 0,
		settings: b.Settings, base: now, expected: b.Sessions, mends: r.p.audit.mendedBy(b)}
	if r.touched == nil {
		r.touched = make(map[joolnl.Key]struct{})
	}
	r.enter(collecting, now, now.Add(stallFor))
	r.readOwn()
}

// readOwn reads the own table beside what arrives.
func (r *resync) readOwn() {
	in := r.in
	r.p.readTable(r.p.sessions(), in.base, func() bool { return r.in != in }, func(own table, err error) {
		if err != nil {
			r.p.w.log.warn("reading the own session table", "error", err)
			r.finish(time.Now())
			return
		}
		in.own, in.ownRead = own.records, true
		if r.phase == comparing {
			r.compare()
		}
	})
}

// bulk takes a BULK.
func (r *resync) bulk(b *syncwire.Bulk, from *peer, now time.Time) {
	in := r.in
	if r.phase != collecting || in.from != from || in.id != b.Resync {
		return
	}
	total := (in.expected + syncwire.MaxBulk - 1) / syncwire.MaxBulk
	if b.Index >= total || b.Index < total-1 && len(b.Records) != syncwire.MaxBulk*syncwire.RecordLen {
		r.p.w.counters.malformed.Add(1)
		return
	}
	if in.have == nil {
		in.have = make([]uint64, (total+63)/64)
	}
	if in.have[b.Index/64]&(1<<(b.Index%64)) != 0 {
		return
	}
	at := int(b.Index) * syncwire.MaxBulk
	if need := at + len(b.Records)/syncwire.RecordLen; need > len(in.records) {
		in.grow(need)
	}
	later := uint32(max(now.Sub(in.base).Milliseconds(), 0))
	for i := 0; i < len(b.Records); i += syncwire.RecordLen {
		rec := joolnl.Record(b.Records[i:])
		if rec.Check() != nil {
			r.p.w.counters.malformed.Add(1)
			return
		}
		rec.SetExpires(rec.Expires() + later)
		in.records[at+i/syncwire.RecordLen] = rec
	}
	in.have[b.Index/64] |= 1 << (b.Index % 64)
	in.got++
	in.sessions += uint32(len(b.Records) / syncwire.RecordLen)
	in.stalls = 0
	r.due = now.Add(stallFor)
	r.p.publishSync()
	if in.ended && in.got == in.bulks {
		r.complete(now)
	}
}

// grow makes room for n records: all that were announced, once a good part of
// them is there, so that a lie costs little.
func (in *incoming) grow(n int) {
	if n > cap(in.records) {
		size := max(2*n, 1<<12)
		if n > int(in.expected)/8 {
			size = int(in.expected)
		}
		in.records = slices.Grow(in.records, min(max(size, n), int(in.expected)+syncwire.MaxBulk)-len(in.records))
	}
	in.records = in.records[:n]
}

// end takes an END.
func (r *resync) end(e *syncwire.End, from *peer, now time.Time) {
	in := r.in
	if r.phase != collecting || in.from != from || in.id != e.Resync || e.Sessions != in.expected {
		return
	}
	in.ended, in.bulks = true, e.Bulks
	if e.Bulks != (in.expected+syncwire.MaxBulk-1)/syncwire.MaxBulk {
		r.abandon(now)
		return
	}
	if in.got == in.bulks {
		r.complete(now)
		return
	}
	r.askMissing()
	r.due = now.Add(stallFor)
}

// askMissing asks for the BULKs that are not there.
func (r *resync) askMissing() {
	in := r.in
	var ranges []syncwire.Range
	total := (in.expected + syncwire.MaxBulk - 1) / syncwire.MaxBulk
	for i := uint32(0); i < total; i++ {
		if in.have != nil && in.have[i/64]&(1<<(i%64)) != 0 {
			continue
		}
		if len(ranges) == syncwire.MaxRanges && ranges[len(ranges)-1].To+1 != i {
			break
		}
		ranges = addToRanges(ranges, i)
	}
	if len(ranges) > 0 {
		r.p.sendControl(&syncwire.Nack{To: in.from.stream.sender, Resync: in.id, Ranges: ranges})
	}
}

// stalled asks again, or gives up.
func (r *resync) stalled(now time.Time) {
	in := r.in
	in.stalls++
	if in.stalls > stalls {
		r.abandon(now)
		return
	}
	r.askMissing()
	r.due = now.Add(stallFor)
}

// gone takes the word of the sender that it can't go on.
func (r *resync) gone(g *syncwire.Gone, now time.Time) {
	if r.phase == collecting && r.in.id == g.Resync && g.To == r.p.self {
		r.abandon(now)
	}
}

// abandon tries the next peer.
func (r *resync) abandon(now time.Time) {
	r.p.w.log.warn("a resync stopped in the middle; asking another peer", "from", r.in.from.Address)
	r.in = nil
	r.p.releaseHeld()
	r.ask(now)
}

// complete has all that the peer had to send.
func (r *resync) complete(now time.Time) {
	r.in.received = now
	r.enter(comparing, now, time.Time{})
	if r.in.ownRead {
		r.compare()
	}
}

// compare compares the peer's table with the own one.
func (r *resync) compare() {
	in, our, touched := r.in, r.p.settings, maps.Clone(r.touched)
	tolerance := max(2*r.p.w.spec().RefreshPeriod, minTolerance)
	r.p.background(func() { // sorting takes longer than the pumps may wait
		theirs, own := unique(in.records[:in.sessions], in.settings), unique(in.own, our)
		d := diff(theirs, own, in.settings, our, tolerance.Milliseconds())
		d.inject = rebase(d.inject, in.settings, our)
		d.clearWay(own, our, touched)
		oldestFirst(d.inject, our)
		oldestFirst(d.give, our)
		r.p.post(func() {
			if r.in == in {
				r.compared(d)
			}
		})
	})
}

// minTolerance is the difference in idle time that is none, at least: what
// clocks, pages and datagrams take on their way.
const minTolerance = 2 * time.Second

// maxCleared bounds how many BIB entries one resync removes.
const maxCleared = 4096

// compared injects what the comparison found, and gives back.
func (r *resync) compared(d difference) {
	now := time.Now()
	in := r.in
	report := ResyncReport{From: in.from.Address.String(), Why: r.why, Got: int(in.sessions), Had: d.same}
	if in.forUs && len(d.give) > 0 {
		report.GaveBack = len(d.give)
		r.p.answers.giveBack(in.from.stream.sender, table{d.give, in.base})
	}
	for _, m := range d.old[:min(len(d.old), maxCleared)] {
		if err := r.p.conn.AskRemoveBIB(m.proto, m.src4); err != nil {
			r.p.w.log.warn("an old BIB entry could not be removed", "protocol", m.proto, "mask", m.src4, "error", err)
		}
	}
	report.Replaced, report.Collisions = len(d.old), d.blocked
	r.p.w.counters.collisions.Add(uint64(d.blocked))
	r.p.readKernel(now)
	in.before, in.fresh = r.p.sessions(), d.fresh
	in.own, in.records, in.compared = nil, nil, now // what is left of them is in inject and give
	r.inject, r.injected = d.inject, 0
	r.enter(injecting, now, time.Time{})
	r.injectSome(&report)
}

// injectSome gives the module the next sessions, oldest first, and gives way to
// the pumps.
func (r *resync) injectSome(report *ResyncReport) {
	p := r.p
	began := time.Now()
	since := began.Sub(r.in.base)
	for r.injected < len(r.inject) && time.Since(began) < slice {
		entries := p.injectBuf[:0]
		for n := 0; n < joolnl.MaxSessions && r.injected < len(r.inject); r.injected++ {
			rec := r.inject[r.injected]
			if _, fresher := r.touched[rec.Key()]; fresher {
				continue
			}
			if int64(rec.Expires()) <= since.Milliseconds() {
				continue // it has expired meanwhile
			}
			age(&rec, since)
			var err error
			if entries, err = p.version.Format().AppendRecord(entries, &rec, p.settings.Pool6); err != nil {
				p.w.log.warn("a session of a peer's fits this module not", "error", err)
				continue
			}
			report.Injected++
			n++
		}
		p.injectBuf = entries
		if len(entries) > 0 {
			p.w.counters.injected.Add(uint64(len(entries) / p.version.Format().EntryLen()))
			p.add(entries)
			p.toKernel()
		}
	}
	p.publishSync()
	if r.injected < len(r.inject) {
		in := r.in
		p.post(func() {
			if r.in == in {
				r.injectSome(report)
			}
		})
		return
	}
	r.in.injected = time.Now()
	p.readKernel(time.Now())
	if r.p.sessions() == r.in.before+r.in.fresh {
		r.done(report) // the count alone proves that each has its place
		return
	}
	p.releaseHeld()
	r.readBack(report)
}

// readBack looks which of the injected sessions the module has refused in
// silence: their mask has come to belong to another one here.
func (r *resync) readBack(report *ResyncReport) {
	in := r.in
	r.enter(checking, time.Now(), time.Time{})
	injected := r.inject
	r.p.readTable(r.p.sessions(), in.base, func() bool { return r.in != in }, func(own table, err error) {
		if err != nil {
			r.done(report)
			return
		}
		r.p.background(func() {
			missing := len(absent(injected, own.records))
			r.p.post(func() {
				if r.in == in {
					report.Collisions += missing
					r.p.w.counters.collisions.Add(uint64(missing))
					r.done(report)
				}
			})
		})
	})
}

// absent returns those of want that are not in have under the same mask. It
// sorts both.
func absent(want, have []joolnl.Record) []joolnl.Record {
	byKey(want)
	byKey(have)
	var missing []joolnl.Record
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

func (r *resync) done(report *ResyncReport) {
	now := time.Now()
	in := r.in
	report.Took, report.Receiving = now.Sub(in.base), in.received.Sub(in.base)
	report.Comparing, report.Injecting = in.compared.Sub(in.received), in.injected.Sub(in.compared)
	r.sync = syncwire.SyncYes
	r.p.audit.repaired = in.mends
	if report.Injected == 0 && report.GaveBack == 0 {
		r.pause = max(r.pause, firstPause)
	}
	r.p.w.reportResync(*report)
	r.finish(now)
}

// freeLater gives the memory of a large table back to the system.
func (p *pumps) freeLater(sessions int) {
	if sessions > largeTable {
		go debug.FreeOSMemory()
	}
}

// hold keeps a live update until the resync that is under way has ended: an old
// session costs the module a walk over every newer one. false: go on at once.
func (r *resync) hold(entries []byte) bool {
	if r.phase < collecting || r.phase == checking || r.heldSize > maxHeldBytes {
		return false
	}
	r.held = append(r.held, slices.Clone(entries))
	r.heldSize += len(entries)
	return true
}

// releaseHeld lets the held updates go on, in their order.
func (p *pumps) releaseHeld() {
	held := p.resync.held
	p.resync.held, p.resync.heldSize = nil, 0
	before := p.resync.phase
	p.resync.phase = settled
	for _, entries := range held {
		p.deliver(entries)
	}
	p.toKernel()
	p.resync.phase = before
}

// touch notes that our own kernel has reported a session while a resync is
// under way: what a peer says of it is older.
func (r *resync) touch(rec *joolnl.Record) {
	if r.touched != nil && len(r.touched) < maxTouched {
		r.touched[rec.Key()] = struct{}{}
	}
}

// maxTouched bounds what touch remembers.
const maxTouched = 1 << 17

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
