package sim_test

import (
	"fmt"
	"time"

	"joolctl/joolnl"
	"joolctl/replication/sim"
)

// Two hosts run upstream's joold, which retransmits nothing. Host 0 translates the traffic. If host 1 receives nothing for five seconds,
// its table still differs a minute later.
func Example() {
	version, err := joolnl.ParseVersion("4.1.15")
	if err != nil {
		panic(err)
	}
	fault, err := sim.ParseFault("one-way at=10s for=5s host=0 peer=1")
	if err != nil {
		panic(err)
	}
	run := func(seed uint64, faults ...sim.Fault) *sim.Simulation {
		config := sim.DefaultConfig(seed, 2, sim.DefaultModule(version), sim.NewUpstream)
		config.Traffic.Lanes[0].To = 20 * time.Second // no connection opens later
		config.Faults = faults
		// With config.Text = os.Stdout, the simulation writes a line per event.
		s := sim.New(config)
		s.Run(75 * time.Second) // of virtual time
		return s
	}
	report := func(what string, s *sim.Simulation) {
		differences := s.Truth.Differences(1, 0) // between the two tables: sessions of host 0
		fmt.Printf("%s: %d connections; %d sessions are missing or older at host 1\n", what, s.Workload.Count.Opened, len(differences))
	}

	healthy, faulty := run(7), run(7, fault)
	report("no fault", healthy)
	report(fault.String(), faulty)
	report("another seed", run(8, fault))
	fmt.Println("same seed, same trace:", run(7, fault).Trace.Digest() == faulty.Trace.Digest())
	// Output:
	// no fault: 70 connections; 0 sessions are missing or older at host 1
	// one-way at=10s for=5s host=0 peer=1: 70 connections; 8 sessions are missing or older at host 1
	// another seed: 64 connections; 4 sessions are missing or older at host 1
	// same seed, same trace: true
}
