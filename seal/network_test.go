package seal

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAttacker restarts hosts, changes keys and sets clocks while an attacker records, replays, mutates and forges, and while the network
// loses, duplicates and reorders datagrams. The attacker belongs to the group at first, until its key is removed.
func TestAttacker(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			n := newAttacked(t, seed)
			n.rounds(12)
			n.within(5 * time.Second)
			for outcome, count := range n.outcomes {
				if count == 0 && Outcome(outcome) < Malformed && Outcome(outcome) != Throttled && Outcome(outcome) != UnknownKey {
					t.Errorf("outcome %d never occurs: %v", outcome, n.outcomes)
				}
			}
			t.Logf("outcomes %v", n.outcomes)
		})
	}
}

// TestAttackerFinds breaks the hosts' protection. The attacker has them open what they must not.
func TestAttackerFinds(t *testing.T) {
	for _, c := range []struct {
		name, fails string
		broken      func(*Channel)
	}{
		{"no replay window", "opens a datagram twice", func(c *Channel) {
			for _, p := range c.runs {
				p.seen.bits, p.seen.highest = [windowWords]uint64{}, 0
			}
		}},
		{"runs are accepted at once", "opens its own datagram", func(c *Channel) {
			for _, p := range c.runs {
				p.accepted = p.accepted || p.authentic
			}
		}},
		{"runs that are silent are forgotten", "opens a datagram twice", func(c *Channel) { clear(c.silent) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := ""
			for seed := uint64(0); seed < 8 && found == ""; seed++ {
				n := newAttacked(t, seed)
				n.broken = c.broken
				n.fail = func(format string, args ...any) {
					if found == "" {
						found = fmt.Sprintf("seed %d: ", seed) + fmt.Sprintf(format, args...)
					}
				}
				for round := 0; round < 12 && found == ""; round++ {
					n.rounds(1)
				}
			}
			if found == "" || !strings.Contains(found, c.fails) {
				t.Errorf("found %q, want %q", found, c.fails)
			}
			t.Log(found)
		})
	}
}

// newAttacked returns a network of three hosts with an attacker whose key they have just removed.
func newAttacked(t *testing.T, seed uint64) *network {
	removed, one := keyOf(9, 9), keyOf(1, 1)
	n := newNetwork(t, seed, 3, NewKeys(removed), 50*time.Millisecond)
	n.loss, n.duplicates = 0.05, 0.02
	n.insider = NewSimulated(NewKeys(removed), testContext, n.now, n.random)
	n.within(5 * time.Second)
	for _, keys := range []Keys{NewKeys(removed, one), NewKeys(one, removed), NewKeys(one)} {
		n.rekey(keys)
	}
	n.attack(5 * time.Millisecond)
	return n
}

// TestFlood has two hosts confirm each other while 50,000 forged datagrams a second arrive at each.
func TestFlood(t *testing.T) {
	for _, c := range []struct {
		name   string
		forged func(n *network, known []Run) Run
		within time.Duration
	}{
		{"random runs", func(n *network, _ []Run) (r Run) { n.random(r[:]); return r }, 3 * time.Second},
		{"runs of a recording", func(n *network, known []Run) Run { return known[n.rand.IntN(len(known))] }, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var known []Run
			for i := range uint64(maxCandidates / 2) { // hosts that have lived before
				known = append(known, seeded(100+i, testKeys, start).own.run)
			}
			n := newNetwork(t, 1, 2, testKeys, 100*time.Millisecond)
			forged := make([]byte, 200)
			const every, together = time.Millisecond, 50
			var flood func()
			flood = func() {
				n.after(every, flood)
				for range together {
					n.random(forged[:40])
					h := head{1, c.forged(n, known), n.rand.Uint64()}
					h.append(forged[:0])
					for _, host := range n.hosts {
						host.receive(forged)
					}
				}
			}
			flood()
			n.within(c.within)
			n.run(time.Second)
			n.hosts[0].restart()
			n.within(c.within)
			if n.outcomes[Opened] == 0 || n.outcomes[Forged] < 50_000 {
				t.Errorf("outcomes %v", n.outcomes)
			}
		})
	}
}

// TestRenewal runs three hosts for two and a half hours. Each renews its run twice, and no datagram is lost.
func TestRenewal(t *testing.T) {
	n := newNetwork(t, 1, 3, testKeys, time.Second)
	n.within(3 * time.Second)
	from, runs := n.now, make(map[Run]bool)
	n.run(150 * time.Minute)
	to := n.now
	n.run(time.Second)
	missing, all := n.reached(from, to)
	if missing > 0 || all < 20_000 {
		t.Errorf("%d of %d datagrams are missing", missing, all)
	}
	for i := range n.sent {
		runs[n.sent[i].run] = true
	}
	if len(runs) != 9 {
		t.Errorf("%d runs, want 3 for each of 3 hosts", len(runs))
	}
	for _, h := range n.hosts {
		if h.ch.Links() != 2 {
			t.Errorf("host %d has %d links, want 2", h.number, h.ch.Links())
		}
	}
}

// TestRenewalWithLoss loses a third of the datagrams. Nearly all that arrive are opened.
func TestRenewalWithLoss(t *testing.T) {
	n := newNetwork(t, 1, 3, testKeys, time.Second)
	n.loss = 0.33
	n.within(10 * time.Second)
	before := n.outcomes
	n.run(5 * time.Hour)
	if lost := n.outcomes[Unconfirmed] - before[Unconfirmed]; lost > 20 {
		t.Errorf("%d datagrams of runs that were not accepted in time; outcomes %v", lost, n.outcomes)
	}
}

// TestKeyRotation adds a key at each host, moves it to the first place at each, and then removes the old one. No datagram is lost.
func TestKeyRotation(t *testing.T) {
	one, two := keyOf(1, 1), keyOf(2, 2)
	n := newNetwork(t, 1, 3, NewKeys(one), 10*time.Millisecond)
	n.within(3 * time.Second)
	from := n.now
	for _, keys := range []Keys{NewKeys(one, two), NewKeys(two, one), NewKeys(two)} {
		for _, h := range n.hosts {
			h.keys = keys
			h.ch.SetKeys(keys, n.now)
			n.run(2 * time.Second)
		}
	}
	to := n.now
	n.run(time.Second)
	if missing, all := n.reached(from, to); missing > 0 || all < 3000 {
		t.Errorf("%d of %d datagrams are missing; outcomes %v", missing, all, n.outcomes)
	}
	for _, h := range n.hosts {
		if h.ch.own.key != 2 {
			t.Errorf("host %d seals with key %d", h.number, h.ch.own.key)
		}
	}
}
