package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestVersions has two machines with different versions of Jool, joined by a
// cable, as a cluster is that gets upgraded host by host: a standby of the
// newest holds what an active of the oldest has, and the other way round.
func TestVersions(t *testing.T) {
	l := labtest.Prepare(t)
	if len(OldAndNew(l)) == 0 {
		t.Skip("the lab has one version of Jool only")
	}
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range OldAndNew(l) {
		t.Run(h.Active+" to "+h.Standby, func(t *testing.T) {
			tables, err := programs.RunHosts(t.Context(), l, h, t.Output(), verbose()...)
			if err != nil {
				t.Fatal(err)
			}
			if d := tables.Active.Diff(tables.Live); d != "" {
				t.Errorf("as they were opened: %s", d)
			}
			if d := tables.Active.Diff(tables.Cold); d != "" {
				t.Errorf("at a cold start: %s", d)
			}
		})
	}
}
