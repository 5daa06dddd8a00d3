package e2e

import (
	"slices"
	"testing"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// TestTrixie runs the tests of synchronisation, standbys, healing and sizing on trixie's kernel with trixie's Jool. The other tests of
// this package run on the kernel of the host's suite.
func TestTrixie(t *testing.T) {
	l := labtest.PrepareSuite(t, "trixie")
	for name, args := range map[string][]string{
		"test":    {"-test.run=^(TestSync|TestStandby)$"},
		"standby": nil,
		"heal":    nil,
		"sizing":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			boot(t, l, name, l.Newest(), args...)
		})
	}
}

// TestInstallation follows docs/install.md in the Debian of each suite.
func TestInstallation(t *testing.T) { onSystems(t, "install") }

// TestUpgrade upgrades, downgrades, removes and purges the package in the Debian of each suite while sessions are opened.
func TestUpgrade(t *testing.T) { onSystems(t, "upgrade") }

// TestFiveMinutes follows docs/five-minutes.md on two hosts with the Debian of each suite, and pulls the plugs of one.
func TestFiveMinutes(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			l := labtest.PrepareSuite(t, suite)
			programs, err := build()
			if err != nil {
				t.Fatal(err)
			}
			var hosts [2]Guest
			for i, host := range []string{"A", "B"} {
				if hosts[i], err = GuestFor(l, "five minutes, "+host, l.Newest(), true); err != nil {
					t.Fatal(err)
				}
				hosts[i].Args = slices.Concat(verbose(), hosts[i].Args, []string{"-test.run=^TestFiveMinutes" + host + "$"})
				hosts[i].Stdout = t.Output()
			}
			if _, err := programs.runJoined(t.Context(), l, hosts, guest.PageCables); err != nil {
				labtest.Unavailable(t, err)
			}
		})
	}
}

// onSystems boots the Debian of each suite for a purpose.
func onSystems(t *testing.T, purpose string) {
	t.Helper()
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			l := labtest.PrepareSuite(t, suite)
			boot(t, l, purpose, l.Newest())
		})
	}
}
