package sim

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// Config describes a simulation.
type Config struct {
	Seed    uint64
	Hosts   []HostConfig
	Network NetworkConfig
	Traffic WorkloadConfig
	Faults  []Fault
	Delays  Delays
	// SocketBuffer is how many bytes each socket of a host holds.
	SocketBuffer int
	Forger       Forger
	Tolerance    time.Duration // between two records of one session that count as equal
	// Text, if not nil, receives a line per event.
	Text io.Writer
}

// HostConfig describes a host.
type HostConfig struct {
	Module  ModuleConfig
	Replica Factory
	// Source is where the host's datagrams come from; an invalid one gets an address of its own.
	Source  netip.AddrPort
	Segment int
	// Off leaves the worker out until a fault starts it.
	Off bool
}

// DefaultConfig returns a simulation of some hosts with modules of one version, and moderate traffic through host 0.
func DefaultConfig(seed uint64, hosts int, m ModuleConfig, f Factory) Config {
	return Config{
		Seed:    seed,
		Hosts:   slices.Repeat([]HostConfig{{Module: m, Replica: f}}, hosts),
		Network: NetworkConfig{Delay: Span{50 * time.Microsecond, 500 * time.Microsecond}},
		Traffic: DefaultWorkload(),
		Delays: Delays{
			WakeUp:     Span{5 * time.Microsecond, 60 * time.Microsecond},
			Page:       Span{30 * time.Microsecond, 300 * time.Microsecond},
			Background: Span{100 * time.Microsecond, 20 * time.Millisecond},
		},
		SocketBuffer: 208 << 10,
		Forger:       ForgeHeads,
		Tolerance:    4 * time.Second,
	}
}

// Simulation is a group of hosts in virtual time.
type Simulation struct {
	Clock    *Clock
	Trace    *Trace
	Ledger   *Ledger
	Network  *Network
	Nodes    []*Node
	Workload *Workload
	Truth    *Truth
	Coverage Coverage

	config  Config
	states  []hostState
	active  []Fault  // in force
	lately  [][]byte // control messages
	factory []Factory
	forged  time.Time // when a host last received a forged datagram
}

// hostState counts the faults under way at a host.
type hostState struct {
	downs     int // faults that keep the worker from running
	crashes   int
	upstreams int // faults that have upstream's joold run
	kept      []byte
}

// New prepares a simulation. Nothing has happened before Run.
func New(c Config) *Simulation {
	clock := NewClock()
	trace := NewTrace(clock, c.Text)
	s := &Simulation{Clock: clock, Trace: trace, Ledger: NewLedger(), config: c, states: make([]hostState, len(c.Hosts))}
	s.Network = NewNetwork(clock, trace, c.Seed, c.Network)
	var modules []*Module
	for i, h := range c.Hosts {
		n := s.addNode(i, h)
		modules = append(modules, n.Module)
	}
	s.Workload = NewWorkload(clock, trace, c.Seed, c.Traffic, modules, func(host int) bool { return s.states[host].crashes > 0 })
	s.Truth = newTruth(s)
	s.Network.Tap(s.remember)
	for i, h := range c.Hosts {
		if !h.Off {
			clock.After(0, func() { s.revive(i) })
		} else {
			s.states[i].downs++
		}
	}
	for _, f := range c.Faults {
		clock.At(Epoch.Add(f.At), func() { s.begin(f) })
	}
	s.Workload.Start()
	return s
}

func (s *Simulation) addNode(i int, h HostConfig) *Node {
	n := &Node{
		ID: i, Module: NewModule(s.Clock, s.Ledger, s.config.Seed, i, h.Module),
		clock: s.Clock, trace: s.Trace, network: s.Network, rand: stream(s.config.Seed, "node", i), seed: s.config.Seed,
		delays: s.config.Delays, buffer: s.config.SocketBuffer, changed: s.changed,
	}
	n.Module.Report = n.fromModule
	source := h.Source
	if !source.IsValid() {
		source = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i + 1)}), 6464)
	}
	host := s.Network.Attach(source, h.Segment, n.fromNetwork)
	s.Network.ports[host].plain = n.Upstream
	s.Nodes = append(s.Nodes, n)
	s.factory = append(s.factory, h.Replica)
	return n
}

// Run runs the simulation up to a time from its start.
func (s *Simulation) Run(until time.Duration) { s.Clock.Run(Epoch.Add(until)) }

// Every calls fn periodically from now on.
func (s *Simulation) Every(period time.Duration, fn func(now time.Time)) {
	s.Clock.After(period, func() {
		fn(s.Clock.Now())
		s.Every(period, fn)
	})
}

// remember keeps control messages for the forger.
func (s *Simulation) remember(_ int, data []byte) {
	const most = 64
	if !controlMessage(data) {
		return
	}
	if len(s.lately) == most {
		s.lately = slices.Delete(s.lately, 0, 1)
	}
	s.lately = append(s.lately, slices.Clone(data))
}

// revive starts a host's worker unless a fault keeps it from running.
func (s *Simulation) revive(host int) {
	st := &s.states[host]
	if st.downs > 0 || s.Nodes[host].Running() {
		return
	}
	factory, kept := s.factory[host], st.kept
	st.kept = nil
	if st.upstreams > 0 {
		factory, kept = NewUpstream, nil
	}
	s.Nodes[host].start(factory, st.upstreams > 0, kept)
}

// changed counts the faults that are in force when a Replica enters a phase.
func (s *Simulation) changed(n *Node) {
	if n.replica == nil || n.upstream {
		return
	}
	for _, f := range s.active {
		if f.concerns(n.ID) {
			s.Coverage.Hit(f.Kind, n.phase)
		}
	}
}

// cover counts a fault that begins or ends, in the phases of the hosts that it concerns.
func (s *Simulation) cover(f Fault) {
	for _, n := range s.Nodes {
		if n.replica != nil && !n.upstream && n.phase != "" && f.concerns(n.ID) {
			s.Coverage.Hit(f.Kind, n.phase)
		}
	}
}

// concerns reports whether a fault concerns a host directly.
func (f Fault) concerns(host int) bool {
	switch f.Kind {
	case Partition, Merge:
		return true
	case Loss, Duplicate, Reorder, Delay:
		return f.Host < 0 || f.Host == host || f.Peer == host
	case OneWay, Crash, Failover:
		return f.Host == host || f.Peer == host
	}
	return f.Host == host
}

// check refuses a fault that this simulation has no hosts for.
func (s *Simulation) check(f Fault) {
	if f.Host >= len(s.Nodes) || f.Peer >= len(s.Nodes) {
		panic(fmt.Sprintf("fault %v: there are %d hosts", f, len(s.Nodes)))
	}
}
