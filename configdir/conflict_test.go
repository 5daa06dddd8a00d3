package configdir

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// specOf returns a spec that shares no resource with a spec of another name.
func specOf(name string, changes ...func(*Spec)) Spec {
	s := Defaults()
	s.Name, s.Instance = name, name
	s.Group, s.Port, s.InInterface = netip.MustParseAddr("ff08::1"), uint16(1000+int(name[len(name)-1])), "eth0"
	for _, change := range changes {
		change(&s)
	}
	return s
}

func stats(port uint16, at string) func(*Spec) {
	return func(s *Spec) {
		s.StatsPort = port
		if at != "" {
			s.StatsAddress = netip.MustParseAddr(at)
		}
	}
}

func instance(name, namespace string) func(*Spec) {
	return func(s *Spec) { s.Instance, s.Namespace = name, namespace }
}

func socket(port uint16, in, namespace string) func(*Spec) {
	return func(s *Spec) { s.Port, s.InInterface, s.NetNamespace = port, in, namespace }
}

func unicast(port uint16, peer, in string) func(*Spec) {
	return func(s *Spec) {
		s.Group, s.Port, s.InInterface = netip.Addr{}, port, in
		s.Peers = NewPeers(netip.AddrPortFrom(netip.MustParseAddr(peer), port))
	}
}

func ttl(n int) func(*Spec) { return func(s *Spec) { s.TTL = n } }

// keysOf returns the conflicts of each pair as "key other".
func keysOf(conflicts map[string][]Conflict) map[string][]string {
	keys := make(map[string][]string)
	for name, list := range conflicts {
		for _, c := range list {
			keys[name] = append(keys[name], c.Key+" "+c.Other)
		}
	}
	return keys
}

// TestCollisions compares two pairs at a cold start that share a resource, or do not.
func TestCollisions(t *testing.T) {
	type change = func(*Spec)
	for _, c := range []struct {
		name string
		a, b change
		key  string // empty: no conflict
	}{
		{"nothing shared", ttl(1), ttl(1), ""},
		{"instance", instance("nat", ""), instance("nat", ""), "instance"},
		{"instance in two namespaces", instance("nat", "blue"), instance("nat", "red"), ""},
		{"instance, own and other namespace", instance("nat", ""), instance("nat", "blue"), ""},
		{"namespace by name and path", instance("nat", "blue"), instance("nat", "/run/netns/blue"), "instance"},
		{"namespace by name and old path", instance("nat", "blue"), instance("nat", "/var/run/netns//blue"), "instance"},
		{"namespace by two paths", instance("nat", "/srv/ns/blue"), instance("nat", "/srv//ns/./blue"), "instance"},
		{"own namespace by path", instance("nat", ""), instance("nat", "/proc/self/ns/net"), "instance"},
		{"a file that is not below netns", instance("nat", "blue"), instance("nat", "/run/netns/x/blue"), ""},
		{"a lookalike of /var/run", instance("nat", "blue"), instance("nat", "/varrun/netns/blue"), ""},
		{"socket", socket(1, "eth0", ""), socket(1, "eth0", ""), "multicast address"},
		{"socket, kernel's choice", socket(1, "", "red"), socket(1, "", "/run/netns/red"), "multicast address"},
		{"socket, eth0 and the kernel's choice", socket(1, "eth0", "red"), socket(1, "", "red"), "multicast address"},
		{"other port", socket(1, "eth0", ""), socket(2, "eth0", ""), ""},
		{"other interface", socket(1, "eth0", ""), socket(1, "eth1", ""), ""},
		{"socket in two namespaces", socket(1, "eth0", "red"), socket(1, "eth0", "blue"), ""},
		{"unicast, one port", unicast(1, "192.0.2.2", ""), unicast(1, "192.0.2.3", ""), "port"},
		{"unicast, two ports", unicast(1, "192.0.2.2", ""), unicast(2, "192.0.2.2", ""), ""},
		{"unicast, two interfaces", unicast(1, "192.0.2.2", "eth0"), unicast(1, "192.0.2.2", "eth1"), "port"},
		{"unicast, an address and all", unicast(1, "192.0.2.2", "192.0.2.1"), unicast(1, "192.0.2.2", "eth1"), "port"},
		{"unicast, two addresses", unicast(1, "192.0.2.2", "192.0.2.1"), unicast(1, "192.0.2.2", "192.0.2.3"), ""},
		{"unicast, one address", unicast(1, "192.0.2.2", "192.0.2.1"), unicast(1, "192.0.2.4", "192.0.2.1"), "port"},
		{"unicast, an address of the other family", unicast(1, "192.0.2.2", "2001:db8::1"), unicast(1, "192.0.2.2", "192.0.2.1"), "port"},
		{"unicast, two families", unicast(1, "192.0.2.2", ""), unicast(1, "2001:db8::2", ""), ""},
		{"unicast and a group", unicast(1, "2001:db8::2", "eth0"), socket(1, "eth0", ""), ""},
		{"no stats", stats(0, "::1"), stats(0, "::1"), ""},
		{"stats on loopback", stats(1, ""), stats(1, ""), "stats port"},
		{"stats on two ports", stats(1, ""), stats(2, ""), ""},
		{"stats on loopback and ::1", stats(1, ""), stats(1, "::1"), "stats port"},
		{"stats on loopback and 127.0.0.1", stats(1, "127.0.0.1"), stats(1, ""), "stats port"},
		{"stats on loopback and 127.0.0.2", stats(1, ""), stats(1, "127.0.0.2"), ""},
		{"stats on 127.0.0.1 and ::1", stats(1, "127.0.0.1"), stats(1, "::1"), ""},
		{"stats on loopback and 0.0.0.0", stats(1, ""), stats(1, "0.0.0.0"), "stats port"},
		{"stats on loopback and ::", stats(1, "::"), stats(1, ""), "stats port"},
		{"stats on both wildcards", stats(1, "::"), stats(1, "0.0.0.0"), "stats port"},
		{"stats on :: and IPv4", stats(1, "::"), stats(1, "192.0.2.1"), "stats port"},
		{"stats on 0.0.0.0 and IPv4", stats(1, "192.0.2.1"), stats(1, "0.0.0.0"), "stats port"},
		{"stats on 0.0.0.0 and IPv6", stats(1, "2001:db8::1"), stats(1, "0.0.0.0"), ""},
		{"stats on two addresses", stats(1, "192.0.2.1"), stats(1, "192.0.2.2"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := map[string][]string{}
			if c.key != "" {
				want = map[string][]string{"a": {c.key + " b"}, "b": {c.key + " a"}}
			}
			a, b := specOf("a", c.a), specOf("b", c.b)
			for _, desired := range [][]Spec{{a, b}, {b, a}} {
				if d := cmp.Diff(want, keysOf(Conflicts(desired, nil))); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// TestWhoStays checks that running pairs keep their resources, and that new ones are refused.
func TestWhoStays(t *testing.T) {
	named := func(specs ...Spec) map[string]Spec {
		m := make(map[string]Spec)
		for _, s := range specs {
			m[s.Name] = s
		}
		return m
	}
	for _, c := range []struct {
		name    string
		desired []Spec
		running map[string]Spec
		want    map[string][]string
	}{
		{
			"a newcomer", []Spec{specOf("a", stats(1, "")), specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, ""))), map[string][]string{"b": {"stats port a"}},
		},
		{
			"a newcomer, while the other changes elsewhere",
			[]Spec{specOf("a", stats(1, ""), ttl(9)), specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, ""))), map[string][]string{"b": {"stats port a"}},
		},
		{
			"both run, one changes onto the other", []Spec{specOf("a", stats(1, "")), specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, "")), specOf("b", stats(2, ""))), map[string][]string{"b": {"stats port a"}},
		},
		{
			"both run, both change onto a third", []Spec{specOf("a", stats(3, "")), specOf("b", stats(3, ""))},
			named(specOf("a", stats(1, "")), specOf("b", stats(2, ""))),
			map[string][]string{"a": {"stats port b"}, "b": {"stats port a"}},
		},
		{
			"both run, and trade places", []Spec{specOf("a", stats(2, "")), specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, "")), specOf("b", stats(2, ""))), map[string][]string{},
		},
		{
			"who makes room in vain takes it from a newcomer",
			[]Spec{specOf("a", stats(1, "")), specOf("b", stats(1, "")), specOf("c", stats(2, ""))},
			named(specOf("a", stats(1, "")), specOf("b", stats(2, ""))),
			map[string][]string{"b": {"stats port a"}, "c": {"stats port b"}},
		},
		{
			"who stops does not count", []Spec{specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, ""))), map[string][]string{},
		},
		{
			"who is renamed stays",
			[]Spec{specOf("new", instance("nat", ""), stats(1, "")), specOf("b", stats(1, ""))},
			named(specOf("old", instance("nat", ""), stats(1, ""))), map[string][]string{"b": {"stats port new"}},
		},
		{
			"a copy is a newcomer", []Spec{specOf("a", instance("nat", "")), specOf("b", instance("nat", ""))},
			named(specOf("a", instance("nat", ""))), map[string][]string{"b": {"instance a"}},
		},
		{
			"two successors of one name", []Spec{specOf("x", instance("nat", "")), specOf("y", instance("nat", ""))},
			named(specOf("old", instance("nat", ""))), map[string][]string{"x": {"instance y"}, "y": {"instance x"}},
		},
		{
			"both run so already", []Spec{specOf("a", stats(1, "")), specOf("b", stats(1, ""))},
			named(specOf("a", stats(1, "")), specOf("b", stats(1, ""))), map[string][]string{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, keysOf(Conflicts(c.desired, c.running))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConflictMessages(t *testing.T) {
	a := specOf("a", instance("nat%s", "blue"), socket(1, "eth0", "blue"), stats(1, ""))
	b := a
	b.Name, b.StatsAddress = "b", netip.IPv6Unspecified()
	want := []string{
		`multicast address: group ff08::1 port 1 on eth0 in namespace "blue" is pair "a"'s too; give one of the two another group or port`,
		`instance: instance "nat%s" in namespace "blue" is pair "a"'s too; remove one of the two, or name another instance`,
		`stats port: UDP port 1 on :: is pair "a"'s stats port too; give one of the two another`,
	}
	var got []string
	for _, c := range Conflicts([]Spec{a, b}, nil)["b"] {
		got = append(got, c.Key+": "+c.Message)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUnicastConflictMessage(t *testing.T) {
	a, b := specOf("a", unicast(6464, "192.0.2.2", "192.0.2.1")), specOf("b", unicast(6464, "192.0.2.3", ""))
	want := `UDP port 6464 on 0.0.0.0 is pair "a"'s too; give one of the two another port, or each an address of its own as "in interface"`
	if got := Conflicts([]Spec{a, b}, nil)["b"]; len(got) != 1 || got[0].Message != want || got[0].Key != portKey {
		t.Errorf("%+v", got)
	}
}

func BenchmarkConflicts500(b *testing.B) {
	var specs []Spec
	for i := range 500 {
		specs = append(specs, specOf(fmt.Sprint("p", i), socket(uint16(i+1), "eth0", fmt.Sprint("n", i)), stats(uint16(i+1), "")))
	}
	for b.Loop() {
		Conflicts(specs, nil)
	}
}
