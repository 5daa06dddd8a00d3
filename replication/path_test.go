package replication

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/syncwire"
)

// pathPeer is a peer behind a path.
type pathPeer struct {
	*Peer
	mtu   int           // of the path to it
	after time.Duration // its HELLOs are that much later than those of the host
	from  time.Duration // it is live from then on
	heard int           // the last padded HELLO that arrived
	at    time.Time
}

// pathRun lets a host with an MTU send HELLOs for a time, of which loss is the share of padded ones that are lost by chance. It returns the
// path, how many padded HELLOs were sent, and when the trouble last changed.
type pathRun struct {
	t      *testing.T
	path   path
	limits syncwire.Limits
	peers  []*pathPeer
	every  time.Duration
	loss   float64
	random *rand.Rand
	start  time.Time
	now    time.Time
	padded int
	change time.Time
	most   int // padded HELLOs in 5 minutes
	sent   []time.Time
}

func newPathRun(t *testing.T, mtu int, every time.Duration, peers ...*pathPeer) *pathRun {
	start := time.Unix(1_000_000, 0)
	for i, p := range peers {
		p.Peer = &Peer{PeerInfo: PeerInfo{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), ID: syncwire.ID(i + 1)}}
	}
	return &pathRun{t: t, limits: syncwire.NewLimits(mtu, false, true), peers: peers, every: every, random: rand.New(rand.NewPCG(1, 2)), start: start, now: start, change: start}
}

// run has the host send HELLOs for a time.
func (r *pathRun) run(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(r.every) {
		var live []*Peer
		for _, p := range r.peers {
			if at := r.now.Add(p.after - r.every); r.now.Sub(r.start) > p.from { // its HELLO from before this one
				p.hello, p.passes = at, 0
				if p.heard > 0 && p.at.Before(at) && at.Sub(p.at) < PaddedKept {
					p.passes = p.heard
				}
				live = append(live, p.Peer)
			}
		}
		before := r.path.PathTrouble
		size := r.path.next(r.limits.MTU, func(size int) int { return r.limits.Within(size).Message() }, live, r.now)
		if r.path.PathTrouble != before {
			r.change = r.now
		}
		if size == 0 {
			continue
		}
		if size < syncwire.MinMTU || size > r.limits.MTU {
			r.t.Fatalf("a padded HELLO for a packet of %d bytes", size)
		}
		r.padded++
		r.sent = append(r.sent, r.now)
		for len(r.sent) > 0 && r.now.Sub(r.sent[0]) > 5*time.Minute {
			r.sent = r.sent[1:]
		}
		r.most = max(r.most, len(r.sent))
		for _, p := range r.peers {
			if r.random.Float64() >= r.loss && size <= p.mtu {
				p.heard, p.at = r.limits.Within(size).Message(), r.now.Add(time.Millisecond)
			}
		}
	}
}

// TestPath has hosts look for the longest packets that reach all peers.
func TestPath(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name  string
		mtu   int
		every time.Duration
		peers []*pathPeer
		loss  float64
		lost  int // the MTU of the trouble; 0: none
		works int
		by    int // the number of the peer that it names
	}{
		{"no peer", 1500, second, nil, 0, 0, 0, 0},
		{"enough", 1500, second, []*pathPeer{{mtu: 1500, after: 300 * time.Millisecond}}, 0, 0, 0, 0},
		{"more than enough", 1500, second, []*pathPeer{{mtu: 9000, after: 900 * time.Millisecond}}, 0, 0, 0, 0},
		{"WireGuard", 1500, second, []*pathPeer{{mtu: 1420, after: 900 * time.Millisecond}}, 0, 1500, 1420, 1},
		{"a peer whose HELLOs cross the host's", 1500, second, []*pathPeer{{mtu: 1420}}, 0, 1500, 1420, 1},
		{"idle", 1500, HelloIdle, []*pathPeer{{mtu: 1420, after: 3 * second}}, 0, 1500, 1420, 1},
		{"idle, and HELLOs cross", 1500, HelloIdle, []*pathPeer{{mtu: 1420}}, 0, 1500, 1420, 1},
		{"VXLAN", 1500, second, []*pathPeer{{mtu: 1450, after: 100 * time.Millisecond}}, 0, 1500, 1448, 1},
		{"a byte less", 1500, second, []*pathPeer{{mtu: 1499, after: 100 * time.Millisecond}}, 0, 1500, 1496, 1},
		{"the least", 1500, second, []*pathPeer{{mtu: 1280, after: 100 * time.Millisecond}}, 0, 1500, 1280, 1},
		{"less than the least", 1500, second, []*pathPeer{{mtu: 1000, after: 100 * time.Millisecond}}, 0, 1500, 1280, 1},
		{"less than the least, which is configured", 1280, second, []*pathPeer{{mtu: 1000, after: 100 * time.Millisecond}}, 0, 1280, 0, 1},
		{"jumbo frames", 9000, second, []*pathPeer{{mtu: 1500, after: 100 * time.Millisecond}}, 0, 9000, 1500, 1},
		{"the smallest of three", 1500, second, []*pathPeer{{mtu: 1500}, {mtu: 1400, after: 700 * time.Millisecond}, {mtu: 1420, after: 20 * time.Millisecond}}, 0, 1500, 1400, 2},
		{"a lossy path", 1500, second, []*pathPeer{{mtu: 1500, after: 700 * time.Millisecond}}, 0.3, 0, 0, 0},
		{"a small and lossy one", 1500, second, []*pathPeer{{mtu: 1420, after: 700 * time.Millisecond}}, 0.1, 1500, 1420, 1},
		{"a peer that comes later", 1500, second, []*pathPeer{{mtu: 1500, after: 700 * time.Millisecond}, {mtu: 1400, after: 100 * time.Millisecond, from: 3 * time.Minute}}, 0, 1500, 1400, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPathRun(t, c.mtu, c.every, c.peers...)
			r.run(10 * time.Minute)
			got := r.path.PathTrouble
			if got.MTU != c.lost || got.Works != c.works || c.by > 0 && got.Peer != r.peers[c.by-1].Address {
				t.Errorf("%+v, want %d of %d", got, c.works, c.lost)
			}
			if most := 60; r.most > most {
				t.Errorf("%d padded HELLOs in 5 minutes, want %d at most", r.most, most)
			}
			if c.lost == 0 && r.change != r.start {
				t.Errorf("there was a trouble until %v", r.change.Sub(r.start))
			}
			if len(c.peers) > 0 && r.padded < 5 {
				t.Errorf("%d padded HELLOs in 10 minutes", r.padded)
			}
			if after := r.change.Sub(got.Since); c.lost > 0 && after > 0 {
				t.Errorf("the trouble changed %v later", after)
			}
			if since := got.Since.Sub(r.start); !got.Since.IsZero() && since > 50*c.every+c.peers[c.by-1].from {
				t.Errorf("found after %v", since)
			}
		})
	}
}

// TestPathChanges changes paths and MTUs.
func TestPathChanges(t *testing.T) {
	r := newPathRun(t, 1500, time.Second, &pathPeer{mtu: 1500, after: 400 * time.Millisecond})
	is := func(what string, mtu, works int) {
		t.Helper()
		if got := r.path.PathTrouble; got.MTU != mtu || got.Works != works {
			t.Errorf("%s: %+v, want %d of %d", what, got, works, mtu)
		}
	}
	r.run(2 * time.Minute)
	is("a good path", 0, 0)
	r.peers[0].mtu = 1400
	r.run(3 * time.Minute)
	is("the path becomes smaller", 1500, 1400)
	since := r.path.Since
	r.peers[0].mtu = 1420
	r.run(SearchEvery + 2*time.Minute)
	is("the path becomes larger", 1500, 1420)
	if r.path.Since != since {
		t.Errorf("the trouble is since %v now", r.path.Since)
	}
	r.peers[0].mtu = 1500
	r.run(SearchEvery + 2*time.Minute)
	is("the path is good again", 0, 0)
	r.peers[0].mtu = 1420
	r.run(3 * time.Minute)
	is("once more", 1500, 1420)
	r.limits = r.limits.Within(1420)
	r.path.restart()
	is("the value is configured", 0, 0)
	r.run(10 * time.Minute)
	is("the value works", 0, 0)
	r.limits = r.limits.Within(1500)
	r.path.restart()
	r.run(time.Minute)
	is("back", 1500, 1420)
	r.peers = nil
	r.run(2 * time.Second)
	is("the peer dies", 0, 0)
}

// IDs of the peers of a helloHost: the older one knows no padded HELLOs.
const (
	newerPeer = syncwire.ID(0x20f)
	olderPeer = syncwire.ID(0x10f)
)

// helloHost is a host that exchanges HELLOs with peers.
type helloHost struct {
	*hostEffects
	t    *testing.T
	self syncwire.ID
}

func newHelloHost(t *testing.T) *helloHost {
	e := newHost()
	return &helloHost{e, t, e.host.Knowledge.Self()}
}

// hears has the host receive a HELLO. It returns the HELLO's length.
func (h *helloHost) hears(peer syncwire.ID, hello *syncwire.Hello) int {
	hello.Settings = ttl
	data := syncwire.Message{Sender: peer, Body: hello}.Append(nil)
	h.host.Message(netip.AddrFrom4([4]byte{10, 0, 0, byte(peer >> 8)}), data, h.now, h.now)
	return len(data)
}

// hearsThat has the host receive a HELLO of the newer peer, which has heard the host and a padded HELLO of the length.
func (h *helloHost) hearsThat(padded int) {
	h.hears(newerPeer, &syncwire.Hello{Sync: syncwire.SyncYes, Heard: []syncwire.Heard{{ID: h.self, Len: uint16(padded)}}})
}

// sends returns the HELLOs that the host sends after a second: an ordinary one, perhaps followed by padded ones.
func (h *helloHost) sends() (ordinary *syncwire.Hello, padded []*syncwire.Hello) {
	h.t.Helper()
	h.messages = nil
	h.now = h.now.Add(time.Second)
	h.host.askHellos(0, h.now)
	h.host.Tick(h.now)
	var all []*syncwire.Hello
	for _, m := range h.messages {
		if hello, is := m.(*syncwire.Hello); is {
			all = append(all, hello)
		}
	}
	if len(all) == 0 || all[0].Padded || all[0].Heard == nil || !all[0].Asks {
		h.t.Fatalf("%d HELLOs: %+v", len(all), all)
	}
	return all[0], all[1:]
}

// sendsPadded returns the length of the one padded HELLO that the host sends beside the ordinary one.
func (h *helloHost) sendsPadded() int {
	h.t.Helper()
	_, padded := h.sends()
	if len(padded) != 1 || !padded[0].Padded || padded[0].Asks {
		h.t.Fatalf("%d padded HELLOs: %+v", len(padded), padded)
	}
	return len(syncwire.Message{Sender: h.self, Body: padded[0]}.Append(nil))
}

// TestPaddedHellosAreSentUntilConfirmed checks that a host sends padded HELLOs of its MTU to a peer that has heard it, until
// the peer confirms their length. An older peer neither gets them nor is listed as heard.
func TestPaddedHellosAreSentUntilConfirmed(t *testing.T) {
	h := newHelloHost(t)
	if hello, padded := h.sends(); len(padded) != 0 || len(hello.Heard) != 0 {
		t.Errorf("without peers: %d padded HELLOs, heard %+v", len(padded), hello.Heard)
	}
	h.hears(olderPeer, &syncwire.Hello{})
	h.hears(newerPeer, &syncwire.Hello{Heard: []syncwire.Heard{}})
	if hello, padded := h.sends(); len(padded) != 0 || !slices.Equal(hello.Heard, []syncwire.Heard{{ID: newerPeer}}) {
		t.Errorf("the peer has not heard this host: %d padded HELLOs, heard %+v", len(padded), hello.Heard)
	}
	h.hearsThat(0)
	full := h.sendsPadded()
	if full != 1452 {
		t.Errorf("a padded HELLO of %d bytes", full)
	}
	h.hearsThat(full)
	if _, padded := h.sends(); len(padded) != 0 {
		t.Errorf("the peer has confirmed the length: %d padded HELLOs", len(padded))
	}
}

// TestReceivedPaddedHello checks that a host confirms the length of a peer's padded HELLO for a time, and uses nothing else of it.
func TestReceivedPaddedHello(t *testing.T) {
	h := newHelloHost(t)
	h.hearsThat(0)
	full := h.sendsPadded()
	h.hearsThat(full)
	length := h.hears(newerPeer, &syncwire.Hello{Sync: syncwire.SyncNo, Sessions: 77, Heard: []syncwire.Heard{}, Padded: true, Padding: 1000})
	if peer := h.host.Peers.WithID(newerPeer); peer.Sessions == 77 || peer.passes != full {
		t.Errorf("the padded HELLO has changed more than its length: %+v, passes %d, want %d", peer.PeerInfo, peer.passes, full)
	}
	if hello, _ := h.sends(); !slices.Equal(hello.Heard, []syncwire.Heard{{ID: newerPeer, Len: uint16(length)}}) {
		t.Errorf("after the peer's padded HELLO of %d bytes, the host has heard %+v", length, hello.Heard)
	}
	h.now = h.now.Add(PaddedKept)
	h.hearsThat(0)
	if hello, _ := h.sends(); !slices.Equal(hello.Heard, []syncwire.Heard{{ID: newerPeer}}) {
		t.Errorf("long after the peer's padded HELLO, the host has heard %+v", hello.Heard)
	}
}

// TestUnconfirmedPaddedHellos checks that a host reports a path once if a peer confirms no padded HELLO any more, and that the
// report ends when the MTU is changed.
func TestUnconfirmedPaddedHellos(t *testing.T) {
	h := newHelloHost(t)
	h.hearsThat(0)
	h.hearsThat(h.sendsPadded())
	h.now = h.now.Add(PaddedKept)
	for range 300 {
		h.hearsThat(0)
		h.sends()
	}
	var got []PathTrouble
	for _, event := range h.events {
		if changed, is := event.(PathChanged); is {
			got = append(got, changed.PathTrouble)
		}
	}
	if peer := h.host.Peers.WithID(newerPeer); len(got) != 1 || got[0].MTU != 1500 || got[0].Works != 1280 || got[0].Peer != peer.Address {
		t.Errorf("%+v", got)
	}
	h.host.SetLimits(syncwire.NewLimits(1280, false, false))
	if last := h.events[len(h.events)-1]; last != (PathChanged{}) {
		t.Errorf("after the MTU was changed: %+v", last)
	}
}
