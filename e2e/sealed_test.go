package e2e

import (
	"testing"

	"joolctl/e2e/lab/labtest"
)

// TestSealed changes keys and modes of groups of hosts under traffic, and attacks them: on the oldest and the newest version of Jool.
func TestSealed(t *testing.T) { onEach(t, "sealed") }

// TestSealedAttack has an attacker on the link send 50,000 datagrams a second: on the oldest and the newest version of Jool.
func TestSealedAttack(t *testing.T) { onEach(t, "sealed attack") }

// TestSealedCost compares joolctl with a key and without.
func TestSealedCost(t *testing.T) {
	t.Parallel()
	l := labtest.Prepare(t)
	boot(t, l, "sealed cost", l.Newest())
}
