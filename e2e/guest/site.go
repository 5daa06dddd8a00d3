package guest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"joolctl/session"
)

// site is a topology in which a test causes faults: the active NAT64 J, the standby K, and the daemons that synchronise them.
type site struct {
	*topology
	probe *probe
	group string

	pairJ, pairK pair
	hostJ, hostK *host // both may serve other sites too

	floods int

	// replug recreates lost links "sync" where J and K share theirs with other hosts. nil: they do not.
	replug func(t testing.TB)
}

// newSites makes one for each group, with traffic.
func newSites(t testing.TB, groups ...string) []*site {
	t.Helper()
	const every = 50 * time.Millisecond
	sites := make([]*site, len(groups))
	for i, group := range groups {
		s := &site{topology: newTopology(t), group: group}
		for _, nat64 := range []*namespace{s.j, s.k} {
			prompt(t, nat64)
			keepAddresses(t, nat64, "all", "default", syncLink)
		}
		s.pairJ, s.pairK = s.pairs(s.group)
		s.probe = s.startProbe(t, every)
		sites[i] = s
	}
	return sites
}

// serve has the sites' instances synchronised: by a supervisor for all of J's, and another for all of K's, or by as
// many C joolds.
func serve(t testing.TB, kind daemon, sites []*site) {
	t.Helper()
	var inJ, inK []placed
	for _, s := range sites {
		inJ = append(inJ, placed{s.pairJ, s.j})
		inK = append(inK, placed{s.pairK, s.k})
	}
	hostK := newHost(t, kind, inK)
	hostJ := newHost(t, kind, inJ)
	for _, s := range sites {
		s.hostJ, s.hostK = hostJ, hostK
	}
	for i, s := range sites {
		process := func(h *host) *process { return h.processes[i%len(h.processes)] }
		s.j.awaitListening(t, s.group, groupPort, process(hostJ))
		s.k.awaitListening(t, s.group, groupPort, process(hostK))
	}
}

// prompt makes an instance report each session by itself. By default the module waits up to 4 s for other sessions, a
// time that does not depend on the daemon.
func prompt(t testing.TB, n *namespace) { n.perReport(t, 1) }

// usualReport is how many sessions a report holds by default.
const usualReport = 36

func (n *namespace) perReport(t testing.TB, sessions int) {
	t.Helper()
	if countsJoold(module(t)) {
		n.exec(t, tool(t), "-i", "nat", "global", "update", "ss-max-sessions-per-packet", strconv.Itoa(sessions))
	}
}

// keepAddresses makes interfaces keep their addresses while they are down, and use new ones at once, because the time
// of the kernel's checks is not caused by the fault.
func keepAddresses(t testing.TB, n *namespace, interfaces ...string) {
	t.Helper()
	for _, i := range interfaces {
		n.sysctl(t, [2]string{"ipv6/conf/" + i + "/keep_addr_on_down", "1"}, [2]string{"ipv6/conf/" + i + "/accept_dad", "0"})
	}
}

// newInstance recreates the instance of a NAT64.
func newInstance(t testing.TB, n *namespace) {
	t.Helper()
	addInstanceBy(t, tool(t), n, natInstance)
	prompt(t, n)
}

// tool is the jool of the module that is loaded.
func tool(t testing.TB) string {
	t.Helper()
	return "/jool/" + module(t).String() + "/jool"
}

// linkSync recreates the link between J and K.
func (s *site) linkSync(t testing.TB) {
	t.Helper()
	if s.replug != nil {
		s.replug(t)
		return
	}
	ip(t, fmt.Sprintf("link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s", syncLink, s.j.name, s.k.name))
	for _, side := range []struct {
		n            *namespace
		addr4, addr6 string
	}{{s.j, syncJ, syncJ6}, {s.k, syncK, syncK6}} {
		side.n.ip(t, fmt.Sprintf("address add %s/24 dev %[3]s\naddress add %[2]s/96 dev %[3]s nodad\nlink set %[3]s up", side.addr4, side.addr6, syncLink))
	}
	s.awaitCarriers(t)
}

// awaitCarriers waits until the link is there as the kernel sees it: nothing can cross before.
func (s *site) awaitCarriers(t testing.TB) {
	t.Helper()
	s.j.awaitCarrier(t, syncLink)
	s.k.awaitCarrier(t, syncLink)
}

// netem disturbs what both ends of the link "sync" send; without words it ends that.
func (s *site) netem(t testing.TB, words ...string) {
	t.Helper()
	for _, n := range []*namespace{s.j, s.k} {
		if len(words) == 0 {
			n.exec(t, "tc", "qdisc", "del", "dev", syncLink, "root")
			continue
		}
		n.exec(t, append([]string{"tc", "qdisc", "replace", "dev", syncLink, "root", "netem"}, words...)...)
	}
}

// floodNew opens sessions at full rate, which no flood has opened before.
func (s *site) floodNew(t testing.TB, sessions int) {
	t.Helper()
	const ports, first = 1000, 30000
	sources := max(1, sessions/ports)
	s.flood(t, portRange(uint16(first+s.floods), sources), min(sessions, ports))
	s.floods += sources
}

// explain logs what tells where sessions went that the standby lacks.
func (s *site) explain(t testing.TB, missing []session.Session) {
	t.Helper()
	const most = 10
	now := time.Now()
	for _, m := range missing[:min(len(missing), most)] {
		opened := ""
		if place, ok := placeOf(m); ok {
			opened = fmt.Sprintf(", opened by the probe %v ago", now.Sub(s.probe.openedAt(place)))
		}
		t.Logf("missing: %v%s", m, opened)
	}
	for _, side := range []struct {
		n *namespace
		h *host
		p pair
	}{{s.j, s.hostJ, s.pairJ}, {s.k, s.hostK, s.pairK}} {
		t.Logf("%s's module: %v", side.n.name, side.n.stats(t, "nat"))
		if side.h.kind == supervised {
			b, err := json.Marshal(side.h.rows(t)[side.p.name])
			t.Logf("%s's worker: %s (%v)", side.n.name, b, err)
		}
	}
}
