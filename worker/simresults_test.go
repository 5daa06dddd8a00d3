package worker

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"joolctl/replication"
	"joolctl/replication/sim"
)

// parseFaults reads faults that are separated by semicolons.
func parseFaults(list string) (faults []sim.Fault, err error) {
	for text := range strings.SplitSeq(list, ";") {
		f, err := sim.ParseFault(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	return faults, nil
}

// simulateOne simulates the seed that a flag chooses.
func simulateOne(t *testing.T, s simulation) {
	if *simFaults != "" {
		var err error
		if s.faults, err = parseFaults(*simFaults); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range s.faults {
		fmt.Println(f)
	}
	_, violations := s.run(s.faults, os.Stdout)
	for _, v := range violations {
		t.Error(v)
	}
}

// simResults has the results of simulations.
type simResults struct {
	failed   []simulation // by seed
	hosts    time.Duration
	took     time.Duration
	coverage sim.Coverage
}

// simulateSeeds simulates n seeds, one on each processor at a time. If first is set, it stops after the first failed seed.
func simulateSeeds(t *testing.T, of func(seed uint64) simulation, from, n uint64, first bool) *simResults {
	var (
		r     simResults
		mu    sync.Mutex
		next  atomic.Uint64
		end   atomic.Bool
		all   sync.WaitGroup
		began = time.Now()
	)
	next.Store(from - 1)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1); seed < from+n && !end.Load(); seed = next.Add(1) {
				s := of(seed)
				simulated, violations := s.run(s.faults, nil)
				mu.Lock()
				r.hosts += time.Duration(s.hosts) * (simFor + simSettle)
				r.coverage.Merge(&simulated.Coverage)
				if len(violations) > 0 {
					t.Logf("seed %d: %v", seed, violations[0])
					r.failed = append(r.failed, s)
					end.Store(first)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.took = time.Since(began)
	slices.SortFunc(r.failed, func(a, b simulation) int { return cmp.Compare(a.seed, b.seed) })
	return &r
}

// String returns the simulated time, and a table of the faults that occurred in each phase of a full sync.
func (r *simResults) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.0f simulated hours of a host in %v\n", r.hosts.Hours(), r.took.Round(time.Second/10))
	fmt.Fprintln(&b, "Faults in the phases of a full sync (a dash: the combination never occurred):")
	var phases []string
	for ph := replication.PhaseSettled; ph <= replication.PhaseChecking; ph++ {
		phases = append(phases, ph.String())
	}
	if err := r.coverage.Print(&b, phases); err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

// explain returns the first violation, and the command that reproduces it with as few faults as possible.
func (s simulation) explain(test string) string {
	_, violations := s.run(s.faults, nil)
	rule := violations[0].Rule
	least := sim.Minimise(s.faults, func(faults []sim.Fault) bool {
		_, violations := s.run(faults, nil)
		return slices.ContainsFunc(violations, func(v sim.Violation) bool { return v.Rule == rule })
	})
	var words []string
	for _, f := range least {
		words = append(words, f.String())
	}
	_, violations = s.run(least, nil)
	return fmt.Sprintf("seed %d (%d hosts, %s): %v\ngo test ./worker -run '^%s$' -sim.seed %d -sim.faults '%s'",
		s.seed, s.hosts, s.version, violations[0], test, s.seed, strings.Join(words, "; "))
}
