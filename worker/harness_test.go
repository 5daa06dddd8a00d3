package worker

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/session"
	"joolctl/worker/workertest"
)

// testbed is the harness of this package's tests: some namespaces, each with an interface "sync" by which it reaches the others. A test
// puts hosts and peers into the namespaces by their numbers. A host is a whole worker, which runs by itself after start, and step by step
// in step. A peer is a socket whose datagrams the test writes. virtual is the same in virtual time, without sockets.
type testbed struct {
	t         testing.TB
	ns        []string     // their names
	six, four []netip.Addr // their addresses
	group     netip.Addr   // of the hosts and peers
}

// layout says how a testbed connects its namespaces: by a bridge, or two of them by one link, or by a router.
type layout bool

// routed is the layout with a router, and a link of its own for each namespace.
const routed layout = true

// newTestbed returns a testbed with n namespaces. Number i has the addresses fd64::i+1 and 10.64.0.i+1; with a router fd64:i::2 and
// 10.64.i.2.
func newTestbed(t testing.TB, n int, how ...layout) *testbed {
	t.Helper()
	b := &testbed{t: t, group: group6}
	form6, form4, first := "fd64::%d", "10.64.0.%d", 1
	if len(how) > 0 {
		form6, form4, first = "fd64:%d::2", "10.64.%d.2", 0
	}
	for i := range n {
		b.add()
		b.six = append(b.six, netip.MustParseAddr(fmt.Sprintf(form6, first+i)))
		b.four = append(b.four, netip.MustParseAddr(fmt.Sprintf(form4, first+i)))
	}
	switch {
	case len(how) > 0:
		b.route()
	case n == 2:
		b.connect(0, 1, "sync", 64)
	default:
		b.bridge()
	}
	return b
}

// add adds a namespace that is not connected, and returns its number.
func (b *testbed) add() int {
	b.t.Helper()
	b.ns = append(b.ns, nstest.New(b.t))
	return len(b.ns) - 1
}

// connect connects two namespaces by a link with the networks fdNET::/64 and 10.NET.0.0/24.
func (b *testbed) connect(i, j int, name string, net int) {
	b.t.Helper()
	end := func(i, host int) nstest.End {
		return nstest.End{Namespace: b.ns[i], Name: name, Addrs: []string{fmt.Sprintf("fd%d::%d/64", net, host), fmt.Sprintf("10.%d.0.%d/24", net, host)}}
	}
	nstest.Veth(b.t, end(i, 1), end(j, 2))
}

func (b *testbed) bridge() {
	b.t.Helper()
	hub := nstest.New(b.t)
	nstest.IP(b.t, hub, "link add lan type bridge mcast_snooping 0", "link set lan up")
	for i, ns := range b.ns {
		port := fmt.Sprintf("port%d", i)
		nstest.Veth(b.t,
			nstest.End{Namespace: ns, Name: "sync", Addrs: []string{b.six[i].String() + "/64", b.four[i].String() + "/24"}},
			nstest.End{Namespace: hub, Name: port})
		nstest.IP(b.t, hub, "link set "+port+" master lan")
	}
}

func (b *testbed) route() {
	b.t.Helper()
	router := nstest.New(b.t)
	for i, ns := range b.ns {
		nstest.Veth(b.t,
			nstest.End{Namespace: ns, Name: "sync", Addrs: []string{b.six[i].String() + "/64", b.four[i].String() + "/24"}},
			nstest.End{Namespace: router, Name: fmt.Sprintf("port%d", i), Addrs: []string{fmt.Sprintf("fd64:%d::1/64", i), fmt.Sprintf("10.64.%d.1/24", i)}})
		nstest.IP(b.t, ns, fmt.Sprintf("route add default via 10.64.%d.1", i), fmt.Sprintf("route add ::/0 via fd64:%d::1", i))
	}
	insideOf(b.t, router, func() error {
		for _, file := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// insideOf calls fn on a thread in a namespace.
func insideOf(t testing.TB, ns string, fn func() error) {
	t.Helper()
	th, err := nsthread.NewPool().Get(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer th.Release()
	if doErr := th.Do(func() { err = fn() }); err != nil || doErr != nil {
		t.Fatal(err, doErr)
	}
}

// run runs a subtest. The hosts and peers that it adds end with it.
func (b *testbed) run(name string, fn func(t *testing.T, bed *testbed)) {
	b.t.(*testing.T).Run(name, func(t *testing.T) {
		bed := *b
		bed.t = t
		fn(t, &bed)
	})
}

// bothFamilies runs a test with an IPv6 and an IPv4 group.
func (b *testbed) bothFamilies(fn func(t *testing.T, bed *testbed)) {
	for name, group := range map[string]netip.Addr{"IPv6": group6, "IPv4": group4} {
		b.run(name, func(t *testing.T, bed *testbed) {
			bed.group = group
			fn(t, bed)
		})
	}
}

// host returns a worker in a namespace, with datagrams like those of upstream's joold. It has not been started: h.current may be changed.
func (b *testbed) host(i int) *host {
	b.t.Helper()
	h := newHost(b.t, specFor(b.ns[i], b.group))
	h.bed = b
	return h
}

// standby returns a worker that exchanges tables. Its instance has sessions.
func (b *testbed) standby(i int, records ...session.Record) *host {
	b.t.Helper()
	spec := standbySpec(b.ns[i])
	spec.Group = b.group
	h := newHost(b.t, spec)
	h.bed, h.instance.Sessions = b, workertest.NewTable()
	h.instance.Sessions.Put(records...)
	return h
}

// unicast returns a host without a group for each of the first addresses. The hosts have each other as peers; the first one's instance has
// sessions.
func (b *testbed) unicast(addresses []netip.Addr, records ...session.Record) (all []*host) {
	b.t.Helper()
	for i := range addresses {
		h := b.standby(i, records...)
		h.current = unicastSpec(b.ns[i], at(slices.Delete(slices.Clone(addresses), i, i+1)...)...)
		all, records = append(all, h), nil
	}
	return all
}

// specFor returns the spec of a pair whose instance and network socket are in a namespace.
func specFor(ns string, group netip.Addr) configdir.Spec {
	return configdir.Spec{
		Name: "pair", Group: group, Port: port, InInterface: "sync", OutInterface: "sync", TTL: 1,
		ReceiveBuffer: 1 << 20, NetNamespace: ns, Instance: "nat", Namespace: ns,
	}
}

// standbySpec returns the spec of a pair with sequence numbers and refreshes.
func standbySpec(ns string) (spec configdir.Spec) {
	spec = specFor(ns, group6)
	spec.Sequence, spec.RefreshPeriod, spec.ReceiveBuffer = true, time.Second, 8<<20
	return spec
}

// unicastSpec returns the spec of a pair without a group.
func unicastSpec(ns string, peers ...netip.AddrPort) configdir.Spec {
	spec := standbySpec(ns)
	spec.Group, spec.Peers, spec.TTL = netip.Addr{}, configdir.NewPeers(peers...), 64
	return spec
}

// at returns addresses with the port of the tests.
func at(addresses ...netip.Addr) (peers []netip.AddrPort) {
	for _, a := range addresses {
		peers = append(peers, netip.AddrPortFrom(a, port))
	}
	return peers
}
