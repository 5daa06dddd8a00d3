package guest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Addresses of the second instance, "red", of the example with opposite roles.
const (
	redPool6   = "64:ff9b:1::/96"
	redPool4   = "192.0.2.2"
	redAddr4   = "64:ff9b:1::192.0.2.8" // n4, as n6 sees it through red
	redNext4   = "192.0.2.65"
	redNext6   = "fe80::65"
	redGroup   = "ff08::db8:64:65"
	redLink    = "red" // the interface of J and K towards red's namespace
	redUplink  = "out" // the interface of that namespace
	redOutside = "203.0.113.1"
	redInside  = "203.0.113.2"
)

// TestVRRPGroup has keepalived fail over and back ten times, with the example of one group.
func TestVRRPGroup(t *testing.T) {
	enter(t, "failover")
	eachUnderVRRP(t, func(t *testing.T, kind daemon, top *topology) {
		pairJ, pairK := top.pairs(group6)
		j := newGateway(t, kind, top.j, gatewayPair{pairJ, top.j, natInstance})
		k := newGateway(t, kind, top.k, gatewayPair{pairK, top.k, natInstance})
		for _, h := range []*gateway{j, k} {
			h.route = func(h *gateway, t testing.TB) {
				h.startKeepalived(t, "keepalived.conf", h == k)
			}
			h.serves = func(h *gateway, t testing.TB) string { return h.hasAddress(t, nextHop4) }
		}
		k.boot(t)
		j.boot(t)
		j.awaitServing(t)
		newCalls(t, top, addr4in6).survive(t, func(int) (fails, stays *gateway) { return j, k })
		k.checkAdvertised(t)
	})
}

// TestVRRPOppositeRoles has keepalived fail over and back ten times, with the example of two instances: J serves "nat" and
// K serves "red". The hosts fail in turn.
func TestVRRPOppositeRoles(t *testing.T) {
	enter(t, "failover")
	eachUnderVRRP(t, func(t *testing.T, kind daemon, top *topology) {
		j, k := newRoles(t, kind, top)
		k.boot(t)
		j.boot(t)
		j.awaitServing(t)
		k.awaitServing(t)
		newCalls(t, top, addr4in6, redAddr4).survive(t, func(round int) (fails, stays *gateway) {
			if round%2 == 0 {
				return j, k
			}
			return k, j
		})
		j.checkAdvertised(t)
	})
}

// eachUnderVRRP runs a test for each daemon, with a topology whose hosts use the next hops that keepalived moves.
func eachUnderVRRP(t *testing.T, test func(t *testing.T, kind daemon, top *topology)) {
	t.Helper()
	installJoolctl(t)
	for _, kind := range compared() {
		t.Run(string(kind), func(t *testing.T) {
			top := newTopology(t)
			top.underVRRP(t)
			test(t, kind, top)
		})
	}
}

// compared are the daemons that a failover test runs: C joold in the long form only.
func compared() []daemon {
	if testing.Short() {
		return []daemon{supervised}
	}
	return []daemon{supervised, upstream}
}

// newRoles creates J and K, each with the instance "nat" in its own namespace, and "red" in another one behind it.
func newRoles(t testing.TB, kind daemon, top *topology) (j, k *gateway) {
	t.Helper()
	made := newNamespaces(t, top.j.name+"-red", top.k.name+"-red")
	ip(t, fmt.Sprintf("link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s", syncLink, made[0].name, made[1].name))
	hosts := make([]*gateway, 2)
	for i, n := range []*namespace{top.j, top.k} {
		wireRed(t, n, made[i], 4+i)
		blue := pair{name: "blue", instance: "nat", group: group6, port: groupPort, link: syncLink}
		red := pair{name: "red", instance: "red", group: redGroup, port: groupPort + 1, link: syncLink}
		hosts[i] = newGateway(t, kind, n,
			gatewayPair{blue, n, natInstance},
			gatewayPair{red, made[i], instance{name: "red", framework: "netfilter", pool6: redPool6, pool4: redPool4}})
		own := []string{nextHop4, redNext4}[i]
		hosts[i].route = func(h *gateway, t testing.TB) { h.startKeepalived(t, "opposite-roles.conf", i == 1) }
		hosts[i].serves = func(h *gateway, t testing.TB) string {
			if missing := h.hasAddress(t, own); missing != "" || !h.alone(hosts[1-i]) {
				return missing
			}
			return h.hasAddress(t, []string{redNext4, nextHop4}[i])
		}
	}
	top.n6.ip(t, fmt.Sprintf("route add %s via %s dev e6", redPool6, redNext6))
	top.n4.ip(t, fmt.Sprintf("route add %s/32 via %s", redPool4, redNext4))
	return hosts[0], hosts[1]
}

// alone reports whether the other host does not run.
func (h *gateway) alone(other *gateway) bool { return len(other.programs) == 0 }

// wireRed connects the namespace of red's instance to its host, which routes red's pools to it.
func wireRed(t testing.TB, n, red *namespace, host int) {
	t.Helper()
	red.sysctl(t, [2]string{"ipv4/conf/all/forwarding", "1"}, [2]string{"ipv6/conf/all/forwarding", "1"},
		[2]string{"ipv6/conf/all/keep_addr_on_down", "1"})
	ip(t, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", redLink, n.name, redUplink, red.name))
	n.ip(t, fmt.Sprintf(`
address add %s/30 dev %[2]s
address add 2001:db8:65::1/64 dev %[2]s nodad
link set %[2]s up
`, redOutside, redLink))
	red.ip(t, fmt.Sprintf(`
link set lo up
address add %s/30 dev %[2]s
address add 2001:db8:65::2/64 dev %[2]s nodad
link set %[2]s up
route add default via %[3]s
route add default via 2001:db8:65::1
address add 2001:db8:ff65::%[4]d/96 dev %[5]s nodad
`, redInside, redUplink, redOutside, host, syncLink))
	n.ip(t, fmt.Sprintf("route add %s/32 via %s\nroute add %s via 2001:db8:65::2", redPool4, redInside, redPool6))
}

// startKeepalived starts keepalived with an example of packaging/keepalived. The second host gets the priorities of the
// second host. C joold has no answer for track_script, but advertises as soon as its host is BACKUP.
func (h *gateway) startKeepalived(t testing.TB, example string, second bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Documentation, "packaging", "keepalived", example))
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("interface eth0", "interface e4", "dev eth0", "dev e6").Replace(string(text))
	if second {
		conf = strings.NewReplacer("priority 100", "priority 90", "priority 90", "priority 100").Replace(conf)
	}
	if !h.kind.ours() {
		conf = regexp.MustCompile(`(?ms)^vrrp_script .*?^}|^ *track_script {.*?}`).ReplaceAllString(conf, "")
		for _, p := range h.pairs {
			of := regexp.MustCompile(`notify "/usr/bin/joolctl notify (--all|` + p.name + `)"`)
			conf = of.ReplaceAllLiteralString(conf, fmt.Sprintf("notify_backup %q", h.advertiseScript(t, p)))
		}
	}
	file := filepath.Join(filepath.Dir(h.dir), "keepalived.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	h.ip(t, fmt.Sprintf("address flush to %s dev e4\naddress flush to %s dev e4\naddress flush to %s dev e6\naddress flush to %s dev e6",
		nextHop4, redNext4, nextHop6, redNext6))
	h.start(t, "keepalived", "--dont-fork", "--log-console", "--use-file", file)
}

// advertiseScript writes a script that advertises a pair's table with Jool's own tool, and returns its path in the host's
// /run. keepalived runs no script from a directory that others may write.
func (h *gateway) advertiseScript(t testing.TB, p gatewayPair) string {
	t.Helper()
	name := "advertise-" + p.instance.name
	// The shell's own ip would come first.
	text := fmt.Sprintf("#!/bin/sh\n/usr/bin/ip netns exec %s jool -i %s joold advertise && echo %[2]s >>/run/advertised\n", p.in.name, p.instance.name)
	if err := os.WriteFile(filepath.Join(h.run, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return "/run/" + name
}

// checkAdvertised checks that keepalived made C joold's host advertise. Otherwise the comparison would be unfair.
func (h *gateway) checkAdvertised(t testing.TB) {
	t.Helper()
	if h.kind.ours() {
		return
	}
	if _, err := os.Stat(filepath.Join(h.run, "advertised")); err != nil {
		t.Errorf("%s did not advertise: %v", h.name, err)
	}
}

// hasAddress returns "" if the host has an address of a next hop.
func (h *gateway) hasAddress(t testing.TB, address string) (missing string) {
	t.Helper()
	h.do(t, func() error {
		link, err := net.InterfaceByName("e4")
		if err != nil {
			return err
		}
		all, err := link.Addrs()
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok && n.IP.String() == address {
				return nil
			}
		}
		missing = fmt.Sprintf("it has %v, not %s", all, address)
		return err
	})
	return missing
}
