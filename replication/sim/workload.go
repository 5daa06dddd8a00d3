package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/session"
)

// WorkloadConfig describes the traffic.
type WorkloadConfig struct {
	Lanes []Lane
	// Packets is the largest number of packets of a connection between its opening and its end, and Interval the range
	// of the pauses between them.
	Packets  int
	Interval Span
	// Shares of the connections: TCP ones that get no answer, TCP ones that rest instead of closing, closing ones that
	// are reset, and those that use the IPv6 endpoint of an earlier one.
	Unanswered, Idle, Reset, Reuse float64
	// UDP and ICMP are shares of all connections; the others are TCP.
	UDP, ICMP float64
	Servers   int
}

// Lane is the traffic that one host at a time translates.
type Lane struct {
	Active  int     // the host
	Rate    float64 // new connections a second
	Initial int     // connections at the start, all in the first second
	Clients int     // IPv6 hosts
	// From and To bound the time in which connections open; a zero To sets no bound.
	From, To time.Duration
	// Network distinguishes the IPv6 hosts of lanes. Lanes with the same number have the same hosts.
	Network int
}

// DefaultWorkload returns a moderate mixture of connections through host 0.
func DefaultWorkload() WorkloadConfig {
	return WorkloadConfig{
		Lanes:   []Lane{{Rate: 2, Initial: 20, Clients: 20}},
		Packets: 10, Interval: Span{100 * time.Millisecond, 5 * time.Second},
		Unanswered: 0.05, Idle: 0.5, Reset: 0.2, Reuse: 0.2, UDP: 0.2, ICMP: 0.05, Servers: 8,
	}
}

// Count counts the fates of packets and connections.
type Count struct {
	Opened, Packets int
	Refused         int // connections that the module did not open
	Broken          int // connections whose session a module lacked
	Remapped        int // packets of connections whose mask changed
	Unserved        int // packets for a host that was down
}

// Workload has modules translate the packets of connections.
type Workload struct {
	Count Count

	clock   *Clock
	trace   *Trace
	seed    uint64
	config  WorkloadConfig
	modules []*Module
	down    func(host int) bool
	lanes   []*lane
}

type lane struct {
	Lane
	number int
	active int
	rand   *rand.Rand
	opened int      // connections
	burst  int      // of them: in bursts
	ports  []uint16 // by client: the last one used
	used   []netip.AddrPort
}

// NewWorkload returns the traffic through some modules. It begins with Start. down reports whether a host is off.
func NewWorkload(c *Clock, t *Trace, seed uint64, config WorkloadConfig, modules []*Module, down func(host int) bool) *Workload {
	w := &Workload{clock: c, trace: t, seed: seed, config: config, modules: modules, down: down}
	for i, l := range config.Lanes {
		w.lanes = append(w.lanes, &lane{Lane: l, number: i, active: l.Active, rand: stream(seed, "lane", i), ports: make([]uint16, max(l.Clients, 1))})
	}
	return w
}

// Start schedules the traffic of all lanes.
func (w *Workload) Start() {
	for _, l := range w.lanes {
		for range l.Initial {
			w.clock.After(l.From+time.Duration(l.rand.Int64N(int64(time.Second))), func() { w.open(l) })
		}
		if l.Rate > 0 {
			w.clock.After(l.From, func() { w.arrive(l) })
		}
	}
}

// Active returns the host that translates a lane.
func (w *Workload) Active(lane int) int { return w.lanes[lane].active }

// Failover moves a lane's traffic to another host.
func (w *Workload) Failover(lane, host int) {
	w.trace.Event(host, "becomes active", nil, int64(lane))
	w.lanes[lane].active = host
}

// Burst opens n connections of a lane at once.
func (w *Workload) Burst(lane, n int) {
	l := w.lanes[lane]
	for range n {
		l.burst++
		w.connect(l, stream(w.seed, "burst", l.number, l.burst))
	}
}

// arrive schedules the next new connection of a lane, and so on.
func (w *Workload) arrive(l *lane) {
	if l.To > 0 && w.clock.Elapsed() >= l.To {
		return
	}
	w.clock.After(time.Duration(l.rand.ExpFloat64()/l.Rate*float64(time.Second)), func() {
		w.open(l)
		w.arrive(l)
	})
}

// open starts a connection. Its packets depend on its number only.
func (w *Workload) open(l *lane) {
	l.opened++
	w.connect(l, stream(w.seed, "connection", l.number, l.opened))
}

func (w *Workload) connect(l *lane, r *rand.Rand) {
	c := &connection{lane: l, proto: w.proto(r)}
	c.client, c.server = w.endpoint(l, r), server(r, max(w.config.Servers, 1))
	c.steps = script(r, c.proto, &w.config)
	c.run(w)
}

func (w *Workload) proto(r *rand.Rand) session.Proto {
	switch x := r.Float64(); {
	case x < w.config.ICMP:
		return session.ICMP
	case x < w.config.ICMP+w.config.UDP:
		return session.UDP
	}
	return session.TCP
}

// endpoint returns the connection's IPv6 endpoint: a new one, or one of an earlier connection.
func (w *Workload) endpoint(l *lane, r *rand.Rand) netip.AddrPort {
	if len(l.used) > 0 && r.Float64() < w.config.Reuse {
		return l.used[r.IntN(len(l.used))]
	}
	client := r.IntN(len(l.ports))
	l.ports[client]++
	e := netip.AddrPortFrom(address(l.Network, client), 1023+l.ports[client])
	l.used = append(l.used, e)
	return e
}
