// Package doctor runs the checks that an experienced operator makes when a pair does not synchronise, in parallel. It changes nothing. It
// works with and without a running supervisor; with one, it also judges what the supervisor knows of the peers.
package doctor

import (
	"context"
	"slices"
	"sync"

	"joolctl/configdir"
	"joolctl/nsthread"
	"joolctl/supervisor"
)

// Level is how serious a finding is.
type Level string

const (
	// OK finds nothing wrong.
	OK Level = "ok"
	// Warn finds something that may cost sessions, or that could not be checked.
	Warn Level = "warn"
	// Fail finds something that keeps a pair from synchronising.
	Fail Level = "fail"
)

// Finding is the result of a check.
type Finding struct {
	// Check is the name of the check.
	Check string `json:"check"`
	// Pair is the name of the pair that was checked. It is missing if the check concerns the host.
	Pair string `json:"pair,omitempty"`
	// Level is ok, warn or fail.
	Level Level `json:"level"`
	// Observed describes the state that the check has found. Its wording may change.
	Observed string `json:"observed"`
	// Remedy says what to do, usually a command. It is missing if there is nothing to do. Its wording may change.
	Remedy string `json:"remedy,omitempty"`
}

// Report is the answer of `joolctl doctor -o json`.
type Report struct {
	// Healthy is true if no finding has the level fail.
	Healthy bool `json:"healthy"`
	// Findings are those of the host, then those of each pair in natural order of their names.
	Findings []Finding `json:"findings"`
}

// Options say what to check.
type Options struct {
	// Dir is the directory of pairs.
	Dir string
	// Socket is the path of the control socket.
	Socket string
	// Status asks the supervisor.
	Status func(context.Context) (supervisor.Status, error)
	// Keepalived is the path of keepalived's configuration. It need not exist.
	Keepalived string
}

// host has the data that the checks of the host share.
type host struct {
	Options
	result    configdir.Result
	resultErr error
	status    *supervisor.Status // nil: no supervisor answers
	statusErr error
	threads   *nsthread.Pool
	// pid returns the process ID of the supervisor, 0 if it is not known, descriptors the supervisor's sockets, and owners the processes
	// that have each socket, both by the socket's inode. All look once for all pairs.
	pid         func() int
	descriptors func() map[uint64]int
	owners      func() map[uint64][]process
}

// subject is a pair that is checked.
type subject struct {
	*host
	pair configdir.Pair
	spec configdir.Spec  // of pair
	row  *supervisor.Row // nil: the supervisor has no worker for the pair, or none answers
}

// Names returns the names of all checks, those of the host first.
func Names() (names []string) {
	for _, c := range hostChecks {
		names = append(names, c.name)
	}
	for _, c := range pairChecks {
		names = append(names, c.name)
	}
	return names
}

// atOnce is how many checks run at the same time.
const atOnce = 16

// Run makes all checks.
func Run(ctx context.Context, o Options) Report {
	h := &host{Options: o, threads: nsthread.NewPool(), owners: sync.OnceValue(socketOwners)}
	h.pid = sync.OnceValue(h.supervisorPID)
	h.descriptors = sync.OnceValue(func() map[uint64]int { return socketsOf(h.pid()) })
	h.result, h.resultErr = configdir.Check(o.Dir)
	if status, err := o.Status(ctx); err != nil {
		h.statusErr = err
	} else {
		h.status = &status
	}
	var jobs []func() []Finding
	for _, c := range hostChecks {
		jobs = append(jobs, func() []Finding { return named(c.name, "", c.run(ctx, h)) })
	}
	for _, pair := range h.result.Pairs {
		s := &subject{host: h, pair: pair, spec: pair.Spec, row: h.rowOf(pair.Name)}
		for _, c := range pairChecks {
			if c.broken || pair.OK() {
				jobs = append(jobs, func() []Finding { return named(c.name, pair.Name, c.run(ctx, s)) })
			}
		}
	}
	report := Report{Findings: slices.Concat(inParallel(jobs)...)}
	report.Healthy = !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Level == Fail })
	return report
}

// inParallel runs jobs, at most atOnce at the same time, and returns their results in the order of the jobs.
func inParallel(jobs []func() []Finding) [][]Finding {
	results := make([][]Finding, len(jobs))
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, job := range jobs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			results[i] = job()
		})
	}
	all.Wait()
	return results
}

// named gives findings the name of their check and pair.
func named(check, pair string, findings []Finding) []Finding {
	for i := range findings {
		findings[i].Check, findings[i].Pair = check, pair
	}
	return findings
}

// rowOf returns the supervisor's row of a pair, or nil.
func (h *host) rowOf(name string) *supervisor.Row {
	if h.status == nil {
		return nil
	}
	for i := range h.status.Workers {
		if row := &h.status.Workers[i]; row.Name == name {
			return row
		}
	}
	return nil
}

func ok(observed string) []Finding { return []Finding{{Level: OK, Observed: observed}} }

func warn(observed, remedy string) []Finding {
	return []Finding{{Level: Warn, Observed: observed, Remedy: remedy}}
}

func fail(observed, remedy string) []Finding {
	return []Finding{{Level: Fail, Observed: observed, Remedy: remedy}}
}
