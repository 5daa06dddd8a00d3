package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Datagram is a datagram as a host receives it.
type Datagram struct {
	From    netip.AddrPort
	Arrived time.Time // in the socket, where it may have waited
	Data    []byte
}

// NetworkConfig describes the links while nothing impairs them.
type NetworkConfig struct {
	Delay Span // of a datagram; datagrams do not overtake each other
}

// Network carries the datagrams that hosts multicast to their groups.
type Network struct {
	clock       *Clock
	trace       *Trace
	seed        uint64
	config      NetworkConfig
	ports       []*port
	links       map[[2]int]*link // by sender and receiver; looked up only
	impairments []*Impairment
	taps        []func(from int, data []byte)
}

// port is where a host is attached.
type port struct {
	source         netip.AddrPort
	segment, group int
	down           bool
	wires          int         // faults that give the host another version of the wire format
	plain          func() bool // whether the host's datagrams have no trailers; nil: they have trailers
	deliver        func(Datagram) (kept bool)
}

// link is the way from one host to another.
type link struct {
	rand *rand.Rand
	last time.Time // when the last datagram arrives that was not reordered
	Contact
	arrivals []arrival
}

// arrival is when a datagram was sent and when it arrived.
type arrival struct{ sent, at time.Time }

// A link remembers its last arrivals, at most one per arrivalsEvery.
const (
	arrivalsKept  = 12
	arrivalsEvery = 250 * time.Millisecond
)

// note remembers an arrival.
func (l *link) note(sent, now time.Time) {
	if now.Sub(l.Heard) > silence {
		l.HeardFrom = now
	}
	l.Heard = now
	if n := len(l.arrivals); n > 0 && sent.Sub(l.arrivals[n-1].sent) < arrivalsEvery {
		return
	}
	if len(l.arrivals) == arrivalsKept {
		l.arrivals = slices.Delete(l.arrivals, 0, 1)
	}
	l.arrivals = append(l.arrivals, arrival{sent, now})
}

// Contact describes the datagrams that one host has received from another.
type Contact struct {
	Connected time.Time // since when datagrams can arrive; zero: they can't
	Heard     time.Time // when the last one arrived
	HeardFrom time.Time // since when they have arrived without a long silence
}

// silence is the longest time between two datagrams of one host that is no interruption.
const silence = 12 * time.Second

// Impairment changes what happens to the datagrams of some links while it is in force.
type Impairment struct {
	From, To int // hosts; -1: each
	// Loss, Duplicate and Reorder are shares of the datagrams.
	Loss, Duplicate, Reorder float64
	Delay                    time.Duration // in addition, and of duplicates and reordered datagrams
	Cut                      bool          // no datagram arrives
	Side                     uint          // a bit per host: nothing passes between these hosts and the others; 0: no effect
}

// NewNetwork returns a network without hosts.
func NewNetwork(c *Clock, t *Trace, seed uint64, config NetworkConfig) *Network {
	return &Network{clock: c, trace: t, seed: seed, config: config, links: make(map[[2]int]*link)}
}

// Attach attaches the next host, whose datagrams come from source. deliver receives its datagrams, and returns false if it
// drops one.
func (n *Network) Attach(source netip.AddrPort, segment int, deliver func(Datagram) (kept bool)) (host int) {
	host = len(n.ports)
	n.ports = append(n.ports, &port{source: source, segment: segment, deliver: deliver})
	for other := range host {
		for _, pair := range [][2]int{{host, other}, {other, host}} {
			n.links[pair] = &link{rand: stream(n.seed, "link", pair[0], pair[1])}
		}
	}
	n.reconnect()
	return host
}

// Tap calls fn with each datagram that is sent.
func (n *Network) Tap(fn func(from int, data []byte)) { n.taps = append(n.taps, fn) }

// Begin puts an impairment into force.
func (n *Network) Begin(i *Impairment) {
	n.impairments = append(n.impairments, i)
	n.reconnect()
}

// End takes an impairment out of force.
func (n *Network) End(i *Impairment) {
	n.impairments = slices.DeleteFunc(n.impairments, func(o *Impairment) bool { return o == i })
	n.reconnect()
}

// Join moves a host to another multicast group.
func (n *Network) Join(host, group int) {
	n.ports[host].group = group
	n.reconnect()
}

// Group returns a host's multicast group.
func (n *Network) Group(host int) int { return n.ports[host].group }

// Plug moves a host to another segment.
func (n *Network) Plug(host, segment int) {
	n.ports[host].segment = segment
	n.reconnect()
}

// SetDown takes a host off the network, or puts it back.
func (n *Network) SetDown(host int, down bool) {
	n.ports[host].down = down
	n.reconnect()
}

// Contact describes the datagrams that a host has received from another one.
func (n *Network) Contact(from, to int) Contact { return n.links[[2]int{from, to}].Contact }

// Knows returns when a host received a datagram that another one sent after a moment: the first of those that the link
// remembers, so that the answer may be later than the first one of all. false: there is none.
func (n *Network) Knows(from, to int, after time.Time) (time.Time, bool) {
	for _, a := range n.links[[2]int{from, to}].arrivals {
		if a.sent.After(after) {
			return a.at, true
		}
	}
	return time.Time{}, false
}

func (n *Network) reconnect() {
	for from := range n.ports {
		for to := range n.ports {
			if from == to {
				continue
			}
			l, connected := n.links[[2]int{from, to}], n.connected(from, to) && n.understands(from, to)
			switch {
			case !connected:
				l.Connected = time.Time{}
			case l.Connected.IsZero():
				l.Connected = n.clock.Now()
			}
		}
	}
}

// understands reports whether both hosts have one version of the wire format.
func (n *Network) understands(from, to int) bool {
	return (n.ports[from].wires > 0) == (n.ports[to].wires > 0)
}

// translate returns a datagram as a host receives it: with a version that it does not know, if the other host has another one.
func (n *Network) translate(from, to int, data []byte) []byte {
	if n.understands(from, to) || len(data) < trailerLen {
		return data
	}
	at := 2 // 00 00 VERSION at the beginning of a control message, and of the trailer behind sessions
	if !controlMessage(data) {
		if plain := n.ports[from].plain; plain != nil && plain() {
			return data
		}
		at += len(data) - trailerLen
	}
	data = slices.Clone(data)
	data[at] ^= otherVersion
	return data
}

const (
	// trailerLen is the length of the trailer behind a datagram's sessions.
	trailerLen = 12
	// otherVersion are the bits in which the other version of the wire format differs.
	otherVersion = 0x40
)

func (n *Network) connected(from, to int) bool {
	a, b := n.ports[from], n.ports[to]
	if a.down || b.down || a.segment != b.segment || a.group != b.group {
		return false
	}
	for _, i := range n.impairments {
		if i.cuts(from, to) {
			return false
		}
	}
	return true
}

func (i *Impairment) on(from, to int) bool {
	return (i.From < 0 || i.From == from) && (i.To < 0 || i.To == to)
}

func (i *Impairment) cuts(from, to int) bool {
	apart := i.Side>>from&1 != i.Side>>to&1
	return apart || i.Cut && i.on(from, to)
}

// Send multicasts a host's datagram. It keeps no reference to data.
func (n *Network) Send(from int, data []byte) {
	n.trace.Event(from, "sends", data, int64(len(data)))
	for _, tap := range n.taps {
		tap(from, data)
	}
	if n.ports[from].down {
		return
	}
	data = slices.Clone(data)
	for to := range n.ports {
		if to != from && n.ports[to].group == n.ports[from].group {
			n.carry(from, to, data)
		}
	}
}

// carry sends a datagram over one link. It draws as many random numbers without impairments as with them.
func (n *Network) carry(from, to int, data []byte) {
	l := n.links[[2]int{from, to}]
	lost, twice, apart := l.rand.Float64(), l.rand.Float64(), l.rand.Float64()
	delay, later, second := n.config.Delay.draw(l.rand), l.rand.Float64(), l.rand.Float64()
	kept, once, inOrder := 1.0, 1.0, 1.0
	var extra time.Duration
	for _, i := range n.impairments {
		if !i.on(from, to) {
			continue
		}
		kept, once, inOrder = kept*(1-i.Loss), once*(1-i.Duplicate), inOrder*(1-i.Reorder)
		extra += i.Delay
	}
	if !n.connected(from, to) || lost >= kept {
		n.trace.Event(from, "loses", nil, int64(to))
		return
	}
	at := n.clock.Now().Add(delay + extra)
	if apart >= inOrder {
		at = at.Add(time.Duration(later * float64(maxReorder)))
	} else {
		if at.Before(l.last) {
			at = l.last
		}
		l.last = at
	}
	n.deliverAt(at, from, to, data)
	if twice >= once {
		n.deliverAt(at.Add(time.Duration(second*float64(maxReorder))), from, to, data)
	}
}

// maxReorder bounds how much later than others a duplicate or a reordered datagram arrives.
const maxReorder = 50 * time.Millisecond

func (n *Network) deliverAt(at time.Time, from, to int, data []byte) {
	sent := n.clock.Now()
	n.clock.At(at, func() {
		if n.ports[to].group != n.ports[from].group || n.ports[to].down {
			return
		}
		if n.Inject(to, n.ports[from].source, n.translate(from, to, data)) { // from a datagram that its full socket drops, the host learns nothing
			n.links[[2]int{from, to}].note(sent, n.clock.Now())
		}
	})
}

// Inject delivers a datagram to a host at once, from any source. It returns false if the host drops it.
func (n *Network) Inject(to int, source netip.AddrPort, data []byte) (kept bool) {
	n.trace.Event(to, "receives", nil, int64(len(data)))
	return n.ports[to].deliver(Datagram{From: source, Arrived: n.clock.Now(), Data: slices.Clone(data)})
}
