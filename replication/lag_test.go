package replication

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

var lagStart = time.Unix(1_000_000, 0)

// TestLag has datagrams of ten sessions each sent every second from number 1 on, and one HELLO.
func TestLag(t *testing.T) {
	at := func(s float64) time.Time { return lagStart.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name   string
		sent   int // datagrams
		own    uint32
		stored syncwire.Position
		known  bool
		came   float64 // seconds after the first datagram
		want   Lag
	}{
		{"nothing was sent", 0, 0, syncwire.Position{}, false, 1, Lag{Known: true}},
		{"never compared", 3, 0, syncwire.Position{}, false, 5, Lag{}},
		{"all stored", 3, 1, syncwire.Position{Generation: 1, Seq: 3}, true, 60, Lag{Known: true}},
		{"a peer that says it has more", 3, 1, syncwire.Position{Generation: 2, Seq: 9}, true, 60, Lag{Known: true}},
		{"sessions in no live datagram are missing", 3, 2, syncwire.Position{Generation: 1, Seq: 3}, true, 5, Lag{}},
		{"the last one is missing", 3, 0, syncwire.Position{Seq: 2}, true, 5, Lag{Known: true, Sessions: 10, Age: 3 * time.Second}},
		{"two are missing", 3, 0, syncwire.Position{Seq: 1}, true, 2.5, Lag{Known: true, Sessions: 20, Age: 1500 * time.Millisecond}},
		{"one was sent after the HELLO arrived", 4, 0, syncwire.Position{Seq: 2}, true, 2.5, Lag{Known: true, Sessions: 10, Age: 500 * time.Millisecond}},
		{"all that is missing was", 4, 0, syncwire.Position{Seq: 3}, true, 2.5, Lag{Known: true}},
		{"the log does not reach back so far", lagMarks + 9, 0, syncwire.Position{Seq: 1}, true, lagMarks + 9, Lag{}},
		{"the log just reaches back so far", lagMarks + 9, 0, syncwire.Position{Seq: 9}, true, lagMarks + 9,
			Lag{Known: true, Sessions: 10 * lagMarks, Age: lagMarks * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s SentLog
			for i := range c.sent {
				s.Put(syncwire.Seq(i+1), 10, at(float64(i)))
			}
			var l lagging
			l.take(c.stored, c.known, syncwire.Position{Generation: c.own, Seq: syncwire.Seq(c.sent)}, &s, at(c.came))
			if diff := cmp.Diff(c.want, l.Lag); diff != "" {
				t.Errorf("lag (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLagBeyondTheLog has a peer fall behind further than the log reaches: its lag grows on, and is not lost with the log.
func TestLagBeyondTheLog(t *testing.T) {
	var s SentLog
	var l lagging
	now := lagStart
	for i := range 4 * lagMarks {
		seq := syncwire.Seq(i + 1)
		now = lagStart.Add(time.Duration(i) * time.Second)
		s.Put(seq, 10, now)
		l.take(syncwire.Position{Seq: min(seq, 5)}, true, syncwire.Position{Seq: seq}, &s, now.Add(time.Millisecond))
	}
	want := Lag{Known: true, Sessions: 10 * (4*lagMarks - 5), Age: now.Add(time.Millisecond).Sub(lagStart.Add(5 * time.Second))}
	if diff := cmp.Diff(want, l.Lag); diff != "" {
		t.Errorf("lag (-want +got):\n%s", diff)
	}
	s.Free()
	later := now.Add(time.Minute)
	l.take(syncwire.Position{Seq: 5}, true, syncwire.Position{Seq: 4 * lagMarks}, &s, later)
	if want.Age += time.Minute - time.Millisecond; l.Lag != want {
		t.Errorf("without the log the lag is %+v, want %+v", l.Lag, want)
	}
	l.take(syncwire.Position{Seq: 4 * lagMarks}, true, syncwire.Position{Seq: 4 * lagMarks}, &s, later)
	if l.Lag != (Lag{Known: true}) {
		t.Errorf("a peer that has caught up has the lag %+v", l.Lag)
	}
}

// TestLagBounds has a host send at random rates and a peer store at random speeds. At each HELLO, the lag is not below what the
// peer lacks when the HELLO arrives, and not above what the peer lacked when it sent the HELLO, but for the precision of the log.
func TestLagBounds(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 15))
		l := newLagModel(r.Uint32())
		compared := 0
		for range 400 {
			for range r.IntN(80) {
				l.pass(time.Duration(r.ExpFloat64() * float64(time.Duration(1+r.IntN(5))*time.Millisecond)))
				l.send()
			}
			if r.IntN(3) > 0 {
				l.stored += r.IntN(l.last() + 1 - l.stored)
			}
			said := l.stored
			l.pass(time.Duration(r.IntN(int(30 * time.Millisecond))))
			if r.IntN(4) == 0 {
				l.stored = l.last() // while the HELLO is on its way
			}
			if r.IntN(5) == 0 {
				continue // the HELLO is lost
			}
			arrived := l.now
			if r.IntN(3) == 0 { // the host handles the HELLO later than it arrives, and sends meanwhile
				l.pass(time.Millisecond)
				l.send()
			}
			if problem := l.hello(said, arrived); problem != "" {
				t.Fatalf("seed %d: %s", seed, problem)
			}
			compared++
		}
		if compared < 100 || l.last() < 1000 {
			t.Fatalf("seed %d: only %d HELLOs and %d datagrams", seed, compared, l.last())
		}
	}
}

// lagModel is a host that sends datagrams of one session each, and a peer that stores them in their order. It knows
// exactly what the peer lacks.
type lagModel struct {
	log    SentLog
	lag    lagging
	before syncwire.Seq // the sequence number before the first datagram's: numbers wrap
	sent   []time.Time  // when each datagram was sent; datagram 0 does not exist
	stored int          // the last datagram that the peer has stored
	now    time.Time
}

func newLagModel(before uint32) *lagModel {
	return &lagModel{before: syncwire.Seq(before), sent: make([]time.Time, 1), now: lagStart}
}

func (l *lagModel) pass(d time.Duration) { l.now = l.now.Add(d) }

// last returns the number of the last datagram that was sent.
func (l *lagModel) last() int { return len(l.sent) - 1 }

func (l *lagModel) position(datagram int) syncwire.Position {
	return syncwire.Position{Seq: l.before + syncwire.Seq(datagram)}
}

func (l *lagModel) send() {
	l.sent = append(l.sent, l.now)
	l.log.Put(l.position(l.last()).Seq, 1, l.now)
}

// lacks returns the exact lag at a moment, of a peer that has stored the datagrams up to the given one.
func (l *lagModel) lacks(stored int, at time.Time) Lag {
	want := Lag{Known: true}
	for _, sent := range l.sent[stored+1:] {
		if !sent.Before(at) {
			break
		}
		if want.Age == 0 {
			want.Age = at.Sub(sent)
		}
		want.Sessions++
	}
	return want
}

// logged reports whether the log still has the time of a datagram.
func (l *lagModel) logged(datagram int) bool {
	return l.log.n < lagMarks || !l.log.mark(l.log.n-1).at.After(l.sent[datagram])
}

// hello has the host handle a HELLO in which the peer says what it had stored. It returns what is wrong with the lag.
func (l *lagModel) hello(said int, arrived time.Time) (problem string) {
	exact := said == l.last() || l.logged(said+1)
	l.lag.take(l.position(said), true, l.position(l.last()), &l.log, arrived)
	got, least, most := l.lag.Lag, l.lacks(l.stored, arrived), l.lacks(said, arrived)
	switch {
	case !got.Known || got.Age < least.Age || got.Sessions < least.Sessions:
		return fmt.Sprintf("lag %+v, the peer lacks %+v", got, least)
	case exact && got.Age > most.Age+markEvery:
		return fmt.Sprintf("lag %+v, the peer lacked %+v", got, most)
	case said == l.last() && got != (Lag{Known: true}):
		return fmt.Sprintf("lag %+v of a peer that lacked nothing", got)
	}
	return ""
}

// TestLagOfPeers has a host report sessions and receive HELLOs that have its position, or do not.
func TestLagOfPeers(t *testing.T) {
	e := newHost()
	e.host.Knowledge.Incarnate(0x51f, true, e.now)
	address := netip.MustParseAddr("fd64::2")
	generation := uint32(1)
	hello := func(vector ...syncwire.Component) Lag {
		t.Helper()
		m := syncwire.Message{Sender: 7, Body: &syncwire.Hello{Generation: generation, NextIn: 1, Software: "test", Settings: ttl, Vector: vector}}
		e.host.Message(address, m.Append(nil), e.now, e.now)
		info := e.host.Peers.AppendInfo(nil)
		if len(info) != 1 {
			t.Fatalf("peers: %+v", info)
		}
		return info[0].Lag
	}
	component := func(seq syncwire.Seq) syncwire.Component {
		p := syncwire.Position{Seq: seq}
		return syncwire.Component{Origin: e.host.Knowledge.Self(), Known: true, Complete: p, Highest: p}
	}
	if got := hello(); got != (Lag{Known: true}) {
		t.Errorf("before the first datagram: %+v", got)
	}
	e.host.Reported(packedList(t, sessionAt(0, 0), sessionAt(4, 0)), e.now)
	e.now = e.now.Add(time.Second)
	e.host.Reported(packedList(t, sessionAt(8, 0)), e.now)
	e.now = e.now.Add(time.Second)
	for _, c := range []struct {
		name   string
		vector []syncwire.Component
		want   Lag
	}{
		{"it has stored nothing", []syncwire.Component{component(0)}, Lag{Known: true, Sessions: 3, Age: 2 * time.Second}},
		{"it has stored the first datagram", []syncwire.Component{component(1)}, Lag{Known: true, Sessions: 1, Age: time.Second}},
		{"it has stored all", []syncwire.Component{component(2)}, Lag{Known: true}},
		{"it says nothing of this host", nil, Lag{}},
	} {
		if got := hello(c.vector...); got != c.want {
			t.Errorf("%s: lag %+v, want %+v", c.name, got, c.want)
		}
	}
	generation = 2
	hello(component(2))
	generation = 1
	if got := hello(component(0)); got != (Lag{Known: true}) {
		t.Errorf("after an older HELLO, which arrives at the same moment as the newer one: %+v", got)
	}
	generation = 2
	hello(component(2))
	e.counters = true
	e.host.Polled(ModuleCounters{Translated: 9}, e.now)
	e.host.Polled(ModuleCounters{Sessions: 1, Translated: 3}, e.now) // the instance is another one
	if got := e.host.Peers.AppendInfo(nil)[0].Lag; got.Known {
		t.Errorf("of a new incarnation: %+v", got)
	}
}
