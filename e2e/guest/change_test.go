package guest

import (
	"fmt"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// TestMakeBeforeBreak changes the files of both hosts in turn while sessions are opened through one of them. Sessions
// that both hosts were configured to exchange are never lost, for any change. Sessions that they could not
// exchange while their files differed arrive afterwards.
func TestMakeBeforeBreak(t *testing.T) {
	enter(t, "fleet")
	const otherLink, otherGroup = "sync2", "ff08::db8:64:65"
	top := newTopology(t)
	ip(t, fmt.Sprintf("link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s", otherLink, top.j.name, top.k.name))
	j, k := top.pairs(group6)
	pairs := []pair{j.in(top.j), k.in(top.k)}
	for i, n := range []*namespace{top.j, top.k} {
		n.ip(t, "link set "+otherLink+" up")
		pairs[i].statsPort = newStatsPort()
	}
	f := startFleet(t, pairs)
	perSecond := 2000
	if losesBursts(module(t)) {
		perSecond = 50
	}
	began := time.Now()
	o := top.openSteadily(t, perSecond)
	f.flows(t, k.name)
	for _, c := range []struct {
		what   string
		change func(*pair)
		apart  bool // the hosts can't hear each other while only one has gone over
	}{
		{what: "ttl", change: func(p *pair) { p.ttl = 9 }},
		{what: "stats port", change: func(p *pair) { p.statsPort = newStatsPort() }},
		{what: "interface", change: func(p *pair) { p.link = otherLink }, apart: true},
		{what: "group", change: func(p *pair) { p.group = otherGroup }, apart: true},
	} {
		for i := range f.pairs {
			c.change(&f.pairs[i])
			f.change(t, c.what, f.pairs[i])
		}
		f.flows(t, k.name)
		row := f.seen[k.name]
		t.Logf("%s: repaired %d, lost %d datagrams; %d sessions injected", c.what, row.Losses.Repaired, row.Losses.NetworkLost, row.Ledger.Injected)
		if missed := row.Losses.Repaired + row.Losses.NetworkLost + row.Losses.SocketDrops; !c.apart && missed > 0 {
			t.Errorf("%s: %d datagrams did not come to %s at once: %+v", c.what, missed, k.name, row.Losses)
		}
	}
	took := time.Since(began)
	top.openedAll(t, o)
	rate := float64(o.sent) / took.Seconds()
	t.Logf("%.0f new sessions a second", rate)
	if rate < 0.95*float64(perSecond) {
		t.Errorf("%.0f new sessions a second, want %d", rate, perSecond)
	}
	f.look(t)
	f.addsUp(t)
	f.stop(t)
}

// flows waits until a pair has received more sessions. Only its new socket can have received them.
func (f *fleet) flows(t testing.TB, name string) {
	t.Helper()
	f.look(t)
	before := f.seen[name].Stats.NetRcvdPackets
	f.await(t, name+" receives", func(map[string]control.Row) string {
		if f.seen[name].Stats.NetRcvdPackets > before {
			return ""
		}
		return fmt.Sprintf("it has received %d datagrams, as before", before)
	})
}
