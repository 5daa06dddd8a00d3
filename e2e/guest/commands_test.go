package guest

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"joolctl/session"
)

// TestCommands runs the commands of an operator against a supervisor of a real pair.
func TestCommands(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	top := newTopology(t)
	top.serveEcho(t)
	pairJ, pairK := top.pairs(group6)
	pairJ.statsPort, pairK.statsPort = newStatsPort(), newStatsPort()
	metricsSocket := filepath.Join(t.TempDir(), "metrics.sock")
	sJ := startSupervisorWith(t, func(cmd *exec.Cmd) {
		cmd.Args = append(cmd.Args, "--metrics", "unix:"+metricsSocket, "--metrics-module")
	}, pairJ.in(top.j))
	sK := startSupervisor(t, pairK.in(top.k))
	sJ.awaitRunning(t, 1, listensWithin)
	sK.awaitRunning(t, 1, listensWithin)

	top.mixedTraffic(t)
	top.awaitSynced(t)
	t.Run("check", func(t *testing.T) { testCheck(t, sJ) })
	t.Run("status", func(t *testing.T) { testStatus(t, top, sJ, sK) })
	t.Run("stats", func(t *testing.T) {
		w := worker{kind: supervised, pair: pairK}
		eventually(t, syncedWithin, "nc and Go get the same answer", func() string {
			byGo, byNC := w.askStats(t), w.askStatsByNC(t)
			if !maps.Equal(byGo, byNC) { // a batch may have come in between
				return fmt.Sprintf("by Go: %v\nby nc: %v", byGo, byNC)
			}
			return ""
		})
	})
	t.Run("instances", func(t *testing.T) { testInstances(t, top, sJ, pairJ.name) })
	t.Run("metrics", func(t *testing.T) { testMetrics(t, top.j, sJ, metricsSocket) })
	t.Run("advertise", func(t *testing.T) { testAdvertise(t, top, sJ) })
	t.Run("no second supervisor", func(t *testing.T) {
		out, code := sJ.command(t, "up", sK.dir)
		if code == exitOK || !strings.Contains(out, sJ.socket) {
			t.Errorf("exit status %d, want one that says no and names the socket:\n%s", code, out)
		}
	})
	t.Run("bundle", func(t *testing.T) { testBundle(t, sJ) })
	t.Run("config", func(t *testing.T) { testConfig(t, sJ, pairJ) })
	t.Run("doctor", func(t *testing.T) { testDoctor(t, top, sJ, pairJ) })
	sJ.stop(t)
	sK.stop(t)
	if out, code := sJ.command(t, "status"); code != exitNoSupervisor {
		t.Errorf("joolctl status without a supervisor ended with %d, want %d:\n%s", code, exitNoSupervisor, out)
	}
}

func testCheck(t *testing.T, s supervisor) {
	if out, code := s.command(t, "check", s.dir); code != exitOK {
		t.Errorf("joolctl check of a good directory ended with %d:\n%s", code, out)
	}
	bad := t.TempDir()
	netsocket := filepath.Join(bad, "x.netsocket.json")
	if err := os.WriteFile(netsocket, []byte("{\n  \"multicast address\": \"192.0.2.1\",\n  \"multicast port\": 6464\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	writeJSON(t, filepath.Join(bad, "x.modsocket.json"), map[string]any{})
	out, code := s.command(t, "check", bad)
	place := regexp.MustCompile(regexp.QuoteMeta(netsocket) + `:2:\d+: .*multicast address`)
	if code != exitNotWell || !place.MatchString(out) {
		t.Errorf("joolctl check of a unicast address ended with %d, want %d and %v:\n%s", code, exitNotWell, place, out)
	}
}

func testStatus(t *testing.T, top *topology, sJ, sK supervisor) {
	for _, s := range []supervisor{sJ, sK} {
		st := s.status(t)
		w := st.Workers[0]
		if st.Directory != s.dir || w.State != "running" || w.Instance != "nat" || w.Synced != "yes" || w.Restarts != 0 {
			t.Errorf("joolctl status -o json says %+v", st)
		}
		if !maps.Equal(st.Totals, w.Stats) {
			t.Errorf("the totals of one worker are %v, its own numbers %v", st.Totals, w.Stats)
		}
		if _, ok := w.Kernel["JSTAT_JOOLD_PKT_SENT"]; ok != countsJoold(module(t)) {
			t.Errorf("the kernel's counters are %v", w.Kernel)
		}
		table, _ := s.command(t, "status")
		if !strings.Contains(table, w.Name) || !strings.Contains(table, "running") {
			t.Errorf("joolctl status prints\n%s", table)
		}
	}
	k := sK.status(t).Workers[0]
	if len(k.Peers) != 1 || k.Namespace != top.k.name {
		t.Errorf("K is in %s and has heard of peers %v; want %s and one", k.Namespace, k.Peers, top.k.name)
	}
}

func testAdvertise(t *testing.T, top *topology, s supervisor) {
	const n = 40
	top.j.addSessions(t, "nat", madeUp(pool6, n, top.j.sessions(t, "nat"))...)
	// By ourselves, so that a module which can't do it does not matter.
	out, code := s.command(t, "advertise", "--all", "--wait")
	if code != exitOK || !strings.Contains(out, "sessions at 4000 a second") {
		t.Errorf("joolctl advertise ended with %d:\n%s", code, out)
	}
	top.sessions[session.UDP] += n
	top.awaitSynced(t)
}
