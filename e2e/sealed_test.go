package e2e

import "testing"

// TestSealed changes keys and modes of groups of hosts under traffic, and attacks them: on the oldest and the newest version of Jool.
func TestSealed(t *testing.T) { onEach(t, "sealed") }

// TestSealedAttack has an attacker on the link send 50,000 datagrams a second: on the oldest and the newest version of Jool.
func TestSealedAttack(t *testing.T) { onEach(t, "sealed attack") }
