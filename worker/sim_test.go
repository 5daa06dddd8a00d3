package worker

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication/sim"
)

var (
	simSeed   = flag.Uint64("sim.seed", 0, "simulate this seed only, and print its events")
	simSeeds  = flag.Uint64("sim.seeds", 0, "simulate so many seeds")
	simFaults = flag.String("sim.faults", "", "with -sim.seed: these faults, separated by semicolons, instead of the seed's")
)

// How long a simulation runs: the faults end after simFor, and the hosts have simSettle to become complete and equal.
const (
	simFor    = 2 * time.Minute
	simSettle = time.Minute
)

// simKinds are the faults that simulations make.
var simKinds = sim.Kinds()

// simulation is one seed: a group of hosts and what happens to it.
type simulation struct {
	seed    uint64
	hosts   int
	version string
	faults  []sim.Fault
}

// simulationOf follows from the seed.
func simulationOf(seed uint64) simulation {
	s := simulation{seed: seed, hosts: 2 + int(seed%4), version: []string{"4.1.15", "4.1.15", "4.1.12", "4.1.13", "4.1.9"}[seed/4%5]}
	s.faults = sim.Generate(seed, sim.Plan{Hosts: s.hosts, From: 10 * time.Second, To: simFor, Faults: 1 + int(seed/20%6), Kinds: simKinds})
	return s
}

// run simulates, and returns what was violated.
func (s simulation) run(faults []sim.Fault, text io.Writer) (*sim.Simulation, []sim.Violation) {
	v, err := joolnl.ParseVersion(s.version)
	if err != nil {
		panic(err)
	}
	factory := newSimulated
	silent := s.version == "4.1.9"
	for _, f := range faults {
		silent = silent || f.Kind == sim.SilentLoss
	}
	if silent { // only a verification finds the difference
		factory = newVerifying
	}
	c := sim.DefaultConfig(s.seed, s.hosts, sim.DefaultModule(v), factory)
	c.Faults, c.Text, c.Tolerance = faults, text, 2*simSpec().RefreshPeriod+time.Second
	simulated := sim.New(c)
	bounds := sim.DefaultBounds()
	for _, f := range faults {
		if f.Kind == sim.Stall || f.Kind == sim.Restart {
			bounds.Waited += f.For
			bounds.Healed += f.For
		}
		if f.Kind == sim.Deadline {
			bounds.Healed += time.Duration(f.Amount) * time.Millisecond
		}
	}
	if silent {
		bounds.Verify = 2 * simVerify
		bounds.Yes += bounds.Verify
	}
	m := simulated.Monitor(100*time.Millisecond, bounds)
	simulated.Run(simFor + simSettle)
	m.Settled()
	return simulated, m.Violations
}

// TestSimulatedTwice runs a seed twice: everything is as it was.
func TestSimulatedTwice(t *testing.T) {
	s := simulationOf(7)
	first, _ := s.run(s.faults, nil)
	second, _ := s.run(s.faults, nil)
	if a, b := first.Trace.Digest(), second.Trace.Digest(); a != b {
		t.Errorf("%x and %x", a, b)
	}
}

// TestSimulation simulates groups of hosts, and checks all the time that none of them says yes while it lacks sessions, that
// no session moves back, and in the end that all are complete and equal.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		s := simulationOf(*simSeed)
		if *simFaults != "" {
			s.faults = nil
			for _, text := range strings.Split(*simFaults, ";") {
				f, err := sim.ParseFault(strings.TrimSpace(text))
				if err != nil {
					t.Fatal(err)
				}
				s.faults = append(s.faults, f)
			}
		}
		for _, f := range s.faults {
			fmt.Println(f)
		}
		_, violations := s.run(s.faults, os.Stdout)
		for _, v := range violations {
			t.Error(v)
		}
		return
	}
	n := uint64(30)
	if testing.Short() {
		n = 10
	}
	if *simSeeds > 0 {
		n = *simSeeds
	}
	failed := 0
	for seed := uint64(1); seed <= n; seed++ {
		s := simulationOf(seed)
		_, violations := s.run(s.faults, nil)
		if len(violations) == 0 {
			continue
		}
		failed++
		if failed > 5 {
			continue
		}
		rule := violations[0].Rule
		least := sim.Minimise(s.faults, func(faults []sim.Fault) bool {
			_, violations := s.run(faults, nil)
			for _, v := range violations {
				if v.Rule == rule {
					return true
				}
			}
			return false
		})
		var words []string
		for _, f := range least {
			words = append(words, f.String())
		}
		_, violations = s.run(least, nil)
		t.Errorf("seed %d (%d hosts, %s): %v\ngo test ./worker -run TestSimulation -sim.seed %d -sim.faults '%s'", seed, s.hosts, s.version, violations[0], seed, strings.Join(words, "; "))
	}
	t.Logf("%d of %d seeds failed", failed, n)
}
