package worker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// still replaces the time and the network socket of a worker.
type still struct {
	outside
	at   time.Time
	sent int
}

func (s *still) now() time.Time { return s.at }

func (s *still) sendOut(*packetio.Batch) { s.sent++ }

// TestGreetingsOnBeats wakes a worker up for its greetings only. Once it has greeted often enough to be heard, each is at a moment at
// which an idle worker wakes up for a HELLO, too.
func TestGreetingsOnBeats(t *testing.T) {
	var due dueAt
	begin := time.Unix(1_000_000, 0)
	do := &still{at: begin.Add(1234 * time.Millisecond)}
	p := newPumps(New(standbySpec("a"), Env{}, new(Counters)))
	p.do, p.timer, p.beats.Epoch, p.format = do, &due, begin, jool4115.Format()
	spec := p.w.spec()
	spec.Security, spec.Keys = configdir.SecurityAccept, seal.NewKeys(seal.NewKey(1))
	p.setSecurity(spec, do.at)
	next := p.greetWhenDue(do.at)
	if do.sent != 1 {
		t.Errorf("%d greetings at the start, want 1", do.sent)
	}
	for end := begin.Add(200 * time.Second); do.at.Before(end); {
		do.at = next.Add(time.Millisecond) // a timer is late
		before := do.sent
		next = p.greetWhenDue(do.at)
		if do.sent != before+1 {
			t.Fatalf("%v after the start, the worker wakes up and sends %d greetings", do.at.Sub(begin), do.sent-before)
		}
		if since := do.at.Sub(begin); since > 20*time.Second && since.Truncate(replication.IdleBeat) != since.Truncate(10*time.Millisecond) {
			t.Errorf("a greeting %v after the start", since)
		}
	}
	if do.sent > 40 {
		t.Errorf("%d greetings in 200 s", do.sent)
	}
}

// TestSealedNoAllocations checks that a sealed datagram allocates no memory, neither at its sender nor at its receiver.
func TestSealedNoAllocations(t *testing.T) {
	const runs = 50
	newTestbed(t, 2).standby(0).keyed(configdir.SecurityAccept, seal.NewKey(1)).step(func(d *stepped) {
		d.mode = configdir.SecurityRequire
		peer := d.peer(t)
		if peer == nil {
			return // not Fatal, which would end the worker's thread
		}
		d.greetAt = time.Now().Add(time.Hour)
		for _, together := range []int{1, 3, batch + 2} {
			d.outNoAllocations(jool4115, together, runs)
		}
		for _, together := range []int{1, batch} {
			lists := d.numbered(d.newLists(session.Packed40, together*(runs+1)))
			for i := range lists {
				b := append(make([]byte, seal.HeadLen), syncwire.AppendSealed(nil, lists[i], session.Packed40)...)
				lists[i] = peer.Seal(nil, b[seal.HeadLen:], time.Now())
			}
			d.none(fmt.Sprintf("%d sealed datagrams", together), runs, func(i int) {
				d.receive(lists[together*i : together*(i+1)]...)
			})
		}
		if l := d.w.counters.Losses(); l != (Losses{}) {
			t.Errorf("losses %+v", l)
		}
	})
}

// peer returns the Channel of a host that the worker accepts, and that accepts the worker; nil if that takes too long.
func (d *stepped) peer(t testing.TB) *seal.Channel {
	peer := seal.NewChannel(d.keys, d.context, time.Now())
	for end := time.Now().Add(patience); peer.Links() == 0 || d.channel.Links() == 0; {
		if time.Now().After(end) {
			t.Errorf("%d and %d links", peer.Links(), d.channel.Links())
			return nil
		}
		d.hear(peer.Greet(nil, time.Now()))
		d.greetAt = time.Time{}
		d.greetWhenDue(time.Now())
		for greeted := false; !greeted || d.ready(d.group); { // the worker's earlier datagrams are queued before its greeting
			n := d.read(d.group)
			greeted = seal.IsSealed(d.buf[:n])
			peer.Open(d.buf[:n], time.Now())
		}
	}
	for d.ready(d.group) {
		d.read(d.group)
	}
	return peer
}

// BenchmarkRefused measures what a datagram costs that the worker drops, from the socket on. The same datagrams without a key on the host
// show what the key adds.
func BenchmarkRefused(b *testing.B) {
	authentic := seal.NewChannel(seal.NewKeys(seal.NewKey(1)), seal.Context{}, time.Now()).Seal(nil, make([]byte, 1400), time.Now())
	for _, c := range []struct {
		name   string
		change func(d []byte, known []byte, i int)
	}{
		{"unknown run", func(d, _ []byte, i int) { binary.BigEndian.PutUint64(d[4:], uint64(i)) }},
		{"known run, not authentic", func(d, known []byte, i int) {
			copy(d, known[:seal.HeadLen])
			binary.BigEndian.PutUint64(d[seal.HeadLen-8:], 1<<32+uint64(i))
		}},
		{"replayed", func(d, known []byte, _ int) { copy(d, known) }},
		{"removed key", func(d, _ []byte, _ int) { d[3] = 9 }},
		{"clear", func(d, _ []byte, _ int) { d[2] = 1 }},
	} {
		for _, mode := range []configdir.Security{configdir.SecurityRequire, configdir.SecurityOff} {
			b.Run(c.name+", "+mode.String(), func(b *testing.B) {
				newTestbed(b, 2).standby(0).keyed(configdir.SecurityAccept, seal.NewKey(1)).step(func(d *stepped) {
					peer := d.peer(b)
					if peer == nil {
						return
					}
					known := peer.Seal(nil, make([]byte, 1400), time.Now())
					if d.mode = mode; mode == configdir.SecurityOff {
						d.channel = nil
					}
					d.greetAt = time.Now().Add(time.Hour)
					together := make([][]byte, batch)
					for i := range together {
						together[i] = bytes.Clone(authentic)
					}
					var took time.Duration
					b.ReportAllocs()
					for n := 0; n < b.N; n += batch {
						for i, datagram := range together {
							c.change(datagram, known, n+i)
							if err := d.to.Send(d.group, datagram); err != nil {
								panic(err)
							}
						}
						d.wait(d.socket.fd)
						began := time.Now()
						d.fromNetwork()
						took += time.Since(began)
					}
					b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/datagram")
				})
			})
		}
	}
}

// ready reports whether a socket has something to read.
func (d *stepped) ready(fd int) bool { return (&netSocket{fd: fd}).waits() }
