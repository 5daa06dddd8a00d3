package worker

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/replication/sim"
)

var (
	simSeed   = flag.Uint64("sim.seed", 0, "simulate this seed only, and print its events")
	simSeeds  = flag.Uint64("sim.seeds", 0, "simulate so many seeds")
	simFrom   = flag.Uint64("sim.from", 1, "with -sim.seeds: the first seed")
	simFirst  = flag.Bool("sim.first", false, "stop at the first seed that fails")
	simFaults = flag.String("sim.faults", "", "with -sim.seed: these faults, separated by semicolons, instead of the seed's")
)

// How long a simulation runs: the faults end after simFor, and the hosts have simSettle to become complete and equal.
const (
	simFor    = 2 * time.Minute
	simSettle = time.Minute
)

// simKinds are the faults that simulations make, beside sim.Advertise and sim.OldWire.
var simKinds = slices.DeleteFunc(sim.Kinds(), func(k sim.Kind) bool { return k == sim.Advertise || k == sim.OldWire })

// simulation is a group of hosts and its faults; both follow from the seed.
type simulation struct {
	seed    uint64
	hosts   int
	version string
	lanes   int // 2: host 1 translates packets too, for other IPv6 hosts than host 0
	faults  []sim.Fault
	slow    bool // tables are read, compared and stored as slowly as large ones
	quiet   bool // a datagram seldom follows another one soon
	shared  bool // the last two hosts send from one address
	keyed   bool // the hosts seal their datagrams, and an attacker attacks them
}

// simulationOf returns the simulation of a seed.
func simulationOf(seed uint64) simulation {
	s := simulation{seed: seed, hosts: 2 + int(seed%4), lanes: 1 + int(seed/7%3/2), version: []string{"4.1.15", "4.1.15", "4.1.12", "4.1.13", "4.1.9"}[seed/4%5]}
	s.slow, s.quiet, s.shared = seed%7 == 2, seed%11 == 4, seed%13 == 6
	plan := sim.Plan{Hosts: s.hosts, From: 10 * time.Second, To: simFor, Faults: 1 + int(seed/20%6), Kinds: simKinds, Follow: 0.4, Advertise: 0.2, OldWire: 0.1}
	if s.slow {
		plan.Takeover = 0.7
	}
	s.faults = sim.Generate(seed, plan)
	s.slow = s.slow && !s.silent(s.faults) // else a verification may be under way at the end
	return s
}

// silent reports whether a module may lose reports without a counter that shows it.
func (s *simulation) silent(faults []sim.Fault) bool {
	return s.version == "4.1.9" || slices.ContainsFunc(faults, func(f sim.Fault) bool { return f.Kind == sim.SilentLoss })
}

// simLightPages bounds the pages of the table that a host reads in ten seconds if only single datagrams are lost.
// Retransmissions bring these, so that no full sync is needed; it takes about 15 pages on each side. One is allowed,
// because a datagram's four NACKs and retransmissions may be lost, too.
const simLightPages = 20

// simUsage bounds what a host uses in any ten seconds, whatever happens. It sends and stores no more than a few tables of some
// hundred sessions, even if a forger repeats the peers' control messages. A table has about 5 pages.
var simUsage = sim.Usage{Datagrams: 800, Bytes: 400_000, Adds: 1200, Pages: 500, Kept: 5000}

// simLate is how much longer slow hosts may take to become complete: one that finds at the end that it lacks sessions, and that no
// live datagram had them, makes the others compare their tables, too.
const simLate = 30 * time.Second

// simReading is how long a slow host takes to read its table.
const simReading = 3 * time.Second

// simStoring is how long a slow host takes to compare and store a full sync.
const simStoring = 10 * time.Second

// light reports whether the faults only lose, duplicate, reorder and delay datagrams, and lose so few that retransmissions bring
// all of them.
func light(faults []sim.Fault) bool {
	for _, f := range faults {
		switch f.Kind {
		case sim.Loss:
			if f.Amount > 0.06 {
				return false
			}
		case sim.Duplicate, sim.Reorder, sim.Deadline, sim.Burst:
		default:
			return false
		}
	}
	return true
}

// rulePanic is violated if a worker panics.
const rulePanic sim.Rule = "a worker panics"

// run runs the simulation with the given faults, and returns the violated rules.
func (s simulation) run(faults []sim.Fault, text io.Writer) (simulated *sim.Simulation, violations []sim.Violation) {
	v, err := joolnl.ParseVersion(s.version)
	if err != nil {
		panic(err)
	}
	memory := simScratches.Get().(*scratch)
	defer simScratches.Put(memory)
	verify := simSpec().VerifyPeriod
	silent := s.silent(faults)
	if silent { // only a verification finds the difference
		verify = simVerify
	}
	var k *keyed
	if s.keyed {
		k = newKeyed(s.seed, s.hosts)
	}
	c := s.config(newSimulated(verify, memory, k), v)
	c.Faults, c.Text, c.Tolerance = faults, text, 2*simSpec().RefreshPeriod+time.Second
	simulated = sim.New(c)
	if s.keyed {
		k.attack(simulated)
	}
	defer func() {
		if r := recover(); r != nil {
			violations = []sim.Violation{{At: simulated.Clock.Elapsed(), Host: -1, Rule: rulePanic, Detail: fmt.Sprintf("%v\n%s", r, debug.Stack())}}
		}
	}()
	m := simulated.Monitor(100*time.Millisecond, s.bounds(faults, silent, v))
	simulated.Run(simFor + simSettle)
	for end := simFor + simSettle; s.slow && end < simFor+simSettle+simLate && !m.Complete(); {
		end += time.Second
		simulated.Run(end)
	}
	m.Settled()
	return simulated, m.Violations
}

// config returns the configuration of the simulated hosts, without faults.
func (s simulation) config(replica sim.Factory, v joolnl.Version) sim.Config {
	c := sim.DefaultConfig(s.seed, s.hosts, sim.DefaultModule(v), replica)
	if s.lanes > 1 { // host 1 translates, too, and chooses other masks: of two sessions with one mask, one stays missing
		for i := range c.Hosts {
			c.Hosts[i].Module.Ports = [][2]uint16{{1024, 32767}, {32768, 65535}}[i%2]
		}
		c.Traffic.Lanes = append(c.Traffic.Lanes, sim.Lane{Active: 1, Rate: 1, Initial: 10, Clients: 10, Network: 1})
	}
	if s.shared {
		for i := s.hosts - 2; i < s.hosts; i++ {
			c.Hosts[i].Source = netip.MustParseAddrPort("[fe80::5a]:6464")
		}
	}
	if s.slow {
		c.Delays.Page, c.Delays.Background = sim.Span{Min: 10 * time.Millisecond, Max: 300 * time.Millisecond}, sim.Span{Min: time.Millisecond, Max: time.Second}
	}
	if s.quiet {
		c.Traffic.Interval = sim.Span{Min: time.Second, Max: 30 * time.Second}
		for i := range c.Traffic.Lanes {
			c.Traffic.Lanes[i].Rate = 0.1
		}
	}
	return c
}

// bounds returns the bounds of the invariants. Some faults, and some properties of the hosts, widen them.
func (s simulation) bounds(faults []sim.Fault, silent bool, v joolnl.Version) sim.Bounds {
	bounds := sim.DefaultBounds()
	bounds.Receiving = replication.PhaseCollecting.String()
	for _, f := range faults {
		if f.Kind == sim.Stall || f.Kind == sim.Restart {
			bounds.Waited += f.For
			bounds.Healed += f.For
		}
		if f.Kind == sim.Deadline {
			bounds.Healed += time.Duration(f.Amount) * time.Millisecond
			bounds.Young += time.Duration(f.Amount) * time.Millisecond
			bounds.Queued += time.Duration(f.Amount) * time.Millisecond
		}
	}
	if silent {
		bounds.Verify = 2 * simVerify
		bounds.Yes += bounds.Verify
	}
	if s.slow { // live datagrams wait while a full sync is compared and stored
		bounds.Healed += simStoring
		if bounds.Waited > 0 { // after a stall, a host reads its table before it sends what it had reported with the right age
			bounds.Yes += simReading
		}
	}
	bounds.Usage = simUsage
	bounds.Usage.Syncs = 6 + 2*(s.hosts-2)
	bounds.Forged = replication.MaxUnasked
	if !silent && light(faults) {
		bounds.Usage.Pages = simLightPages
	}
	if !v.ChecksCapacity() { // the times left in its reports are those when the sessions were queued
		bounds.Young += 4 * time.Second
	}
	if s.keyed {
		bounds.Yes += simLinks
	}
	return bounds
}

// TestSimulatedTwice runs a seed twice: both runs must have the same events.
func TestSimulatedTwice(t *testing.T) {
	s := simulationOf(7)
	first, _ := s.run(s.faults, nil)
	second, _ := s.run(s.faults, nil)
	if a, b := first.Trace.Digest(), second.Trace.Digest(); a != b {
		t.Errorf("%x and %x", a, b)
	}
}

// TestSimulation simulates groups of hosts. It checks all the time that no host says that it is complete while it lacks sessions, and
// that no session returns to an older state; and at the end that all hosts are complete and equal.
func TestSimulation(t *testing.T) { simulateAll(t, simulationOf) }

// simulateAll simulates the seeds that flags choose.
func simulateAll(t *testing.T, of func(seed uint64) simulation) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // simulations allocate much short-lived memory
	if *simSeed != 0 {
		simulateOne(t, of(*simSeed))
		return
	}
	n := uint64(30)
	if testing.Short() {
		n = 10
	}
	if *simSeeds > 0 {
		n = *simSeeds
	}
	results := simulateSeeds(t, of, *simFrom, n, *simFirst)
	if *simFirst {
		if len(results.failed) > 0 {
			s := results.failed[0]
			_, violations := s.run(s.faults, nil)
			t.Errorf("seed %d: %v", s.seed, violations[0])
		}
		return
	}
	for _, s := range results.failed[:min(len(results.failed), 5)] {
		t.Error(s.explain(t.Name()))
	}
	var seeds []uint64
	for _, s := range results.failed {
		seeds = append(seeds, s.seed)
	}
	t.Logf("%d of %d seeds failed: %v", len(seeds), n, seeds)
	if *simSeeds > 0 {
		t.Log(results)
	}
}

// TestSimulationFound repeats simulations that have found a defect, with the faults that it took.
func TestSimulationFound(t *testing.T) {
	for _, c := range []struct {
		seed   uint64
		name   string
		faults string
	}{
		{711, "after a partition, retransmissions overwrite newer states of another origin",
			"partition at=33.813s for=14.895s host=0 peer=2 sides=1110; crash at=43.219s for=3.991s host=0 peer=1"},
		{2156, "a refresh that waits overwrites the state of a lost report, which a full sync has brought",
			"deadline at=20.969s for=2.636s host=0 peer=1 amount=553; kill at=26.023s for=2.778s host=0 peer=1"},
		{2896, "the same after the module has lost the report in silence",
			"silent-loss at=52.975s for=11.342s host=1 peer=0 amount=0.28025003112897867"},
		{4388, "after a stall, live datagrams that waited in the socket overwrite what the own module has reported meanwhile",
			"crash at=14.774s for=1.07s host=0 peer=1; stall at=1m37.387s for=11.66s host=0 peer=1; crash at=1m47.534s for=5.649s host=1 peer=0"},
		{6322, "the same after a failover",
			"stall at=1m48.064s for=11.936s host=1 peer=3; failover at=1m49.359s for=0s host=0 peer=1"},
		{5488, "reports that waited in the socket while no worker ran look young if the instance was recreated meanwhile",
			"restart at=40.823s for=5.763s host=0 peer=1; recreate at=46.242s for=3.467s host=0 peer=1 amount=0.020340481954344836"},
		{1360, "reports that waited in the socket while no worker ran look young if the worker before could not write a checkpoint",
			"forge at=42.942s for=1.297s host=1 peer=0; restart at=51.065s for=2.434s host=1 peer=0; drops at=51.066s for=516ms host=1 peer=0 amount=4; deadline at=54.285s for=1.646s host=1 peer=0 amount=894"},
		{8208, "an own session goes with its BIB entry, and the peer's record that it has won against does not take its place",
			"merge at=0s for=43.94s host=1 peer=0 sides=1; failover at=44.234s for=0s host=0 peer=1; loss at=1m26.423s for=19.08s host=1 peer=-1 amount=0.42532626881960967; one-way at=1m26.423s for=19.08s host=-1 peer=1"},
		{8609, "the same after the instance was recreated",
			"recreate at=44.766s for=147ms host=0 peer=2 amount=0.24886219560179376"},
		{3187, "after a failover, a live datagram that waited for a full sync overwrites a later report of the own module",
			"drops at=31.545s for=1.903s host=0 peer=4 amount=4; crash at=36.91s for=11.614s host=0 peer=2"},
		{1415, "an advertise sets sessions of an upstream joold back that another host has refreshed since the table was read",
			"old-joold at=1m49.688s for=7.934s host=1 peer=2; advertise at=1m54.126s for=2.961s host=3 peer=0 amount=178"},
		{2354, "around a failover, two hosts translate one first FIN each",
			"kill at=30.835s for=6.154s host=3 peer=1; failover at=37.406s for=0s host=0 peer=3"},
		{2810, "after a stall, datagrams that waited in the socket count as just received",
			"merge at=0s for=30.545s host=2 peer=1 sides=110; stall at=50.466s for=30.176s host=2 peer=1"},
		{3942, "a lost datagram pends twice: when a peer has received it, and when a later one shows the gap",
			"loss at=1m33.697s for=6.362s host=1 peer=0 amount=0.1573777408929837; loss at=1m33.697s for=6.362s host=1 peer=-1 amount=0.5244865553670983; one-way at=1m33.697s for=6.362s host=-1 peer=1"},
		{4615, "after a failover, the own module's report of a connection that opens has an earlier state than an update that waits for a full sync",
			"kill at=37.029s for=9.509s host=1 peer=0; loss at=38.94s for=4.648s host=-1 peer=-1 amount=0.07761024919140218; failover at=47.078s for=0s host=0 peer=1"},
		{331, "full syncs that began before a dead origin's positions were given up bring them back",
			"merge at=0s for=1m17.217s host=1 peer=2 sides=1001; loss at=44.99s for=925ms host=0 peer=-1 amount=0.5889759495011677; one-way at=44.99s for=925ms host=-1 peer=0; crash at=45.915s for=20.58s host=0 peer=3; stall at=1m4.771s for=8.579s host=0 peer=4; forge at=1m56.143s for=3.857s host=2 peer=4"},
		{7662, "the second full sync of a chain leaves a session as much older as the first one does",
			"one-way at=1m17.532s for=28.666s host=1 peer=3; one-way at=1m19.542s for=5.132s host=1 peer=2"},
		{9774, "after a failover, a worker that has just started reports a session as it was before the worker was down",
			"advertise at=30.921s for=6.687s host=3 peer=0 amount=209; recreate at=1m53.233s for=160ms host=2 peer=0 amount=0.39981804345751293; kill at=1m54.818s for=5.182s host=2 peer=3; failover at=2m0s for=0s host=0 peer=2"},
		{4804, "a peer's live datagrams protect an own mapping that is in the way of their sessions",
			"recreate at=1m50.226s for=27ms host=0 peer=1 amount=0.47263170340188065"},
		{4911, "a host that took the table of an incomplete peer says yes before another peer has greeted it",
			"kill at=50.1s for=1.438s host=3 peer=4; regroup at=52.289s for=1.037s host=3 peer=4; partition at=1m34.756s for=5.71s host=1 peer=4 sides=111; kill at=1m41.801s for=5.904s host=2 peer=0; loss at=1m41.873s for=18.127s host=-1 peer=-1 amount=0.21052546638589"},
		{9144, "a peer with a new sender ID, which a forged message brings, makes an incomplete host complete", "forge at=22.649s for=4.044s host=1 peer=0"},
		{9921, "a full sync overwrites sessions of reports that overran the netlink socket",
			"overrun at=13.706s for=0s host=2 peer=1 amount=15; kill at=1m24.873s for=6.457s host=2 peer=1; failover at=1m32.538s for=0s host=0 peer=2"},
	} {
		t.Run(fmt.Sprint(c.seed), func(t *testing.T) {
			faults, err := parseFaults(c.faults)
			if err != nil {
				t.Fatal(err)
			}
			if _, violations := simulationOf(c.seed).run(faults, nil); len(violations) > 0 {
				t.Errorf("%s: %v", c.name, violations)
			}
		})
	}
}
