package guest

import (
	"fmt"
	"testing"
)

// TestVRF synchronises two NAT64s over a link that belongs to a VRF on both. Doctor names the setting that is missing at first.
func TestVRF(t *testing.T) {
	enter(t, "test")
	const vrf = "blue"
	for _, c := range []struct {
		name         string
		group        string
		peerJ, peerK string // without a group
	}{
		{"IPv6 group", group6, "", ""},
		{"IPv4 group", group4, "", ""},
		{"IPv6 peers", "", syncK6, syncJ6},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := newTopology(t)
			top.serveEcho(t)
			for _, side := range []struct {
				n        *namespace
				address6 string
			}{{top.j, syncJ6}, {top.k, syncK6}} {
				// The kernel removes IPv6 addresses from an interface that it adds to a VRF.
				side.n.ip(t, fmt.Sprintf("link add %[1]s type vrf table 10\nlink set %[1]s up\nlink set %[2]s master %[1]s\naddress replace %[3]s/96 dev %[2]s nodad",
					vrf, syncLink, side.address6))
			}
			pairOf := func(n *namespace, peer string) pair {
				p := pair{name: n.name, instance: "nat", group: c.group, port: groupPort, link: syncLink}
				if peer != "" {
					p.peers = []string{peer}
				}
				return p.in(n)
			}
			j, k := startSupervisor(t, pairOf(top.j, c.peerJ)), startSupervisor(t, pairOf(top.k, c.peerK))
			j.awaitRunning(t, 1, listensWithin)
			k.awaitRunning(t, 1, listensWithin)
			d, code := k.doctor(t)
			if wrong := d.has("vrf", "fail", "belongs to the VRF "+vrf, "sysctl net.ipv4.udp_l3mdev_accept=1"); wrong != "" || code != exitNotWell {
				t.Errorf("exit status %d, %s", code, wrong)
			}
			for _, n := range []*namespace{top.j, top.k} {
				n.sysctl(t, [2]string{"ipv4/udp_l3mdev_accept", "1"})
			}
			top.keepConnections(t, 40000, 20)
			top.awaitSynced(t)
			d, _ = k.doctor(t)
			if wrong := d.has("vrf", "ok", vrf); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}
