package worker

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// TestMemoryOfForgedMessages announces full syncs of the largest size, and sends a few of their BULKs. The worker's memory must stay small.
func TestMemoryOfForgedMessages(t *testing.T) {
	bed := newTestbed(t, 2)
	s := bed.peer(0)
	h := bed.standby(1)
	h.start()
	to := s.asked(replication.MaxSessions)
	records := sessionsAt(0, syncwire.MaxBulk)
	one := make([]byte, 0, syncwire.MaxBulk*syncwire.RecordLen)
	for _, r := range records {
		one = append(one, r[:]...)
	}
	var before, after runtime.MemStats
	runtime.GC() // frees the memory of other tests
	runtime.ReadMemStats(&before)
	for id := range uint32(20) {
		s.begin(to, 5+id, replication.MaxSessions)
		for _, index := range []uint32{0, replication.MaxSessions/syncwire.MaxBulk - 1, 50_000, 2000} {
			s.say(&syncwire.Bulk{FullSync: 5 + id, Index: index, Records: one})
		}
	}
	received := func() { // waits until the worker has received all earlier datagrams
		s.live(records[0])
		eventually(t, "the datagrams are received", func() bool { return h.counters.Stats().NetRcvdPackets == uint64(s.last) })
	}
	received()
	for tries := 0; h.Sync().Done == 0; tries++ { // on a slow machine the worker may have given up
		if tries == 100 {
			t.Fatal("the worker accepts no BULK")
		}
		s.begin(to, 24, replication.MaxSessions)
		s.say(&syncwire.Bulk{FullSync: 24, Index: 0, Records: one})
		received()
	}
	h.blocked(func() {})
	runtime.GC() // the second bound covers memory that is already free
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 64<<20 {
		t.Errorf("%d MB are used", used>>20)
	}
	t.Logf("%d kB are used, %d MB were allocated", (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10, (after.TotalAlloc-before.TotalAlloc)>>20)
	if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 400 {
		t.Errorf("%d MB were allocated", allocated)
	}
}

// said reads datagrams for the time d, and counts those of a worker by their type. Datagrams with sessions count as type 0.
func (p *peer) said(from syncwire.ID, d time.Duration) map[syncwire.Type]int {
	p.t.Helper()
	counts := make(map[syncwire.Type]int)
	b := make([]byte, 2048)
	if err := p.SetReadDeadline(time.Now().Add(d)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, err := p.Read(b)
		if err != nil {
			return counts
		}
		if m, err := syncwire.Parse(b[:n]); err == nil && m.Sender == from {
			counts[typeOf(m.Body)]++
		} else if n > 0 && b[0] != 0 {
			counts[0]++
		}
	}
}

func typeOf(b syncwire.Body) syncwire.Type {
	return syncwire.Type(syncwire.Message{Sender: 1, Body: b}.Append(nil)[3])
}

// TestFloods sends messages that a worker answers, as fast as possible. The number of answers must be bounded, no session may change,
// and the worker must still send live datagrams.
func TestFloods(t *testing.T) {
	bed := newTestbed(t, 3)
	h := bed.standby(0, sessionsAt(0, 2000)...)
	h.start().alone()
	for i := range 600 {
		h.report(sessionAt(10_000+i, 0))
	}
	eventually(t, "all sessions are sent", func() bool { return h.counters.Ledger().Sent == 600 })
	hears, forger := bed.peer(1), bed.peer(2)
	for number, c := range []struct {
		name  string
		flood func(h syncwire.ID, last syncwire.Seq, i int, r *rand.Rand) (sender syncwire.ID, body syncwire.Body)
		// most is the largest permitted number of messages a second from the worker, by type.
		most map[syncwire.Type]int
	}{
		{"HELLOs that ask", func(_ syncwire.ID, _ syncwire.Seq, i int, _ *rand.Rand) (syncwire.ID, syncwire.Body) {
			return syncwire.ID(1000 + i), &syncwire.Hello{Asks: true, Settings: ttl}
		}, map[syncwire.Type]int{syncwire.TypeHello: 60}},
		{"HELLOs of many complete senders", func(_ syncwire.ID, _ syncwire.Seq, i int, _ *rand.Rand) (syncwire.ID, syncwire.Body) {
			return syncwire.ID(1000 + i/10), &syncwire.Hello{Sync: syncwire.SyncYes, Sessions: 1 << 30, Settings: ttl}
		}, map[syncwire.Type]int{syncwire.TypeHello: 60, syncwire.TypeSolicit: 10}},
		{"NACKs for kept datagrams", func(h syncwire.ID, last syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			at := uint32(last) - r.Uint32N(500)
			return 1000, &syncwire.Nack{To: h, Ranges: []syncwire.Range{{From: at, To: at + 3}}}
		}, map[syncwire.Type]int{0: replication.MaxRetransmitted * 26, syncwire.TypeGone: replication.MaxReplies * 26}},
		{"NACKs for any numbers", func(h syncwire.ID, last syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			var ranges []syncwire.Range
			for range syncwire.MaxRanges {
				at := r.Uint32()
				ranges = append(ranges, syncwire.Range{From: at, To: at + r.Uint32()>>1})
			}
			return 1000, &syncwire.Nack{To: h, Ranges: ranges}
		}, map[syncwire.Type]int{0: replication.MaxRetransmitted * 26, syncwire.TypeGone: replication.MaxReplies * 26}},
		{"NACKs for unknown full syncs", func(h syncwire.ID, _ syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			return 1000, &syncwire.Nack{To: h, FullSync: r.Uint32() | 1, Ranges: []syncwire.Range{{From: 0, To: 1 << 30}}}
		}, map[syncwire.Type]int{syncwire.TypeGone: replication.MaxReplies * 26}},
		{"sequence numbers that jump", func(_ syncwire.ID, _ syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			return syncwire.ID(1000 + i/2), &syncwire.Hello{Settings: ttl}
		}, map[syncwire.Type]int{syncwire.TypeNack: replication.MaxReplies * 26, syncwire.TypeHello: 60, syncwire.TypeSolicit: 10}},
		{"BEGINs", func(_ syncwire.ID, _ syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			return 1000, &syncwire.Begin{FullSync: r.Uint32() | 1, Sessions: replication.MaxSessions, Settings: ttl}
		}, map[syncwire.Type]int{syncwire.TypeNack: replication.MaxReplies * 26, syncwire.TypeSolicit: 5}},
		{"ENDs", func(_ syncwire.ID, _ syncwire.Seq, i int, r *rand.Rand) (syncwire.ID, syncwire.Body) {
			if i%1000 == 0 {
				return 1000, &syncwire.Begin{FullSync: 5, Sessions: replication.MaxSessions, Settings: ttl}
			}
			return 1000, &syncwire.End{FullSync: 5, Sessions: replication.MaxSessions - uint32(i%2), Bulks: replication.MaxSessions / syncwire.MaxBulk * 2}
		}, map[syncwire.Type]int{syncwire.TypeNack: replication.MaxReplies * 26, syncwire.TypeSolicit: 10, syncwire.TypeHello: 60}},
		{"SOLICITs", func(h syncwire.ID, _ syncwire.Seq, i int, _ *rand.Rand) (syncwire.ID, syncwire.Body) {
			return syncwire.ID(1000 + i), &syncwire.Solicit{To: h}
		}, map[syncwire.Type]int{syncwire.TypeHello: 60, syncwire.TypeBegin: 20, syncwire.TypeEnd: 20, syncwire.TypeBulk: replication.MaxRate * 500}},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			before := h.instance.Sessions.Records()
			stop, stopped := make(chan struct{}), make(chan int)
			self := h.running.host.Knowledge.Self()
			go func() {
				r := rand.New(rand.NewPCG(1, 1))
				for i := 0; ; i++ {
					select {
					case <-stop:
						stopped <- i
						return
					default:
					}
					sender, body := c.flood(self, 600, i, r)
					last := syncwire.Seq(0)
					if c.name == "sequence numbers that jump" {
						last = syncwire.Seq(i%2) * 2000
					}
					_, _ = forger.WriteToUDP(syncwire.Message{Sender: sender, Last: last, Body: body}.Append(nil), forger.to)
				}
			}()
			said := hears.said(self, time.Second/2)
			close(stop)
			sent := <-stopped
			for len(hears.said(self, 200*time.Millisecond)) > 0 { // until the worker has processed all queued datagrams
			}
			t.Logf("%d sent in about half a second, heard %v", sent, said)
			for typ, n := range said {
				if most := c.most[typ] + 5; n > most {
					t.Errorf("%v %d times in half a second, want at most %d", typ, n, most)
				}
			}
			unchanged(t, h, before)
			if n := len(h.instance.Sessions.Records()); n != len(before) {
				t.Errorf("%d sessions, were %d", n, len(before))
			}
			// The worker still sends live datagrams.
			live := sessionAt(20_000+number, 0)
			h.report(live)
			hears.waitFor(live)
		})
	}
}

// waitFor reads datagrams until one of them has the session.
func (p *peer) waitFor(want session.Record) {
	p.t.Helper()
	for {
		b, _ := p.receive()
		entries, _, err := syncwire.Sessions(b, session.Packed40)
		if err != nil {
			continue
		}
		for ; len(entries) > 0; entries = entries[40:] {
			if r := session.Packed40.Record(entries); r.Key() == want.Key() {
				return
			}
		}
	}
}

// TestMutatedFlood sends forged, mutated and random control messages to two hosts that synchronise. The hosts still become equal.
func TestMutatedFlood(t *testing.T) {
	bed := newTestbed(t, 3)
	first, second := bed.standby(0, sessionsAt(0, 2000)...), bed.standby(1)
	first.start()
	second.start()
	first.synced()
	second.synced()
	forger := bed.peer(2)
	r := rand.New(rand.NewPCG(7, 7))
	record := sessionAt(1, 0)
	ids := []syncwire.ID{first.running.host.Knowledge.Self(), second.running.host.Knowledge.Self(), 1000, 1001}
	for _, b := range kept(t, "FuzzParse") { // the inputs that fuzzing has found
		if len(b) > 1 && b[0] == 0 && b[1] == 0 {
			forger.send(b)
		}
	}
	end := time.Now().Add(3 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		id := func() syncwire.ID { return ids[r.IntN(len(ids))] }
		bodies := []syncwire.Body{
			&syncwire.Hello{Asks: r.IntN(2) == 0, Sync: syncwire.Sync(r.IntN(3)), Sessions: r.Uint32(), Settings: ttl},
			&syncwire.Solicit{To: id()},
			&syncwire.Nack{To: id(), FullSync: r.Uint32N(3), Ranges: []syncwire.Range{{From: r.Uint32N(50), To: 50 + r.Uint32N(50)}}},
			&syncwire.Gone{To: id(), FullSync: r.Uint32N(3), Ranges: []syncwire.Range{{From: r.Uint32N(50), To: 50 + r.Uint32N(50)}}},
			&syncwire.Begin{FullSync: 1 + r.Uint32N(3), Audience: []syncwire.ID{id()}, Sessions: 100, Settings: ttl},
			// The full sync never becomes complete: a host cannot tell a complete forged one from that of a peer.
			&syncwire.Bulk{FullSync: 1 + r.Uint32N(3), Index: 1, Records: slices.Repeat(record[:], syncwire.MaxBulk)},
			&syncwire.End{FullSync: 1 + r.Uint32N(3), Sessions: 100, Bulks: 3},
		}
		b := syncwire.Message{Sender: ids[2+r.IntN(2)], Last: syncwire.Seq(r.Uint32()), Body: bodies[r.IntN(len(bodies))]}.Append(nil)
		switch r.IntN(4) {
		case 0:
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		case 1:
			b = b[:2+r.IntN(len(b)-1)]
		case 2:
			for j := 12; j < len(b); j++ {
				if r.IntN(8) == 0 {
					b[j] = byte(r.Uint32())
				}
			}
		}
		if b[0] != 0 || len(b) > 1 && b[1] != 0 {
			continue // a list of sessions without a trailer would be valid: upstream's joold sends such datagrams
		}
		forger.send(b)
		if i%200 == 0 {
			r := sessionAt(30_000+i/200, 0)
			first.report(r)
			eventually(t, "the session crosses", func() bool { return second.has([]session.Record{r}) })
		}
	}
	becomeAlike(t, first, second, 20_000) // a busy machine delays datagrams
	if n := first.instance.Sessions.Len(); n < 2001 {
		t.Errorf("%d sessions", n)
	}
	for _, h := range []*host{first, second} {
		if l := h.counters.Losses(); l.Malformed == 0 || l.KernelErrors > 0 {
			t.Errorf("losses %+v", l)
		}
	}
}
