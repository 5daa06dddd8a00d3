package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab/labtest"
)

// TestVersions has two machines with different versions of Jool, joined by a
// cable, as a cluster is that gets upgraded host by host: a standby of the
// newest holds what an active of the oldest has, and the other way round.
func TestVersions(t *testing.T) {
	l := labtest.Prepare(t)
	if l.Oldest() == l.Newest() {
		t.Skip("the lab has one version of Jool only")
	}
	for _, hosts := range [][2]string{{l.Oldest(), l.Newest()}, {l.Newest(), l.Oldest()}} {
		t.Run(hosts[0]+" to "+hosts[1], func(t *testing.T) {
			ends := [2]string{filepath.Join(t.TempDir(), "active"), filepath.Join(t.TempDir(), "standby")}
			var left [2]map[string][]byte
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var machines sync.WaitGroup
			for i, role := range []struct{ purpose, test string }{{"versions active", "TestVersionsActive"}, {"versions standby", "TestVersionsStandby"}} {
				machines.Go(func() {
					left[i] = boot(ctx, t, l, Guest{
						Jool:     hosts[i],
						Purpose:  role.purpose,
						Args:     []string{"-test.run=^" + role.test + "$"},
						Timeout:  4 * time.Minute,
						QEMUArgs: cable(ends[i], ends[1-i], i),
					})
					if t.Failed() {
						cancel() // the other waits for it
					}
				})
			}
			machines.Wait()
			if t.Failed() {
				return
			}
			active := snapshot(t, left[0]["active.json"])
			for _, name := range []string{"live.json", "cold.json"} {
				if d := active.Diff(snapshot(t, left[1][name])); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		})
	}
}

func snapshot(t *testing.T, text []byte) (s guest.Snapshot) {
	t.Helper()
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal("the machine's table: ", err)
	}
	return s
}
