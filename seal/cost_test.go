package seal

import (
	"bytes"
	"testing"
	"time"
)

func TestAllocations(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	linkUp(t, start, a, b)
	content, buffer := make([]byte, 1400), make([]byte, 0, 1500)
	content[0] = 1
	now := start
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		buffer = a.Seal(buffer[:0], content, now)
		if _, outcome := b.Open(buffer, now); outcome != Opened {
			t.Fatal(outcome)
		}
	}); n != 0 {
		t.Errorf("%v allocations per datagram", n)
	}
	forged := bytes.Clone(buffer)
	if n := testing.AllocsPerRun(100, func() {
		forged[4]++ // another run
		if _, outcome := b.Open(forged, now); outcome != Forged {
			t.Fatal(outcome)
		}
	}); n != 0 {
		t.Errorf("%v allocations per forged datagram", n)
	}
}

func BenchmarkSealOpen(b *testing.B) {
	x, y := seeded(1, testKeys, start), seeded(2, testKeys, start)
	linkUp(b, start, x, y)
	content, buffer := make([]byte, 1400), make([]byte, 0, 1500)
	content[0] = 1
	b.ReportAllocs()
	for b.Loop() {
		buffer = x.Seal(buffer[:0], content, start)
		if _, outcome := y.Open(buffer, start); outcome != Opened {
			b.Fatal(outcome)
		}
	}
}

// BenchmarkForged opens datagrams that an attacker has made: of an unknown run, and of a known one with a later counter, which cost most.
func BenchmarkForged(b *testing.B) {
	for _, c := range []struct {
		name string
		next func(forged []byte)
	}{
		{"unknown run", func(forged []byte) {
			forged[4]++
			forged[19] ^= 1
		}},
		{"known run", func(forged []byte) { forged[HeadLen-1]++ }},
	} {
		b.Run(c.name, func(b *testing.B) {
			host, peer := seeded(1, testKeys, start), seeded(2, testKeys, start)
			linkUp(b, start, host, peer)
			authentic := peer.Seal(nil, make([]byte, 1400), start)
			authentic[HeadLen-2] = 1 // later than any counter of the peer
			forged := make([]byte, len(authentic))
			b.ReportAllocs()
			for b.Loop() {
				c.next(authentic)
				copy(forged, authentic)
				if _, outcome := host.Open(forged, start); outcome != Forged {
					b.Fatal(outcome)
				}
			}
		})
	}
}

// FuzzOpen opens any bytes, and datagrams that differ from an authentic one by any bytes.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte{0, 0, Version, 1}, false)
	f.Add(make([]byte, Overhead), false)
	f.Add(make([]byte, 100), true)
	f.Add(seeded(2, testKeys, start).Greet(nil, start), false)
	f.Add([]byte{30: 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, mutate bool) {
		host, peer := seeded(1, testKeys, start), seeded(2, testKeys, start)
		linkUp(t, start, host, peer)
		authentic := peer.Seal(nil, []byte("\x01content"), start)
		changed := !mutate
		if mutate {
			d := bytes.Clone(authentic)
			for i := range min(len(b), len(d)) {
				d[i] ^= b[i]
			}
			changed, b = !bytes.Equal(d, authentic), d
		}
		content, outcome := host.Open(bytes.Clone(b), start)
		if changed && (outcome == Opened || outcome == Malformed) || !changed && string(content) != "\x01content" {
			t.Errorf("%x: outcome %d with %q", b, outcome, content)
		}
		if changed && IsSealed(b) && outcome == Greeting {
			t.Errorf("%x: a greeting", b)
		}
	})
}
