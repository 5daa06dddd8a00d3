package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestVersions runs two machines with different versions of Jool, joined by a cable, like a cluster that is upgraded
// host by host. A standby with the newest version gets all sessions of an active NAT64 with the oldest version, and the
// other way round.
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
