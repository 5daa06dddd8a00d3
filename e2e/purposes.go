package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"joolctl/e2e/lab"
)

// purpose is the machine that a purpose's tests need: see package guest's EnvRun.
type purpose struct {
	// Guest is the machine as `make ci` boots it. Its Timeout is far more than the tests take.
	Guest
	// otherJool has a second version of Jool in the machine.
	otherJool bool
	// test is the test of this package that boots this machine together with another; empty if the machine is alone.
	test string
	// long changes the machine for the tests' long form, without -test.short.
	long func(*Guest)
}

var purposes = map[string]purpose{
	"test":          {Guest: Guest{Timeout: 4 * time.Minute, Args: []string{"-test.parallel=6"}}},
	"fleet":         {Guest: Guest{Timeout: 4 * time.Minute, CountInstructions: true}},
	"heal":          {Guest: Guest{Timeout: 6 * time.Minute, CountInstructions: true}},
	"completeness":  {Guest: Guest{Timeout: 6 * time.Minute, CountInstructions: true}},
	"sealed":        {Guest: Guest{Timeout: 12 * time.Minute, CountInstructions: true}},
	"sealed attack": {Guest: Guest{Timeout: 20 * time.Minute, CountInstructions: true}},
	"sealed cost": {
		Guest: Guest{Timeout: 6 * time.Minute, CountInstructions: true},
		long:  func(g *Guest) { g.Timeout, g.MemoryMiB = 50*time.Minute, 6144 },
	},
	"rates": {
		Guest: Guest{Timeout: 6 * time.Minute, CountInstructions: true},
		long:  func(g *Guest) { g.Timeout = 40 * time.Minute },
	},
	"keepalived": {Guest: Guest{Timeout: 4 * time.Minute, CountInstructions: true, Packages: map[string][]string{"keepalived": {"/usr/sbin/keepalived"}}}},
	"failover": {
		Guest: Guest{Timeout: 12 * time.Minute, CountInstructions: true, MemoryMiB: 2048, Packages: map[string][]string{
			"keepalived": {"/usr/sbin/keepalived"},
			"frr":        {"/usr/lib/frr/zebra", "/usr/lib/frr/bgpd"},
			"bird2":      {"/usr/sbin/bird", "/usr/sbin/birdc"},
		}},
		long: func(g *Guest) { g.Timeout = 40 * time.Minute },
	},
	"drill": {Guest: Guest{Timeout: 15 * time.Minute, CountInstructions: true, MemoryMiB: 3072,
		Packages: map[string][]string{"prometheus": {"/usr/bin/prometheus", "/usr/bin/promtool"}}}},
	"chaos": {
		Guest:     Guest{Timeout: 6 * time.Minute, CountInstructions: true},
		otherJool: true,
		long:      func(g *Guest) { g.Timeout, g.MemoryMiB = 40*time.Minute, 3072 },
	},
	"standby": {
		Guest: Guest{Timeout: 12 * time.Minute, CountInstructions: true},
		long:  func(g *Guest) { g.Timeout, g.MemoryMiB = 50*time.Minute, 6144 },
	},
	"sizing": {Guest: Guest{Timeout: 6 * time.Minute, CountInstructions: true}},
	"soak":   {Guest: Guest{Timeout: 6 * time.Minute, MemoryMiB: 2048}},
	"bench":  {Guest: Guest{Timeout: 8 * time.Minute, CountInstructions: true}},
	"many":   {Guest: Guest{Timeout: 20 * time.Minute, CountInstructions: true, MemoryMiB: 3072}},
	"demo":   {Guest: Guest{Timeout: time.Minute}},
	"live": {
		Guest: Guest{Timeout: 4 * time.Minute},
		long:  func(g *Guest) { g.Timeout = 50 * time.Minute },
	},
	"live active":      {Guest: Guest{Timeout: 4 * time.Minute}, test: "TestLive", long: func(g *Guest) { g.Timeout = 50 * time.Minute }},
	"live standby":     {Guest: Guest{Timeout: 4 * time.Minute}, test: "TestLive", long: func(g *Guest) { g.Timeout = 50 * time.Minute }},
	"versions active":  {Guest: Guest{Timeout: 4 * time.Minute}, test: "TestVersions"},
	"versions standby": {Guest: Guest{Timeout: 4 * time.Minute}, test: "TestVersions"},
	"install":          {Guest: Guest{Timeout: 30 * time.Minute, System: true}},
	"upgrade":          {Guest: Guest{Timeout: 30 * time.Minute, System: true}},
	"five minutes, A":  {Guest: Guest{Timeout: 30 * time.Minute, System: true}, test: "TestFiveMinutes"},
	"five minutes, B":  {Guest: Guest{Timeout: 30 * time.Minute, System: true}, test: "TestFiveMinutes"},
	"shell":            {Guest: Guest{Timeout: 24 * time.Hour}},
}

// GuestFor returns the machine for a purpose's tests, with a version of Jool. Short tests are those of `make ci`.
func GuestFor(l *lab.Lab, name, version string, short bool) (Guest, error) {
	p, ok := purposes[name]
	if !ok {
		return Guest{}, fmt.Errorf("no machine is known for the purpose %q; the known ones are %s",
			name, strings.Join(slices.Sorted(maps.Keys(purposes)), ", "))
	}
	g := p.Guest
	g.Purpose, g.Jool, g.Args = name, version, slices.Clone(p.Args)
	if p.otherJool {
		g.Other = anotherVersion(l, version)
	}
	switch {
	case short:
		g.Args = append(g.Args, "-test.short")
	case p.long != nil:
		p.long(&g)
	}
	return g, nil
}

// anotherVersion is the newest version of Jool that the lab has beside the given one, if there is one.
func anotherVersion(l *lab.Lab, version string) []string {
	others := slices.DeleteFunc(l.Versions(), func(v string) bool { return v == version }) // oldest first
	return others[max(0, len(others)-1):]
}
