package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBGPWithFRR has hosts fail over and back ten times with the example for FRR.
func TestBGPWithFRR(t *testing.T) {
	enter(t, "failover")
	addFRRGroup(t)
	testBGP(t, (*gateway).startFRR)
}

// TestBGPWithBIRD has hosts fail over and back ten times with the example for BIRD.
func TestBGPWithBIRD(t *testing.T) {
	enter(t, "failover")
	testBGP(t, (*gateway).startBIRD)
}

// testBGP has a host announce the pools with a BGP daemon to n6 and n4, which are routers here.
func testBGP(t *testing.T, daemon func(h *gateway, t testing.TB, second bool)) {
	installJoolctl(t)
	for _, kind := range compared() {
		t.Run(string(kind), func(t *testing.T) {
			top := newTopology(t)
			top.separate(t)
			top.n6.ip(t, "route del "+pool6)
			pairJ, pairK := top.pairs(group6)
			j := newGateway(t, kind, top.j, gatewayPair{pairJ, top.j, natInstance})
			k := newGateway(t, kind, top.k, gatewayPair{pairK, top.k, natInstance})
			routers := top.startRouters(t)
			for _, h := range []*gateway{j, k} {
				h.route = func(h *gateway, t testing.TB) {
					h.startPoolRoutes(t)
					daemon(h, t, h == k)
				}
				h.serves = func(h *gateway, t testing.TB) string { return routers.through(t, h == k) }
			}
			k.boot(t)
			j.boot(t)
			j.awaitServing(t)
			c := newCalls(t, top, addr4in6)
			c.survive(t, func(int) (fails, stays *gateway) { return j, k })
			if kind.ours() {
				testWithdrawals(t, c, routers, j, k)
				if c.broken > 0 {
					t.Errorf("%v", c)
				}
			}
		})
	}
}

// testWithdrawals has J withdraw its routes for other reasons than a crash. At the beginning, J serves.
func testWithdrawals(t *testing.T, c *calls, routers routers, j, k *gateway) {
	j.stopPoolRoutes(t)
	k.awaitServing(t)
	c.check(t, "J is drained")
	j.startPoolRoutes(t)
	j.awaitServing(t)
	c.check(t, "J serves again")

	j.exec(t, "jool", "instance", "remove", "nat")
	k.awaitServing(t)
	c.check(t, "J has no instance")
	addInstance(t, j.namespace, j.pairs[0].instance)
	j.awaitServing(t)
	c.check(t, "J has an instance again")

	j.crash(t)
	k.awaitServing(t)
	j.bootApart(t)
	routers.awaitEstablished(t, "j")
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for range 5 { // five times as long as nat64-routes takes to find that a host is ready
		if wrong := k.serves(k, t); wrong != "" {
			t.Fatalf("J has no session and announces the pools: %s", wrong)
		}
		<-second.C
	}
	j.plugIn(t)
	j.awaitServing(t)
	c.check(t, "J's link to K is back")
}

// startPoolRoutes starts the example's script. Without joolctl the routes exist all the time.
func (h *gateway) startPoolRoutes(t testing.TB) {
	t.Helper()
	if h.kind.ours() {
		// The machine's sh has an ip of its own, which lacks much.
		h.poolRoutes = h.start(t, "bash", "--posix", filepath.Join(Documentation, "packaging", "bgp", "nat64-routes"))
		return
	}
	h.exec(t, "ip", "-6", "route", "replace", "blackhole", pool6, "proto", "static")
	h.exec(t, "ip", "-4", "route", "replace", "blackhole", pool4+"/32", "proto", "static")
}

// stopPoolRoutes ends the script as systemctl stop does.
func (h *gateway) stopPoolRoutes(t testing.TB) {
	t.Helper()
	h.poolRoutes.stop(t)
	h.programs = slices.DeleteFunc(h.programs, func(p *process) bool { return p == h.poolRoutes })
}

// example returns the path of the example's file for this host. The example is that of the first host.
func (h *gateway) example(t testing.TB, name string, second bool) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Documentation, "packaging", "bgp", name))
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	if second {
		conf = strings.NewReplacer("192.0.2.4", "192.0.2.5", "2001:db8::4", "2001:db8::5", "metric 100", "metric 200", "bgp_med = 100", "bgp_med = 200").Replace(conf)
	}
	file := filepath.Join(filepath.Dir(h.dir), name)
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// startFRR starts those of FRR's daemons that the example needs.
func (h *gateway) startFRR(t testing.TB, second bool) {
	t.Helper()
	dir := filepath.Join(h.run, "frr")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	options := func(daemon string) []string {
		return []string{"/usr/lib/frr/" + daemon, "--log", "stdout", "-u", "root", "-g", "root",
			"-z", "/run/frr/zserv.api", "-i", "/run/frr/" + daemon + ".pid", "--vty_socket", "/run/frr"}
	}
	h.start(t, options("zebra")...)
	eventually(t, listensWithin, "zebra listens", func() string {
		if _, err := os.Stat(filepath.Join(dir, "zserv.api")); err != nil {
			return err.Error()
		}
		return ""
	})
	h.start(t, append(options("bgpd"), "-f", h.example(t, "frr.conf", second))...)
}

// addFRRGroup adds the group that FRR's daemons look up.
func addFRRGroup(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/etc/group", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("frrvty:x:64:root\n"); err != nil {
		t.Fatal(err)
	}
}

// startBIRD starts BIRD in the foreground.
func (h *gateway) startBIRD(t testing.TB, second bool) {
	t.Helper()
	h.start(t, "bird", "-f", "-s", "/run/bird.ctl", "-P", "/run/bird.pid", "-c", h.example(t, "bird.conf", second))
}

// routers are n6 and n4 with BIRD.
type routers []router

// router is a host with BIRD, which gets a route to the pool from J and from K.
type router struct {
	*namespace
	pool    string
	hosts   [2]string // the addresses of J and K
	control string    // BIRD's socket
}

// startRouters starts BIRD in n6 and n4. The protocols of both are called j and k.
func (top *topology) startRouters(t testing.TB) routers {
	t.Helper()
	all := routers{
		{namespace: top.n6, pool: pool6, hosts: [2]string{"2001:db8::4", "2001:db8::5"}},
		{namespace: top.n4, pool: pool4, hosts: [2]string{"192.0.2.4", "192.0.2.5"}},
	}
	for i, own := range []string{addr6, addr4} {
		family := []string{"ipv6", "ipv4"}[i]
		dir := t.TempDir()
		all[i].control = filepath.Join(dir, "bird.ctl")
		conf := fmt.Sprintf("router id %s;\nprotocol device {}\nprotocol kernel { %s { import none; export all; }; }\n", addr4, family)
		for j, host := range all[i].hosts {
			conf += fmt.Sprintf(`protocol bgp %s {
    local %s as 64500;
    neighbor %s as 64512;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
    %s { import all; export none; };
}
`, []string{"j", "k"}[j], own, host, family)
		}
		file := filepath.Join(dir, "bird.conf")
		if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		start(t, all[i].namespace, "bird", "-f", "-s", all[i].control, "-P", filepath.Join(dir, "bird.pid"), "-c", file)
	}
	return all
}

// through returns "" if both routers send the pools' packets to J, or to K.
func (all routers) through(t testing.TB, k bool) string {
	t.Helper()
	for _, r := range all {
		family, host := "-4", 0
		if strings.Contains(r.pool, ":") {
			family = "-6"
		}
		if k {
			host = 1
		}
		route := r.exec(t, "ip", family, "route", "show", r.pool)
		// FRR and BIRD announce the link-local address beside the global one. It has the last byte of e6's hardware address.
		linkLocal := fmt.Sprintf("fe80::ff:fe00:61%d", host)
		if !strings.Contains(route, "via "+r.hosts[host]+" ") && !strings.Contains(route, "via "+linkLocal+" ") {
			return fmt.Sprintf("%s: route to %s: %q", r.name, r.pool, route)
		}
	}
	return ""
}

// awaitEstablished waits until both routers have a session with a host.
func (all routers) awaitEstablished(t testing.TB, protocol string) {
	t.Helper()
	for _, r := range all {
		eventually(t, 30*time.Second, r.name+" has a BGP session", func() string {
			if text := r.exec(t, "birdc", "-s", r.control, "show", "protocols", protocol); !strings.Contains(text, "Established") {
				return text
			}
			return ""
		})
	}
}
