package seal

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestLinks has a peer greet and send contents, and not hear the host any more: the link says so. Forged and replayed datagrams do not
// change it.
func TestLinks(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, testKeys, start)
	here, there := netip.MustParseAddr("fd64::2"), netip.MustParseAddr("fd64::3")
	links := func(want ...Link) {
		t.Helper()
		if d := cmp.Diff(want, a.AppendLinks(nil), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("links (-want +got):\n%s", d)
		}
	}
	deliver := func(from netip.Addr, datagram []byte, at time.Time, want Outcome) {
		t.Helper()
		if _, outcome := a.OpenFrom(from, bytes.Clone(datagram), at); outcome != want {
			t.Errorf("outcome %d, want %d", outcome, want)
		}
	}
	deliver(here, b.Seal(nil, []byte("\x01early"), start), start, Unconfirmed)
	links()
	linkUp(t, start, a, b)
	now := start
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }

	content := b.Seal(nil, []byte("\x01content"), after(time.Second))
	deliver(here, content, now, Opened)
	want := Link{From: here, Key: 1, GreetedAt: start, ContentAt: now}
	links(want)

	deliver(there, content, after(time.Second), Replayed)
	content[len(content)-1] ^= 1
	content[27]++
	deliver(there, content, now, Forged)
	links(want)

	greeting := b.Greet(nil, after(10*time.Second))
	deliver(there, greeting, now, Greeting)
	want.From, want.GreetedAt = there, now
	links(want)

	for range 9 { // the peer forgets the host's run, which it has not heard for a minute
		greeting = b.Greet(nil, after(10*time.Second))
		deliver(there, greeting, now, Greeting)
		if want.GreetedAt = now; now.Sub(start) > keepFor && want.DeafSince.IsZero() {
			want.DeafSince = now
		}
		links(want)
	}
	if want.DeafSince.IsZero() {
		t.Error("the peer always heard the host")
	}
	linkUpAgain := func() {
		for range 3 {
			b.Open(a.Greet(nil, now), now)
			deliver(there, b.Greet(nil, now), now, Greeting)
		}
	}
	linkUpAgain()
	want.GreetedAt, want.DeafSince = now, time.Time{}
	links(want)
}

// TestLinkOfNextRun has a peer begin its next run: there is one link, that of the new run.
func TestLinkOfNextRun(t *testing.T) {
	a, b := seeded(1, testKeys, start), seeded(2, NewKeys(keyOf(2, 2)), start)
	both := NewKeys(keyOf(1, 1), keyOf(2, 2))
	a.SetKeys(both, start)
	b.SetKeys(both, start)
	linkUp(t, start, a, b)
	b.SetKeys(NewKeys(keyOf(2, 2), keyOf(1, 1)), start)
	for range 5 {
		b.Open(a.Greet(nil, start), start)
		a.Open(b.Greet(nil, start), start)
	}
	if links := a.AppendLinks(nil); len(links) != 1 || links[0].Key != 2 {
		t.Errorf("links %+v, want one with key 2", links)
	}
}
