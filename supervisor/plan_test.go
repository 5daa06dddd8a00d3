package supervisor

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
)

// spec returns a spec with its own group, so that only the instances can collide.
func spec(name, instance string, ttl int) configdir.Spec {
	s := configdir.Defaults()
	s.Name, s.Instance, s.TTL = name, instance, ttl
	s.Group = netip.AddrFrom4([4]byte{233, 252, 0, instance[len(instance)-1]})
	s.Port = 6464
	return s
}

func good(name, instance string, ttl int) configdir.Pair {
	return configdir.Pair{Name: name, Netsocket: name + ".netsocket.json", Modsocket: name + ".modsocket.json",
		Spec: spec(name, instance, ttl)}
}

func broken(name string) configdir.Pair {
	return configdir.Pair{Name: name, Problems: []configdir.Problem{
		{File: name + ".netsocket.json", Line: 2, Column: 3, Key: "ttl", Message: "is wrong"},
		{File: name + ".netsocket.json", Line: 9, Column: 9, Message: "is unwise", Warning: true},
	}}
}

func TestPlan(t *testing.T) {
	ran := func(name, instance string) map[string]current {
		return map[string]current{name: {spec(name, instance, 1), true}}
	}
	never := func(name, instance string) map[string]current {
		return map[string]current{name: {spec(name, instance, 1), false}}
	}
	both := func() map[string]current {
		return map[string]current{"a": {spec("a", "i1", 1), true}, "b": {spec("b", "i2", 1), true}}
	}
	wrong := func(name string) []string { return []string{name + ".netsocket.json:2:3: ttl: is wrong"} }
	conflict := func(name, instance, other string) []string {
		return []string{name + `.modsocket.json:1:1: instance: instance "` + instance + `" is pair "` + other +
			`"'s too; remove one of the two, or name another instance`}
	}
	group := func(name, number, other string) []string {
		return []string{name + ".netsocket.json:1:1: multicast address: group 233.252.0." + number +
			` port 6464 is pair "` + other + `"'s too; give one of the two another group or port`}
	}
	tests := []struct {
		name    string
		pairs   []configdir.Pair
		running map[string]current
		want    []action
	}{
		{"nothing", nil, nil, nil},
		{"new", []configdir.Pair{good("a", "i1", 1)}, nil,
			[]action{{start, "a", "", spec("a", "i1", 1), nil}}},
		{"unchanged", []configdir.Pair{good("a", "i1", 1)}, ran("a", "i1"),
			[]action{{keep, "a", "a", spec("a", "i1", 1), nil}}},
		{"unchanged while it waits", []configdir.Pair{good("a", "i1", 1)}, never("a", "i1"),
			[]action{{keep, "a", "a", spec("a", "i1", 1), nil}}},
		{"changed", []configdir.Pair{good("a", "i1", 2)}, ran("a", "i1"),
			[]action{{replace, "a", "a", spec("a", "i1", 2), nil}}},
		{"another instance", []configdir.Pair{good("a", "i2", 1)}, ran("a", "i1"),
			[]action{{replace, "a", "a", spec("a", "i2", 1), nil}}},
		{"deleted", nil, ran("a", "i1"),
			[]action{{stop, "a", "a", spec("a", "i1", 1), nil}}},
		{"broken and never ran", []configdir.Pair{broken("a")}, nil,
			[]action{{fail, "a", "", configdir.Spec{}, wrong("a")}}},
		{"broken while it waits", []configdir.Pair{broken("a")}, never("a", "i1"),
			[]action{{fail, "a", "", configdir.Spec{}, wrong("a")}}},
		{"broken while it runs", []configdir.Pair{broken("a")}, ran("a", "i1"),
			[]action{{keep, "a", "a", spec("a", "i1", 1), wrong("a")}}},
		{"broken beside others", []configdir.Pair{broken("a"), good("b", "i2", 1)}, nil,
			[]action{{fail, "a", "", configdir.Spec{}, wrong("a")}, {start, "b", "", spec("b", "i2", 1), nil}}},
		{"renamed", []configdir.Pair{good("b", "i1", 1)}, ran("a", "i1"),
			[]action{{keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"renamed and changed", []configdir.Pair{good("b", "i1", 2)}, ran("a", "i1"),
			[]action{{replace, "b", "a", spec("b", "i1", 2), nil}}},
		{"renamed over another", []configdir.Pair{good("b", "i1", 1)}, both(),
			[]action{{keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"copied, and the original changed", []configdir.Pair{good("a", "i3", 1), good("b", "i1", 1)}, ran("a", "i1"),
			[]action{{start, "a", "", spec("a", "i3", 1), nil}, {keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"files swapped", []configdir.Pair{good("a", "i2", 1), good("b", "i1", 1)}, both(),
			[]action{{keep, "a", "b", spec("a", "i2", 1), nil}, {keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"instances swapped", []configdir.Pair{good("a", "i2", 2), good("b", "i1", 2)}, both(),
			[]action{{replace, "a", "a", spec("a", "i2", 2), nil}, {replace, "b", "b", spec("b", "i1", 2), nil}}},
		{"instance handed on", []configdir.Pair{good("a", "i3", 1), good("b", "i1", 2)}, ran("a", "i1"),
			[]action{{replace, "a", "a", spec("a", "i3", 1), nil}, {start, "b", "", spec("b", "i1", 2), nil}}},
		{"newcomer wants what runs", []configdir.Pair{good("a", "i1", 1), good("b", "i1", 2)}, ran("a", "i1"),
			[]action{{keep, "a", "a", spec("a", "i1", 1), nil},
				{fail, "b", "", configdir.Spec{}, append(group("b", "49", "a"), conflict("b", "i1", "a")...)}}},
		{"both are new", []configdir.Pair{good("a", "i1", 1), good("b", "i1", 2)}, nil,
			[]action{{fail, "a", "", configdir.Spec{}, append(group("a", "49", "b"), conflict("a", "i1", "b")...)},
				{fail, "b", "", configdir.Spec{}, append(group("b", "49", "a"), conflict("b", "i1", "a")...)}}},
		{"change into what another runs", []configdir.Pair{good("a", "i2", 1), good("b", "i2", 1)}, both(),
			[]action{{keep, "a", "a", spec("a", "i1", 1), append(group("a", "50", "b"), conflict("a", "i2", "b")...)},
				{keep, "b", "b", spec("b", "i2", 1), nil}}},
		{"newcomer wants what a broken one runs", []configdir.Pair{broken("a"), good("b", "i1", 1)}, ran("a", "i1"),
			[]action{{keep, "a", "a", spec("a", "i1", 1), wrong("a")},
				{fail, "b", "", configdir.Spec{}, append(group("b", "49", "a"), conflict("b", "i1", "a")...)}}},
		{"newcomer takes what a broken one waited with", []configdir.Pair{broken("a"), good("b", "i1", 1)}, never("a", "i1"),
			[]action{{fail, "a", "", configdir.Spec{}, wrong("a")},
				{keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"changed while it waits", []configdir.Pair{good("a", "i1", 2)}, never("a", "i1"),
			[]action{{replace, "a", "a", spec("a", "i1", 2), nil}}},
		{"renamed while it waits", []configdir.Pair{good("b", "i1", 1)}, never("a", "i1"),
			[]action{{keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"files swapped while they wait", []configdir.Pair{good("a", "i2", 1), good("b", "i1", 1)},
			map[string]current{"a": {spec("a", "i1", 1), false}, "b": {spec("b", "i2", 1), false}},
			[]action{{keep, "a", "b", spec("a", "i2", 1), nil}, {keep, "b", "a", spec("b", "i1", 1), nil}}},
		{"change into what another runs while it waits", []configdir.Pair{good("a", "i2", 1), good("b", "i2", 1)},
			map[string]current{"a": {spec("a", "i1", 1), false}, "b": {spec("b", "i2", 1), true}},
			[]action{{keep, "a", "a", spec("a", "i1", 1), append(group("a", "50", "b"), conflict("a", "i2", "b")...)},
				{keep, "b", "b", spec("b", "i2", 1), nil}}},
		{"one of many deleted", []configdir.Pair{good("b", "i2", 1)}, both(),
			[]action{{keep, "b", "b", spec("b", "i2", 1), nil}, {stop, "a", "a", spec("a", "i1", 1), nil}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := plan(test.pairs, test.running)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(action{}), cmp.Comparer(func(a, b configdir.Spec) bool { return a == b })); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}
