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

// visit adds, changes and removes a pair that is not the fleet's.
func (f *fleet) visit(t *testing.T, p pair) {
	var first control.Row
	runs := func(name, reason string) func(map[string]control.Row) string {
		match := regexp.MustCompile(reason)
		return func(others map[string]control.Row) string {
			row, ok := others[name]
			if !ok || len(others) != 1 {
				return fmt.Sprintf("%d others are there", len(others))
			}
			if row.State != control.Running || !match.MatchString(row.Reason) {
				return fmt.Sprintf("it is %s: %s", row.State, row.Reason)
			}
			if first.Name == "" {
				first = row
			}
			if !row.Since.Equal(first.Since) || row.Restarts != 0 {
				t.Fatalf("%s was %+v, is %+v", p.name, first, row)
			}
			return ""
		}
	}
	const well = "^$"
	p.write(t, f.dir)
	f.await(t, "the added pair runs", runs(p.name, well))

	p.ttl = 7
	f.change(t, "ttl", p)
	f.await(t, "the changed pair runs", runs(p.name, well))

	netsocket, modsocket := p.files(f.dir)
	whole, err := os.ReadFile(netsocket)
	if err != nil {
		t.Fatal(err)
	}
	half := whole[:len(whole)/2]
	if err := os.WriteFile(netsocket, half, 0o644); err != nil {
		t.Fatal(err)
	}
	line := 1 + bytes.Count(half, []byte("\n"))
	f.await(t, "the broken pair runs on, and says where it is broken",
		runs(p.name, fmt.Sprintf(`^\S*%s\.netsocket\.json:%d:\d+: .*its last good files run on`, p.name, line)))
	if err := os.WriteFile(netsocket, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	f.await(t, "the repaired pair runs", runs(p.name, well))

	p.name = "renamed"
	toNet, toMod := p.files(f.dir)
	for from, to := range map[string]string{netsocket: toNet, modsocket: toMod} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	f.await(t, "the renamed pair runs", runs(p.name, well))

	for _, file := range []string{toNet, toMod} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	f.await(t, "the deleted pair is gone", func(others map[string]control.Row) string {
		if len(others) > 0 {
			return fmt.Sprintf("there is %v", others)
		}
		return ""
	})
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
