package guest

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// fleet is a supervisor whose pairs the test checks again and again: a change of one pair must not affect the others.
type fleet struct {
	supervisor
	pairs []pair
	// seen has the pairs' rows at the last check.
	seen map[string]control.Row
}

// startFleet starts a supervisor and waits until its workers run and have all sessions of their peers.
func startFleet(t testing.TB, pairs []pair) *fleet {
	t.Helper()
	begin := time.Now()
	f := &fleet{supervisor: startSupervisor(t, pairs...), pairs: pairs}
	f.awaitRunning(t, len(pairs), time.Minute)
	t.Logf("%d workers run after %v", len(pairs), time.Since(begin).Round(time.Millisecond))
	eventually(t, time.Minute, "all are synced", func() string {
		for _, row := range f.rows(t) {
			if row.Synced != "yes" {
				return row.Name + " is synced: " + row.Synced
			}
		}
		return ""
	})
	t.Logf("all are synced after %v", time.Since(begin).Round(time.Millisecond))
	f.seen = f.rows(t)
	return f
}

// rows returns the rows of the supervisor's status, keyed by the pairs' names.
func (f *fleet) rows(t testing.TB) map[string]control.Row {
	t.Helper()
	f.running(t)
	status, err := control.Client{Socket: f.socket}.Status(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]control.Row)
	for _, row := range status.Workers {
		rows[row.Name] = row
	}
	return rows
}

// look fails the test if the fleet's pairs were affected, and returns the rows of all other pairs.
func (f *fleet) look(t testing.TB) map[string]control.Row {
	t.Helper()
	now := f.rows(t)
	for name, was := range f.seen {
		if is, ok := now[name]; !ok {
			t.Errorf("%s is gone", name)
		} else if what := changed(was, is); what != "" {
			t.Errorf("%s: %s", name, what)
		} else {
			f.seen[name] = is
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	maps.DeleteFunc(now, func(name string, _ control.Row) bool { _, ok := f.seen[name]; return ok })
	return now
}

// changed returns what has changed in a pair that should be unaffected, or "".
func changed(was, is control.Row) string {
	switch {
	case is.State != control.Running || is.Reason != "":
		return fmt.Sprintf("it is %s: %s", is.State, is.Reason)
	case !is.Since.Equal(was.Since):
		return fmt.Sprintf("it is so since %v, before since %v", is.Since, was.Since)
	case is.Restarts != was.Restarts:
		return fmt.Sprintf("restarted %d times, before %d", is.Restarts, was.Restarts)
	}
	before, now := sixOf(was), sixOf(is)
	for i, name := range statNames {
		if now[i] < before[i] {
			return fmt.Sprintf("%s fell from %d to %d", name, before[i], now[i])
		}
	}
	return ""
}

// sixOf returns a pair's counters, in the order of statNames.
func sixOf(r control.Row) [6]uint64 {
	s := r.Stats
	return [...]uint64{s.KernelSentPackets, s.KernelSentBytes, s.NetRcvdPackets, s.NetRcvdBytes, s.NetSentPackets, s.NetSentBytes}
}

// takesEffectWithin is the limit for a change of the files to take effect, where the machine's clock counts
// instructions.
const takesEffectWithin = time.Second

// await polls the rows of the pairs that are not the fleet's until the condition returns "".
func (f *fleet) await(t testing.TB, what string, condition func(map[string]control.Row) string) {
	t.Helper()
	begin := time.Now()
	eventually(t, takesEffectWithin, what, func() string { return condition(f.look(t)) })
	t.Logf("%s: after %v", what, time.Since(begin).Round(time.Millisecond))
}

// change rewrites a running pair's files and waits until its worker has applied them.
func (f *fleet) change(t testing.TB, what string, p pair) {
	t.Helper()
	before := f.changes(p.name)
	p.write(t, f.dir)
	f.await(t, p.name+" has another "+what, func(map[string]control.Row) string {
		if f.changes(p.name) > before {
			return ""
		}
		return "its worker has not taken it"
	})
}

// addsUp waits until the supervisor's totals are the sum of its rows, and both equal the statistics of the pairs' stats
// servers.
func (f *fleet) addsUp(t testing.TB) {
	t.Helper()
	eventually(t, time.Minute, "the stats servers say what the rows say", func() string {
		status := f.status(t)
		rows, served := make(map[string]uint64), make(map[string]uint64)
		add := func(sum, stats map[string]uint64) {
			for name, n := range stats {
				sum[name] += n
			}
		}
		for _, row := range status.Workers {
			add(rows, row.Stats)
		}
		for _, p := range f.pairs {
			w := worker{kind: supervised, pair: p}
			add(served, w.askStatsByNC(t))
		}
		if !maps.Equal(status.Totals, rows) {
			t.Fatalf("the totals are %v, the sum of the rows is %v", status.Totals, rows)
		}
		if !maps.Equal(rows, served) {
			return fmt.Sprintf("rows %v\nservers %v", rows, served)
		}
		for _, name := range statNames {
			if rows[name] == 0 {
				return name + " is 0"
			}
		}
		return ""
	})
}
