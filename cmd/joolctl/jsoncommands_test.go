package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/replication"
	"joolctl/supervisor"
)

// TestJSONCommands checks that commands print JSON and exit with the same status as for text.
func TestJSONCommands(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	answer := func(code int, into any, args string) {
		t.Helper()
		got, stdout, stderr := 3, "", ""
		for range 50 { // on a busy machine, `ready` may exceed its limit of 200 ms
			if got, stdout, stderr = ran(append(strings.Fields(args), "--socket", socket)...); got != 3 {
				break
			}
		}
		if got != code || stderr != "" {
			t.Errorf("joolctl %s: code %d, want %d; stderr %q", args, got, code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), into); err != nil {
			t.Errorf("joolctl %s: %v: %s", args, err, stdout)
		}
	}
	var ready supervisor.Ready
	answer(0, &ready, "ready a -o json")
	if !ready.Ready || len(ready.Pairs) != 1 || ready.Pairs[0].Reasons == nil || ready.Pairs[0].Warnings == nil {
		t.Errorf("a: %+v", ready)
	}
	answer(1, &ready, "ready --all -o json")
	if ready.Ready || len(ready.Pairs) != 2 || ready.Pairs[1].Reasons[0].Code != replication.NotRunning {
		t.Errorf("all: %+v", ready)
	}
	var reload supervisor.Reload
	answer(0, &reload, "reload -o json")
	if diff := cmp.Diff(supervisor.Reload{Changes: []supervisor.Change{}, Refused: []supervisor.Refusal{}}, reload); diff != "" {
		t.Errorf("reload (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.netsocket.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	answer(1, &reload, "reload -o json")
	if r := reload.Refused; len(r) != 1 || r[0].Name != "a" || len(r[0].Reasons) == 0 || r[0].Reasons[0].Code != replication.FilesRefused {
		t.Errorf("reload: %+v", reload)
	}
	var c checked
	answer(1, &c, "check -o json "+dir)
	if c.Good || len(c.Pairs) != 2 || c.Pairs[0].Good || c.Pairs[0].Problems[0].Code != "error" || !c.Pairs[1].Good {
		t.Errorf("check: %+v", c)
	}
	for _, args := range []string{"ready a -o xml", "reload -o xml", "check -o xml", "version -o xml"} {
		if code, _, stderr := ran(strings.Fields(args)...); code != 2 || !strings.Contains(stderr, `there is no output "xml"; write text or json`) {
			t.Errorf("joolctl %s: code %d, stderr %q", args, code, stderr)
		}
	}
}

// TestSort checks the order of rows that the command prints.
func TestSort(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	for _, c := range []struct{ flags, want string }{{"", "a b"}, {"--sort", "b a"}, {"--sort=severity -o json", "b a"}, {"--sort=name -o json", "a b"}} {
		code, stdout, _ := ran(append(strings.Fields("status "+c.flags), "--socket", socket)...)
		var names []string
		for line := range strings.SplitSeq(stdout, "\n") {
			if name, is := strings.CutPrefix(strings.TrimSpace(line), `"name": "`); is {
				names = append(names, strings.Trim(name, `",`))
			} else if fields := strings.Fields(line); len(fields) > 4 && (fields[0] == "a" || fields[0] == "b") {
				names = append(names, fields[0])
			}
		}
		if got := strings.Join(names, " "); code != 1 || got != c.want {
			t.Errorf("status %s: code %d, rows %q, want %q", c.flags, code, got, c.want)
		}
	}
	if code, _, stderr := ran("status", "--sort=age"); code != 2 || !strings.Contains(stderr, `there is no order "age"; write name, severity, rates, lag or sessions`) {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

// TestScreen checks that forty pairs with long values and the same reason fit a screen of 120 columns and 50 lines.
func TestScreen(t *testing.T) {
	s := supervisor.Status{}
	for i := range 40 {
		s.Workers = append(s.Workers, supervisor.Row{
			Name: "customer" + strconv.Itoa(i), Namespace: "customer" + strconv.Itoa(i), Instance: "nat", State: supervisor.Running, Synced: "no", Since: now,
			FullSync: &supervisor.FullSyncProgress{Phase: "receiving", DoneSessions: 100, TotalSessions: 1000, Incomplete: true},
			Sessions: new(uint64(1234567)), BestPeerSessions: new(uint64(1234567)), Lag: &supervisor.Lag{Sessions: 12345, Seconds: 12.3},
			Rates: &supervisor.Rates{In: 12345, Out: 12345}, LostSessions: 123456,
			Reasons: []replication.Reason{{Code: replication.LinkDown, Text: "the interface eth1 is down", Remedy: "type: ip link set eth1 up"}},
		})
	}
	var out strings.Builder
	if err := table.Write(&out, s, table.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) > 50 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len(line) > 120 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if want := "customer0, customer1, customer2 and 37 more: the interface eth1 is down; type: ip link set eth1 up"; !strings.Contains(out.String(), want) {
		t.Errorf("no line %q:\n%s", want, out.String())
	}
}
