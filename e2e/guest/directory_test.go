package guest

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"

	control "joolctl/supervisor"
)

// TestDirectory runs one supervisor with 40 workers. Sessions are opened through three of them all the time, while
// another pair is added, changed, made invalid, repaired, renamed and removed. That pair shares a namespace, and so a
// thread, with a busy pair. The 40 workers must not be affected.
func TestDirectory(t *testing.T) {
	enter(t, "fleet")
	const idle = 34
	var busy [3]*topology
	var pairs []pair
	for i := range busy {
		busy[i] = newTopology(t)
		j, k := busy[i].pairs(group6)
		pairs = append(pairs, j.in(busy[i].j), k.in(busy[i].k))
	}
	for _, p := range manyNamespaces(t, idle) {
		pairs = append(pairs, p.pair.in(p.in))
	}
	for i := range pairs {
		pairs[i].statsPort = newStatsPort()
	}
	visitor := pair{name: "visitor", instance: "ipt", group: group6, port: groupPort + 1, link: syncLink, statsPort: newStatsPort()}.in(busy[0].j)
	addInstance(t, busy[0].j, instance{name: "ipt", framework: "iptables", pool6: iptPool6})

	f := startFleet(t, pairs)
	perSecond := 100
	if losesBursts(module(t)) {
		perSecond = 50
	}
	var open [len(busy)]*opener
	for i, top := range busy {
		open[i] = top.openSteadily(t, perSecond)
	}
	f.visit(t, visitor)
	for i, top := range busy {
		top.openedAll(t, open[i])
	}
	f.look(t)
	for _, top := range busy {
		f.lostNothing(t, top)
	}
	f.addsUp(t)
	f.stop(t)
}

// visit adds, changes, breaks, repairs, renames and removes a pair that is not the fleet's. Its worker must run all the
// time, and never be restarted.
func (f *fleet) visit(t *testing.T, p pair) {
	const noReason = "^$"
	v := &visitor{fleet: f, pair: p}
	p.write(t, f.dir)
	v.awaitRunning(t, "the added pair runs", noReason)

	v.pair.ttl = 7
	f.change(t, "ttl", v.pair)
	v.awaitRunning(t, "the changed pair runs", noReason)

	brokenLine, repair := v.truncate(t)
	v.awaitRunning(t, "the broken pair still runs, and its reason names the broken line",
		fmt.Sprintf(`^\S*%s\.netsocket\.json:%d:\d+: .*its last good files run on`, p.name, brokenLine))
	repair()
	v.awaitRunning(t, "the repaired pair runs", noReason)

	v.rename(t, "renamed")
	v.awaitRunning(t, "the renamed pair runs", noReason)

	v.remove(t)
	f.await(t, "the deleted pair is gone", func(others map[string]control.Row) string {
		if len(others) > 0 {
			return fmt.Sprintf("there is %v", others)
		}
		return ""
	})
}

// visitor is a pair in a fleet's directory that is not the fleet's.
type visitor struct {
	fleet *fleet
	pair  pair
	first control.Row // the first row with which it ran
}

// awaitRunning waits until the visitor is the only other pair, and runs with a reason that matches a regular expression.
// The worker must be the one that ran first.
func (v *visitor) awaitRunning(t *testing.T, what, reason string) {
	t.Helper()
	match := regexp.MustCompile(reason)
	v.fleet.await(t, what, func(others map[string]control.Row) string {
		row, ok := others[v.pair.name]
		if !ok || len(others) != 1 {
			return fmt.Sprintf("%d others are there", len(others))
		}
		if row.State != control.Running || !match.MatchString(row.Reason) {
			return fmt.Sprintf("it is %s: %s", row.State, row.Reason)
		}
		if v.first.Name == "" {
			v.first = row
		}
		if !row.Since.Equal(v.first.Since) || row.Restarts != 0 {
			t.Fatalf("%s was %+v, is %+v", v.pair.name, v.first, row)
		}
		return ""
	})
}

// truncate cuts the visitor's netsocket file in half. It returns the line in which the file now ends, and a function that
// restores the file.
func (v *visitor) truncate(t *testing.T) (line int, repair func()) {
	t.Helper()
	netsocket, _ := v.pair.files(v.fleet.dir)
	whole, err := os.ReadFile(netsocket)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(netsocket, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	half := whole[:len(whole)/2]
	write(half)
	return 1 + bytes.Count(half, []byte("\n")), func() { t.Helper(); write(whole) }
}

// rename gives the visitor's files another name.
func (v *visitor) rename(t *testing.T, name string) {
	t.Helper()
	oldNetsocket, oldModsocket := v.pair.files(v.fleet.dir)
	v.pair.name = name
	netsocket, modsocket := v.pair.files(v.fleet.dir)
	for from, to := range map[string]string{oldNetsocket: netsocket, oldModsocket: modsocket} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
}

// remove removes the visitor's files.
func (v *visitor) remove(t *testing.T) {
	t.Helper()
	netsocket, modsocket := v.pair.files(v.fleet.dir)
	for _, file := range []string{netsocket, modsocket} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// lostNothing checks that no session of a topology was lost between the modules. A full sync would have brought such a
// session, and hidden the loss. Losses that a module itself reports are not counted.
func (f *fleet) lostNothing(t testing.TB, top *topology) {
	t.Helper()
	for _, n := range []*namespace{top.j, top.k} {
		l := f.seen[n.name].Losses
		if losesBursts(module(t)) {
			l.KernelDropped, l.NetlinkLost = 0, 0
		}
		if l.KernelDropped+l.NetlinkLost+l.NetlinkOverruns+l.NetworkLost+l.SocketDrops+l.KernelErrors+l.SendErrors > 0 {
			t.Errorf("%s lost sessions: %+v", n.name, l)
		}
	}
}
