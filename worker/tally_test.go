package worker

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestTally gives readings, and wants to know whether the last one has the counters
// named.
func TestTally(t *testing.T) {
	// After n datagrams of 40 bytes, all of which have come.
	good := func(n uint64) reading { return reading{syncwire.Seq(n), n, 40 * n, n, 0, 40 * n} }
	with := func(r reading, change func(*reading)) reading { change(&r); return r }
	lies := func(n uint64) reading { return with(good(n), func(r *reading) { r.sentBytes += 4 }) }
	for _, c := range []struct {
		name     string
		readings []reading
		want     string
	}{
		{"all is well", []reading{good(1), good(5), good(5), good(9)}, ""},
		{"over the wrap", []reading{with(good(9), func(r *reading) { r.number = 1<<32 - 2 }), with(good(12), func(r *reading) { r.number = 1 })}, ""},
		{"some are missing", []reading{good(1), with(good(5), func(r *reading) { r.passed, r.skipped, r.passedBytes = 3, 2, 120 })}, ""},
		{"some could not be sent", []reading{good(1), with(good(5), func(r *reading) { r.sent, r.sentBytes, r.passed, r.skipped, r.passedBytes = 4, 160, 4, 1, 160 })}, ""},
		{"some could not be sent, and came", []reading{good(1), with(good(5), func(r *reading) { r.sent, r.sentBytes = 4, 160 })}, ""},
		{"one HELLO lies", []reading{good(1), good(2), lies(3), good(4), lies(5), good(6)}, ""},
		{"the first HELLO lies", []reading{lies(1), good(2), good(3), good(4)}, ""},
		{"each third HELLO lies", []reading{lies(1), good(2), good(3), lies(4), good(5), good(6), lies(7), good(8)}, ""},
		{"from one on", []reading{good(1), good(2), lies(3), lies(4)}, "84 bytes in 2 live datagrams, of which 80 bytes came in 2"},
		{"from one on, and since", []reading{good(1), good(2), lies(3), lies(4), lies(5), lies(6)}, "84 bytes in 2 live datagrams, of which 80 bytes came in 2"},
		{"always", []reading{good(1), with(good(2), func(r *reading) { r.sentBytes++ }), with(good(3), func(r *reading) { r.sentBytes += 2 })},
			"82 bytes in 2 live datagrams, of which 80 bytes came in 2"},
		{"more came than was sent", []reading{good(1), good(2), with(good(4), func(r *reading) { r.skipped, r.passed, r.passedBytes = 1, 3, 400 }),
			with(good(5), func(r *reading) { r.skipped, r.passed, r.passedBytes = 1, 4, 440 })},
			"120 bytes in 3 live datagrams, of which 360 bytes came in 2"},
		{"more datagrams than numbers", []reading{good(1), good(2), with(good(3), func(r *reading) { r.sent++ }), with(good(4), func(r *reading) { r.sent++ })},
			"3 live datagrams with 2 numbers"},
		{"fewer than before", []reading{good(1), good(2), with(good(3), func(r *reading) { r.sent = 0 }), with(good(4), func(r *reading) { r.sent = 1 })},
			"-1 live datagrams with 2 numbers"},
		{"neither came nor missing", []reading{good(1), good(2), with(good(3), func(r *reading) { r.passed-- }), with(good(4), func(r *reading) { r.passed-- })},
			"2 live datagrams, of which 1 came and 0 are missing"},
	} {
		var tl tally
		now := time.Unix(1_000_000, 0)
		for _, r := range c.readings {
			tl.check(r, now)
			now = now.Add(time.Second)
		}
		if tl.broken != c.want || now.Before(tl.until) != (c.want != "") {
			t.Errorf("%s: %q until %v, want %q", c.name, tl.broken, tl.until, c.want)
		}
		if now = now.Add(namedFor); now.Before(tl.until) {
			t.Errorf("%s: it is named for ever", c.name)
		}
	}
}

// sized is a datagram that tells its number, and has so many bytes more.
func sized(seq syncwire.Seq, bytes int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(seq)), make([]byte, bytes)...)
}

// TestTallyOverBadNetwork loses, doubles and reorders datagrams and HELLOs at
// random, repeats with less in them than there was, and has the sender's socket
// refuse some: the counters agree. They do not where a datagram comes that was
// not sent so.
func TestTallyOverBadNetwork(t *testing.T) {
	compared, found := 0, 0
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 2))
		loss, late, twice := r.Float64()*0.2*float64(seed%3), r.Float64()*0.2*float64(seed%2), r.Float64()*0.1
		refuses := 0.02 * float64(seed%4/3)
		forged := seed%5 == 0 && loss+late+refuses == 0 // what no network does
		const n = 4000
		var w wire
		l := newListener(t)
		begin := l.now
		now := func() time.Time { return begin.Add(w.at) }
		deliver := func([]byte) {}
		var tl tally
		number := syncwire.Seq(1<<32 - 1 - r.Uint32N(2*n))
		var sent, sentBytes uint64
		way := func(do func()) { // one datagram's
			for range 1 + int(r.Float64()+twice) {
				if r.Float64() < loss {
					continue
				}
				delay := time.Millisecond
				if r.Float64() < late {
					delay = time.Duration(r.IntN(int(40 * time.Millisecond)))
				}
				w.in(delay, do)
			}
		}
		for i := range n {
			w.in(time.Duration(i)*300*time.Microsecond, func() {
				number++
				seq, size := number, 40*(1+r.IntN(36))
				b := sized(seq, size)
				refused := r.Float64() < refuses
				if !refused || r.IntN(2) == 0 { // some leave all the same
					if forged && i > n/2 && r.IntN(100) == 0 {
						b = b[:len(b)-4]
					}
					way(func() { l.take(syncwire.Live, seq, b, now(), deliver) })
				}
				if !refused {
					sent, sentBytes = sent+1, sentBytes+uint64(4+size)
				}
				if i%50 == 0 {
					said := reading{number: number, sent: sent, sentBytes: sentBytes}
					way(func() {
						l.expectUpTo(said.number, now(), deliver)
						if l.next == said.number+1 {
							said := said
							said.passed, said.skipped, said.passedBytes = l.passed, l.skipped, l.stream.bytes
							tl.check(said, now())
							compared++
						}
					})
				}
				ask, _ := l.tick(now(), deliver)
				for _, a := range ask {
					for seq := syncwire.Seq(a.From); !seq.After(syncwire.Seq(a.To)); seq++ {
						way(func() { l.take(syncwire.Repeat, seq, sized(seq, 40), now(), deliver) })
					}
				}
			})
		}
		w.run()
		switch {
		case forged && tl.broken == "":
			t.Errorf("seed %d: what was changed on the way is not noticed", seed)
		case forged:
			found++
		case tl.broken != "":
			t.Errorf("seed %d: %s", seed, tl.broken)
		case !tl.agreed:
			t.Errorf("seed %d: nothing was compared", seed)
		}
	}
	if found < 3 || compared < 1000 {
		t.Errorf("%d comparisons, %d found", compared, found)
	}
}

// tells says HELLO with how many bytes it has sent, and so many more.
func (s *scripted) tells(bytes, more uint64) {
	s.t.Helper()
	s.say(&syncwire.Hello{Sync: syncwire.SyncAlone, Settings: ttl, Software: "test",
		TellsLive: true, LiveDatagrams: uint64(s.last), LiveBytes: bytes + more})
}

// TestSentIsNotWhatCame has a peer whose count is not what came from it, twice in a
// row, and once only.
func TestSentIsNotWhatCame(t *testing.T) {
	for _, c := range []struct {
		name string
		more []uint64 // bytes that each HELLO tells too many
		want bool
	}{
		{"all is well", []uint64{0, 0, 0, 0}, false},
		{"one is forged", []uint64{0, 0, 1000, 0, 0}, false},
		{"wrong from one on", []uint64{0, 0, 40, 40}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, h := beside(t)
			for i, more := range c.more {
				s.live(sessionsAt(10*i, 5)...)
				s.tells(uint64(200*(i+1)), more)
			}
			eventually(t, "all has come", func() bool { return h.counters.Stats().NetRcvdPackets == uint64(len(c.more)) })
			s.live(sessionAt(1000, 0))
			eventually(t, "all HELLOs have been read", func() bool { return h.counters.Stats().NetRcvdPackets == uint64(len(c.more))+1 })
			broken := strings.Join(h.Sync().Broken, "; ")
			const text = "NET_SENT of peer fd64::1: 440 bytes in 2 live datagrams, of which 400 bytes came in 2"
			if c.want && broken != text || !c.want && broken != "" {
				t.Errorf("%q", broken)
			}
		})
	}
}

// TestSentIsWhatCame has two hosts send to each other over a lossy network: both
// compare, and nothing disagrees.
func TestSentIsWhatCame(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	first, second := newStandby(t, jool4115, a), newStandby(t, jool419, b)
	for _, h := range []*host{first, second} {
		h.start()
		h.lossy(5)
	}
	agreed := func(h *host) (yes bool) {
		h.onThread(func(p *pumps) {
			for _, from := range p.w.peers.byAddress {
				yes = from.tally.agreed && from.stream.passed > 50 && from.stream.skipped > 0
			}
		})
		return yes
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; !agreed(first) || !agreed(second); i++ {
		if i == 3000 {
			t.Fatal("they have not compared anything")
		}
		first.report(sessionsAt(40*i, 40)...)
		second.report(sessionsAt(1_000_000+14*i, 14)...)
		<-tick.C
	}
	for _, h := range []*host{first, second} {
		if broken := h.Sync().Broken; len(broken) > 0 {
			t.Errorf("%q", broken)
		}
	}
}

// TestOldSoftwareIsNotCompared hears a peer that tells no counts.
func TestOldSoftwareIsNotCompared(t *testing.T) {
	p := &pumps{w: &Worker{counters: new(Counters)}}
	from := p.w.peers.heard(group6, time.Unix(1, 0))
	for n := range syncwire.Seq(5) {
		from.stream.take(syncwire.Live, n+1, make([]byte, 40), time.Unix(1, 0), func([]byte) {})
		p.compareLive(from, &syncwire.Hello{}, n+1, time.Unix(1, 0))
	}
	if from.tally != (tally{}) {
		t.Errorf("%+v", from.tally)
	}
}
