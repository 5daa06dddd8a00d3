package e2e

import (
	"testing"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// TestTrixie runs the tests of synchronisation, standbys and healing on trixie's kernel with trixie's Jool. The other tests of
// this package run on the kernel of the host's suite.
func TestTrixie(t *testing.T) {
	l := labtest.PrepareSuite(t, "trixie")
	for name, args := range map[string][]string{
		"test":    {"-test.run=^(TestSync|TestStandby)$"},
		"standby": nil,
		"heal":    nil,
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
