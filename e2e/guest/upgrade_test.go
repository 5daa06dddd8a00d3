package guest

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"joolctl/session"
)

// TestUpgrade upgrades and downgrades the package, whose service serves both NAT64s of a topology, while sessions are opened
// through J.
func TestUpgrade(t *testing.T) {
	enter(t, "upgrade")
	before := systemFiles(t)
	t.Setenv("DEBIAN_FRONTEND", "noninteractive") // there is no terminal
	s := service{pairs: 2}
	s.logOnFailure(t)
	run(t, "modprobe", "jool")
	install(t, "old")

	top := newTopology(t)
	top.serveEcho(t)
	pairJ, pairK := top.pairs(group6)
	for _, p := range []pair{pairJ.in(top.j), pairK.in(top.k)} {
		p.write(t, pairsDir)
	}
	for _, n := range []*namespace{top.j, top.k} {
		n.exec(t, "jool", "-i", "nat", "global", "update", "udp-timeout", "2:00:00") // no session expires meanwhile
	}
	run(t, "systemctl", "start", "joolctl")
	connection := top.connect(t, 9000)
	opened := top.openSteadily(t, 10)
	s.awaitGreen(t, "yes")
	top.awaitOpened(t, 20)
	for _, to := range []string{"new", "old"} {
		t.Run("to "+to, func(t *testing.T) { changeVersion(t, s, top, to) })
		connection.mustEcho(t, "after the change to "+to)
	}
	sent, err := opened.stop()
	if err != nil {
		t.Fatal(err)
	}
	top.sessions[session.UDP], top.sessions[session.TCP] = sent, 1
	t.Logf("%d sessions were opened", sent)
	top.awaitSynced(t)
	s.awaitGreen(t, "yes")
	t.Run("removal", func(t *testing.T) { testRemoval(t, s, top, before, pairJ, pairK) })
}

// install installs a version beside Debian's jool-tools and jool-dkms, which are installed already. Without a terminal,
// apt-get gives a downgrade its default answer.
func install(t testing.TB, dir string) {
	t.Helper()
	t.Log(run(t, "apt-get", "install", "-y", "--allow-downgrades", deb(t, dir)))
}

// changeVersion installs another version, and checks that no session is lost and no counter reset.
func changeVersion(t *testing.T, s service, top *topology, dir string) {
	tables := map[*namespace]map[string]bool{top.j: top.j.sessionKeys(t), top.k: top.k.sessionKeys(t)}
	before := s.awaitGreen(t, "yes")
	pid := s.show(t, "MainPID")

	install(t, dir)

	after := s.awaitGreen(t, "yes")
	if got := s.show(t, "MainPID"); got == pid {
		t.Errorf("process %s was not restarted", pid)
	}
	if got, want := debVersion(t, ""), debVersion(t, dir); got != want {
		t.Errorf("version %s is installed, want %s", got, want)
	}
	if before.Totals["NET_SENT_PKTS"] == 0 || before.Totals["KERNEL_SENT_PKTS"] == 0 {
		t.Errorf("no session was synchronised before the change: %v", before.Totals)
	}
	checkNotReset(t, before, after)
	for n, table := range tables {
		now := n.sessionKeys(t)
		for key := range table {
			if !now[key] {
				t.Errorf("%s lost the session %s", n.name, key)
			}
		}
	}
	top.awaitOpened(t, len(tables[top.k])+20) // the new process synchronises
}

// sessionKeys are the sessions of an instance "nat" without their times.
func (n *namespace) sessionKeys(t testing.TB) map[string]bool {
	t.Helper()
	keys := make(map[string]bool)
	for _, s := range n.sessions(t, "nat") {
		keys[fmt.Sprint(s.Proto, s.Src6, s.Dst6, s.Src4, s.Dst4)] = true
	}
	return keys
}

// awaitOpened waits until K has so many sessions.
func (top *topology) awaitOpened(t testing.TB, sessions int) {
	t.Helper()
	eventually(t, repairedWithin, fmt.Sprintf("K has %d sessions", sessions), func() string {
		if n := len(top.k.sessions(t, "nat")); n < sessions {
			return fmt.Sprintf("it has %d", n)
		}
		return ""
	})
}

// testRemoval removes and purges. Only the files of the pairs stay, and the sessions.
func testRemoval(t *testing.T, s service, top *topology, before map[string]bool, pairs ...pair) {
	sessions := top.k.sessionKeys(t)
	run(t, "systemctl", "enable", "joolctl")
	run(t, "apt-get", "remove", "-y", "joolctl")
	if state, _ := command(t, "systemctl", "is-active", "joolctl"); strings.TrimSpace(state) != "inactive" {
		t.Errorf("after the removal, systemctl is-active says %q", state)
	}
	install(t, "new")
	s.checkState(t, "inactive", "enabled")
	run(t, "systemctl", "start", "joolctl")
	s.awaitGreen(t, "yes")

	run(t, "apt-get", "purge", "-y", "joolctl")
	want := []string{pairsDir}
	for _, p := range pairs {
		netsocket, modsocket := p.files(pairsDir)
		want = append(want, modsocket, netsocket)
	}
	checkLeft(t, before, want...)
	if now := top.k.sessionKeys(t); !maps.Equal(now, sessions) {
		t.Errorf("K has %d sessions; before the removal it had %d", len(now), len(sessions))
	}
	run(t, "rm", "-r", pairsDir)
	install(t, "new")
	run(t, "apt-get", "purge", "-y", "joolctl")
	checkLeft(t, before)
}
