package replication

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestAheadDenied has a peer claim more of another peer's live datagrams than that one says to have sent, as after a forged
// message with a higher number. The claim counts until the other one denies it, later than a datagram takes.
func TestAheadDenied(t *testing.T) {
	now := time.Unix(1e9, 0)
	peers := NewPeers(PeersConfig{})
	k := NewKnowledge(9, peers)
	k.Longest = time.Hour
	greet := func(last byte, vector ...syncwire.Component) *Peer {
		p := peers.Heard(netip.AddrFrom4([4]byte{192, 0, 2, last}), syncwire.ID(last), now)
		p.Greet(&syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Vector: vector}, &syncwire.Settings{}, now)
		return p
	}
	const sent = 5
	origin := greet(1)
	origin.Stream.ExpectUpTo(sent, now, nil)
	forged := syncwire.Component{Origin: 1, Known: true, Complete: syncwire.Position{Seq: sent}, Highest: syncwire.Position{Seq: 1 << 20}}
	greet(2, forged).Stream.ExpectUpTo(0, now, nil)
	k.Empty(2)
	k.Merge([]syncwire.Component{forged}, k.Doubts(), now)
	for _, step := range []struct {
		after  time.Duration
		says   bool
		denied bool
	}{{0, false, false}, {PendingFor, true, false}, {PendingFor, true, true}, {10 * PendingFor, false, true}} {
		now = now.Add(step.after)
		if step.says {
			origin.Stream.ExpectUpTo(sent, now, nil)
		}
		k.Compare(peers.Live(now), now)
		lacks := k.Lacks()
		if denied := len(lacks) == 0; denied != step.denied || !denied && lacks[0].Reason.Code != BehindOther {
			t.Errorf("%+v: %+v", step, lacks)
		}
		if c, _ := k.vector.Get(1); step.denied && c.Highest.Seq != sent {
			t.Errorf("the vector repeats the claim: %+v", c)
		}
	}
}

// TestMissingSinceClaim has a peer claim a live datagram of another peer before a later one shows this host that the datagram is
// missing. The datagram has been missing since the claim, but later datagrams are missing only since they were sent.
func TestMissingSinceClaim(t *testing.T) {
	now := time.Unix(1e9, 0)
	began := now
	peers := NewPeers(PeersConfig{})
	k := NewKnowledge(9, peers)
	k.Longest = time.Hour
	origin := peers.Heard(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 1, now)
	other := peers.Heard(netip.AddrFrom4([4]byte{192, 0, 2, 2}), 2, now)
	claim := func(last syncwire.Seq) {
		c := syncwire.Component{Origin: 1, Known: true, Complete: syncwire.Position{Seq: last}, Highest: syncwire.Position{Seq: last}}
		other.Greet(&syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Vector: []syncwire.Component{c}}, &syncwire.Settings{}, now)
	}
	receive := func(kind syncwire.Kind, seq syncwire.Seq) {
		origin.Stream.Receive(kind, seq, nil, now, func([]byte) {})
		origin.Stream.Tick(now.Add(ReorderFor), func([]byte) {})
	}
	origin.Greet(&syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10}, &syncwire.Settings{}, now)
	origin.Stream.Start(1)
	other.Stream.Start(1)
	k.Empty(1)
	k.Empty(2)
	for i, step := range []struct {
		does  func()
		code  Code
		since time.Duration // since the beginning
	}{
		{func() { receive(syncwire.Live, 1); claim(2) }, BehindOther, 0},
		{func() { receive(syncwire.Live, 4) }, DatagramsMissing, 0},
		{func() { claim(6) }, DatagramsMissing, 0},
		{func() { receive(syncwire.Retransmission, 2) }, DatagramsMissing, 100*time.Millisecond + ReorderFor},
		{func() { receive(syncwire.Retransmission, 3) }, BehindOther, 200 * time.Millisecond},
		{func() { receive(syncwire.Live, 5); receive(syncwire.Live, 6) }, "", 0},
		{func() { receive(syncwire.Live, 8) }, DatagramsMissing, 600*time.Millisecond + ReorderFor},
	} {
		now = began.Add(time.Duration(i) * 100 * time.Millisecond)
		step.does()
		k.Advance(now)
		k.Compare(peers.Live(now), now)
		lacks := k.Lacks()
		if step.code == "" {
			if len(lacks) != 0 {
				t.Errorf("step %d: %+v", i, lacks)
			}
			continue
		}
		if len(lacks) != 1 || lacks[0].Reason.Code != step.code || !lacks[0].Pending || lacks[0].Since.Sub(began) != step.since {
			t.Errorf("step %d, want %v since %v: %+v, since %v", i, step.code, step.since, lacks, lacks[0].Since.Sub(began))
		}
	}
}

// TestNotGreeted has a peer that has not greeted this host. That does not make an incomplete host complete, but a complete host stays
// complete until the greeting is late.
func TestNotGreeted(t *testing.T) {
	began := time.Unix(1e9, 0)
	peers := NewPeers(PeersConfig{})
	k := NewKnowledge(9, peers)
	k.Longest = time.Hour
	peers.Heard(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 1, began)
	incomplete := []Reason{{Code: DatagramsMissing, Peer: "192.0.2.2"}}
	for _, c := range []struct {
		after  time.Duration
		before []Reason
		want   syncwire.Sync
	}{
		{0, nil, syncwire.SyncYes},
		{0, incomplete, syncwire.SyncNo},
		{PendingFor - 1, nil, syncwire.SyncYes},
		{PendingFor - 1, incomplete, syncwire.SyncNo},
		{PendingFor, nil, syncwire.SyncNo},
	} {
		now := began.Add(c.after)
		k.Compare(peers.Live(now), now)
		v := k.Verdict(peers.Live(now), len(c.before) > 0, c.before, now)
		if v.Sync != c.want || (v.Sync == syncwire.SyncNo) != (len(v.Reasons) == 1) {
			t.Errorf("after %v, before: %v: %+v", c.after, c.before, v)
		}
	}
}

// TestDroppingRemedy has a peer say that its module drops sessions: the remedy is the command that gives the module's queue
// more room.
func TestDroppingRemedy(t *testing.T) {
	now := time.Unix(1e9, 0)
	peers := NewPeers(PeersConfig{})
	k := NewKnowledge(9, peers)
	p := peers.Heard(netip.MustParseAddr("192.0.2.1"), 1, now)
	p.Stream.ExpectUpTo(5, now, nil)
	for _, step := range []struct {
		dropping bool
		capacity uint32
		remedy   string
	}{
		{true, 512, "jool -i INSTANCE global update ss-capacity 16384 "},
		{true, 16384, "jool -i INSTANCE global update ss-capacity 32768 "},
		{true, 1<<32 - 1, "jool -i INSTANCE global update ss-capacity 4294967295 "},
		{false, 512, ""},
	} {
		p.Greet(&syncwire.Hello{NextIn: 10, Dropping: step.dropping, Settings: syncwire.Settings{SSCapacity: step.capacity}}, &syncwire.Settings{}, now)
		k.Compare(peers.Live(now), now)
		if lacks := k.Lacks(); len(lacks) != 1 || !strings.Contains(lacks[0].Reason.Remedy, step.remedy) || step.remedy == "" && lacks[0].Reason.Remedy != "" {
			t.Errorf("%+v: %+v", step, lacks)
		}
	}
}
