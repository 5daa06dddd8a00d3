package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var testContext = Context{netip.MustParseAddr("ff08::db8:64:64"), 6464}

// start is the time at which tests begin.
var start = time.Unix(1_000_000_000, 0)

// testKeys are one key.
var testKeys = NewKeys(keyOf(1, 1))

// seeded returns a Channel whose runs follow from a seed.
func seeded(seed uint64, keys Keys, now time.Time) *Channel {
	r := rand.New(rand.NewPCG(seed, seed))
	return NewSimulated(keys, testContext, now, func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	})
}

// linkUp exchanges greetings until the Channels accept each other.
func linkUp(t testing.TB, now time.Time, channels ...*Channel) {
	t.Helper()
	for range 3 {
		for _, from := range channels {
			greeting := from.Greet(nil, now)
			for _, to := range channels {
				if _, outcome := to.Open(bytes.Clone(greeting), now); to != from && outcome != Greeting {
					t.Fatalf("a greeting is %v", outcome)
				}
			}
		}
	}
	for _, c := range channels {
		if !c.confirmed() || c.Links() != uint64(len(channels)-1) {
			t.Fatalf("a host is not confirmed: %d links", c.Links())
		}
	}
}

// opens checks the outcome of a datagram, and its content if it is opened.
func opens(t *testing.T, c *Channel, datagram []byte, now time.Time, want Outcome, content string) {
	t.Helper()
	got, outcome := c.Open(bytes.Clone(datagram), now)
	if outcome != want || want == Opened && string(got) != content || want != Opened && got != nil {
		t.Errorf("outcome %d with %q, want %d with %q", outcome, got, want, content)
	}
}

// golden is a datagram of the third counter of a run, sealed with the key 00 01 02 … 1f: head, run ID with its mark, counter,
// ciphertext and tag.
const golden = "00000207" + "a0a1a2a3a4a5a6a7a8a9aaab" + "949456a1" + "0000000000000003" + "96e61cac62e922b099" + "148a7f9a16a4ce179596e444124c027a"

// TestGolden compares a datagram with one that another implementation of HKDF and GCM has sealed.
func TestGolden(t *testing.T) {
	keys, err := ParseKeys([]byte("7:" + someKey))
	if err != nil {
		t.Fatal(err)
	}
	next := byte(0xa0)
	c := NewSimulated(keys, testContext, start, func(b []byte) {
		for i := range b {
			b[i] = next
			next++
		}
	})
	text, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	_, documented, _ := strings.Cut(string(text), "```hex sealed\n")
	documented, _, _ = strings.Cut(documented, "```")
	if got := strings.Join(strings.Fields(documented), ""); got != golden {
		t.Errorf("docs/wire.md has %s", got)
	}
	c.own.counter = 2
	if got := hex.EncodeToString(c.Seal(nil, []byte("\x01sessions"), start)); got != golden {
		t.Errorf("\n got %s\nwant %s", got, golden)
	}
}

func TestOutcomes(t *testing.T) {
	a, b, c := seeded(1, testKeys, start), seeded(2, testKeys, start), seeded(3, testKeys, start)
	early := b.Seal(nil, []byte("\x01early"), start)
	opens(t, a, early, start, Unconfirmed, "")
	linkUp(t, start, a, b, c)
	opens(t, a, early, start, Replayed, "")
	first, second := b.Seal(nil, []byte("\x01first"), start), b.Seal(nil, []byte("\x01second"), start)
	opens(t, a, second, start, Opened, "\x01second")
	opens(t, a, first, start, Opened, "\x01first")
	opens(t, c, first, start, Opened, "\x01first")
	opens(t, a, first, start, Replayed, "")
	opens(t, b, first, start, Own, "")

	third := b.Seal([]byte("before"), []byte("\x01third"), start)[len("before"):]
	for i := range third {
		mutated := bytes.Clone(third)
		mutated[i] ^= 0x10
		content, outcome := a.Open(mutated, start)
		if content != nil || outcome != Forged && outcome != UnknownKey && outcome != Replayed {
			t.Errorf("byte %d changed: outcome %d with %q", i, outcome, content)
		}
	}
	for n := range third {
		opens(t, a, third[:n], start, Forged, "")
	}
	opens(t, a, append(bytes.Clone(third), 0), start, Forged, "")
	opens(t, a, third, start, Opened, "\x01third")

	opens(t, a, b.Seal(nil, nil, start), start, Malformed, "")
	opens(t, a, b.Seal(nil, []byte{KindGreeting, 1}, start), start, Malformed, "")
	opens(t, a, seeded(4, NewKeys(keyOf(9, 1)), start).Seal(nil, []byte{1}, start), start, UnknownKey, "")
	opens(t, a, seeded(5, NewKeys(keyOf(1, 9)), start).Seal(nil, []byte{1}, start), start, Forged, "")
	other := NewSimulated(testKeys, Context{testContext.Group, 6465}, start, a.random)
	opens(t, a, other.Seal(nil, []byte{1}, start), start, Forged, "")
	other = NewSimulated(testKeys, Context{netip.MustParseAddr("ff08::1"), 6464}, start, a.random)
	opens(t, a, other.Seal(nil, []byte{1}, start), start, Forged, "")
	other = NewSimulated(testKeys, Context{}, start, a.random)
	opens(t, a, other.Seal(nil, []byte{1}, start), start, Forged, "")
	outcome := Opened
	for i := range uint64(2 * triesAtOnce) {
		_, outcome = a.Open(seeded(100+i, testKeys, start).Seal(nil, []byte{1}, start), start)
	}
	if outcome != Throttled {
		t.Errorf("the last of many unknown runs is %d", outcome)
	}
}

// TestUnicastContext has two hosts without a group and with different ports open each other's datagrams.
func TestUnicastContext(t *testing.T) {
	a, b := NewSimulated(testKeys, Context{Port: 1}, start, seeded(1, testKeys, start).random), NewSimulated(testKeys, Context{Port: 2}, start, seeded(2, testKeys, start).random)
	linkUp(t, start, a, b)
	opens(t, a, b.Seal(nil, []byte("\x01content"), start), start, Opened, "\x01content")
}

// TestInPlace seals a content that lies where its ciphertext is written.
func TestInPlace(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	linkUp(t, start, a, b)
	buffer := append(make([]byte, HeadLen, 2000), "\x01content"...)
	sealed := a.Seal(buffer[:0], buffer[HeadLen:], start)
	if &sealed[0] != &buffer[0] || len(sealed) != Overhead+8 {
		t.Errorf("%d bytes, elsewhere: %v", len(sealed), &sealed[0] != &buffer[0])
	}
	opens(t, b, sealed, start, Opened, "\x01content")
}

// TestRecordingIsUseless replays all that a host has sent to a peer that was restarted. The peer opens a datagram of the host only after
// a greeting that the host sent after the restart, and none from before it.
func TestRecordingIsUseless(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	linkUp(t, start, a, b)
	var recorded [][]byte
	for i := range 100 {
		recorded = append(recorded, a.Seal(nil, fmt.Append(nil, "\x01", i), start), a.Greet(nil, start), b.Greet(nil, start))
		opens(t, a, recorded[len(recorded)-1], start, Greeting, "")
	}
	restarted := seeded(3, testKeys, start)
	replay := func(when string) {
		for i, d := range recorded {
			if _, outcome := restarted.Open(bytes.Clone(d), start); outcome == Opened {
				t.Errorf("%s: datagram %d of the recording is opened", when, i)
			}
		}
	}
	replay("at the start")
	opens(t, a, restarted.Greet(nil, start), start, Greeting, "")
	proof := a.Greet(nil, start)
	held := a.Seal(nil, []byte("\x01new"), start)
	opens(t, restarted, proof, start, Greeting, "")
	replay("after the proof")
	opens(t, restarted, held, start, Opened, "\x01new")
}

// TestSilentRun lets a host forget the run of a silent peer. A recording of the peer, which names the present run of the host, is
// refused, but the peer itself is accepted again.
func TestSilentRun(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	now := start
	recorded := [][]byte{a.Greet(nil, now)}
	opens(t, b, recorded[0], now, Greeting, "")
	opens(t, a, b.Greet(nil, now), now, Greeting, "")
	for range 10 {
		recorded = append(recorded, a.Greet(nil, now), a.Seal(nil, []byte{1}, now))
	}
	for _, d := range recorded[1:] {
		if _, outcome := b.Open(bytes.Clone(d), now); outcome != Opened && outcome != Greeting {
			t.Errorf("outcome %d", outcome)
		}
	}
	now = now.Add(2 * keepFor)
	b.Greet(nil, now)
	if len(b.runs) != 0 || len(b.silent) != 1 {
		t.Errorf("%d runs, %d silent ones", len(b.runs), len(b.silent))
	}
	for _, d := range recorded {
		opens(t, b, d, now, Replayed, "")
	}
	opens(t, b, a.Seal(nil, []byte{1}, now), now, Unconfirmed, "")
	opens(t, a, b.Greet(nil, now), now, Greeting, "")
	opens(t, b, a.Greet(nil, now), now, Greeting, "")
	opens(t, b, a.Seal(nil, []byte{1}, now), now, Opened, "\x01")
}

// TestManyRuns opens datagrams of more runs than a host remembers.
func TestManyRuns(t *testing.T) {
	c, now := seeded(1, testKeys, start), start
	bounded := func() {
		if n := len(c.runs); n > maxRuns+maxCandidates {
			t.Fatalf("%d runs", n)
		}
		if n := len(c.silent); n > maxSilent {
			t.Fatalf("%d silent runs", n)
		}
	}
	for i := range uint64(500) { // recordings
		now = now.Add(time.Millisecond)
		c.Open(seeded(1000+i, testKeys, now).Greet(nil, now), now)
		bounded()
	}
	turns := c.turns
	for i := range uint64(3 * maxSilent) { // peers that are restarted again and again
		now = now.Add(10 * time.Millisecond)
		p := seeded(10_000+i, testKeys, now)
		p.Open(c.Greet(nil, now), now)
		c.Open(p.Greet(nil, now), now)
		bounded()
	}
	if c.turns == turns {
		t.Error("the host has never renewed its run, although it has forgotten many runs that were accepted")
	}
}

// TestGreetingsWhileIdle counts the greetings of two hosts, of a host alone, and of one that is heard but hears nothing.
func TestGreetingsWhileIdle(t *testing.T) {
	for _, c := range []struct {
		name  string
		hosts int
		deaf  bool
		most  int
	}{{"two hosts", 2, false, 14}, {"alone", 1, false, 26}, {"the second host hears nothing", 2, true, 45}} {
		t.Run(c.name, func(t *testing.T) {
			var hosts []*Channel
			for i := range c.hosts {
				hosts = append(hosts, seeded(uint64(i), testKeys, start))
			}
			greetings := make([]int, c.hosts)
			for now := start; now.Before(start.Add(100 * time.Second)); now = now.Add(10 * time.Millisecond) {
				for i, h := range hosts {
					if now.Before(h.Due()) {
						continue
					}
					greetings[i]++
					g := h.Greet(nil, now)
					for k, other := range hosts {
						if k != i && !(c.deaf && k == 1) {
							other.Open(bytes.Clone(g), now)
						}
					}
				}
			}
			for i, n := range greetings {
				if n > c.most || n < 10 {
					t.Errorf("host %d greets %d times in 100 s, want 10 to %d", i, n, c.most)
				}
			}
		})
	}
}

// TestOneWay has two hosts of which the second hears nothing: it never accepts the first, and the first opens nothing of it.
func TestOneWay(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	for i := range 20 {
		now := start.Add(time.Duration(i) * time.Second)
		opens(t, a, b.Greet(nil, now), now, Greeting, "")
		opens(t, a, b.Seal(nil, []byte{1}, now), now, Unconfirmed, "")
		a.Greet(nil, now)
	}
	if a.confirmed() || a.Links() != 0 {
		t.Error("the host is confirmed")
	}
}

// TestClockStep sets the wall clock of a host: it begins a new run at once, and opens nothing from before.
func TestClockStep(t *testing.T) {
	for _, step := range []time.Duration{-time.Hour, -1001 * time.Millisecond, 900 * time.Millisecond, 1001 * time.Millisecond, 24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
			linkUp(t, start, a, b)
			before, own := b.Seal(nil, []byte{1}, start), a.own.run
			a.last, a.wall = start, func(at time.Time) time.Time {
				if at.After(start) {
					return at.Add(step)
				}
				return at
			}
			now := start.Add(time.Second)
			if step.Abs() <= maxClockStep {
				opens(t, a, before, now, Opened, "\x01")
				return
			}
			opens(t, a, before, now, Unconfirmed, "")
			a.wall = func(at time.Time) time.Time { return at }
			if a.own.run == own {
				t.Error("the run is the same")
			}
			if a.Due().After(now) {
				t.Error("no greeting is due")
			}
			opens(t, b, a.Greet(nil, now), now, Greeting, "")
			later := b.Seal(nil, []byte{1}, now)
			opens(t, a, later, now, Unconfirmed, "")
			opens(t, a, b.Greet(nil, now), now, Greeting, "")
			opens(t, a, later, now, Replayed, "")
			opens(t, a, b.Seal(nil, []byte{1}, now), now, Opened, "\x01")
			opens(t, b, a.Seal(nil, []byte{1}, now), now, Opened, "\x01")
			if a.Links() != 2 {
				t.Errorf("%d links, want a second one", a.Links())
			}
		})
	}
}

// TestSetKeys changes the keys of one host in different ways.
func TestSetKeys(t *testing.T) {
	one, two, three := keyOf(1, 1), keyOf(2, 2), keyOf(1, 3)
	for _, c := range []struct {
		name           string
		keys           []Key
		key            uint8 // of the run afterwards
		announced      bool
		renewed, opens bool
	}{
		{"the same", []Key{one}, 1, false, false, true},
		{"another one behind", []Key{one, two}, 1, false, false, true},
		{"another one before", []Key{two, one}, 1, true, false, true},
		{"another one instead", []Key{two}, 2, false, true, false},
		{"another one of the same ID", []Key{three}, 1, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := seeded(1, NewKeys(one), start), seeded(2, NewKeys(one), start)
			linkUp(t, start, a, b)
			own := a.own.run
			a.SetKeys(NewKeys(c.keys...), start)
			if a.own.key != c.key || (a.own.run != own) != c.renewed || (a.next != nil) != c.announced {
				t.Errorf("key %d, renewed %v, announced %v", a.own.key, a.own.run != own, a.next != nil)
			}
			_, outcome := a.Open(b.Seal(nil, []byte{1}, start), start)
			if (outcome == Opened) != c.opens {
				t.Errorf("outcome %d", outcome)
			}
			a.SetKeys(NewKeys(one), start)
			if a.next != nil || a.own.key != 1 {
				t.Errorf("back to the first key: announced %v, key %d", a.next != nil, a.own.key)
			}
		})
	}
}
