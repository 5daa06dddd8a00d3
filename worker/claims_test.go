package worker

import (
	"errors"
	"net/netip"
	"testing"

	"joolctl/configdir"
	"joolctl/nsthread"
)

// TestClaims makes pair "a" claim its instance and group, and then pair "b".
func TestClaims(t *testing.T) {
	spec := func(name string, change func(*configdir.Spec)) configdir.Spec {
		s := specFor("blue", group6)
		s.Name = name
		change(&s)
		return s
	}
	same := func(*configdir.Spec) {}
	type end struct {
		ns   uint64
		in   int
		spec configdir.Spec
	}
	for _, c := range []struct {
		name             string
		a, b             end
		instance, socket string // the errors of b; "": b can use the instance or the group
	}{
		{"the same", end{1, 2, spec("a", same)}, end{1, 2, spec("b", same)},
			`instance "nat" in namespace "blue" is pair "a"'s too, which has it in namespace "blue"; remove one of the two, or name another instance`,
			`group ff08::db8:64:64 port 6464 on sync in namespace "blue" is pair "a"'s too, which has it on sync in namespace "blue"; give one of the two another group or port`},
		{"other spellings", end{1, 2, spec("a", same)}, end{1, 2, spec("b", func(s *configdir.Spec) {
			s.Namespace, s.NetNamespace, s.InInterface = "", "/srv/ns/blue", "fd64::1"
		})},
			`instance "nat" here, in joolctl's own namespace is pair "a"'s too, which has it in namespace "blue"; remove one of the two, or name another instance`,
			`group ff08::db8:64:64 port 6464 on fd64::1 in namespace "/srv/ns/blue" is pair "a"'s too, which has it on sync in namespace "blue"; give one of the two another group or port`},
		{"all interfaces after one interface", end{1, 2, spec("a", same)}, end{1, 0, spec("b", func(s *configdir.Spec) { s.Instance, s.InInterface = "other", "" })}, "",
			`group ff08::db8:64:64 port 6464 on every interface in namespace "blue" is pair "a"'s too, which has it on sync in namespace "blue"; give one of the two another group or port`},
		{"one interface after all interfaces", end{1, 0, spec("a", func(s *configdir.Spec) { s.InInterface = "" })}, end{1, 2, spec("b", func(s *configdir.Spec) { s.Instance = "other" })}, "",
			`group ff08::db8:64:64 port 6464 on sync in namespace "blue" is pair "a"'s too, which has it on every interface in namespace "blue"; give one of the two another group or port`},
		{"another interface, another instance", end{1, 2, spec("a", same)}, end{1, 3, spec("b", func(s *configdir.Spec) { s.Instance = "other" })}, "", ""},
		{"another group", end{1, 2, spec("a", same)}, end{1, 2, spec("b", func(s *configdir.Spec) { s.Instance, s.Group = "other", group4 })}, "", ""},
		{"another port", end{1, 2, spec("a", same)}, end{1, 2, spec("b", func(s *configdir.Spec) { s.Instance, s.Port = "other", port+1 })}, "", ""},
		{"another namespace", end{1, 2, spec("a", same)}, end{2, 2, spec("b", same)}, "", ""},
		{"the pair's next worker", end{1, 2, spec("a", same)}, end{1, 2, spec("a", same)}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := NewClaims()
			claim := func(w *Worker, e end) (instance, socket error) {
				ns := nsthread.ID{Ino: e.ns}
				_, instance = w.claimInstance(ns, e.spec)
				_, socket = w.claimSocket(ns, e.in, e.spec)
				return instance, socket
			}
			a := New(c.a.spec, Env{Claims: claims}, new(Counters))
			b := New(c.b.spec, Env{Claims: claims}, new(Counters))
			if instance, socket := claim(a, c.a); instance != nil || socket != nil {
				t.Fatal(instance, socket)
			}
			instance, socket := claim(b, c.b)
			for _, e := range []struct {
				got  error
				want string
			}{{instance, c.instance}, {socket, c.socket}} {
				var missing *Missing
				switch {
				case e.want == "" && e.got == nil:
				case e.want == "" || e.got == nil || e.got.Error() != e.want:
					t.Errorf("got  %v\nwant %s", e.got, e.want)
				case !errors.As(e.got, &missing) || missing.By != "a":
					t.Errorf("%#v is not a *Missing that names a", e.got)
				}
			}
			claims.dropAll(b)
			claims.dropAll(a)
			if instance, socket := claim(b, c.b); instance != nil || socket != nil {
				t.Errorf("after pair a has dropped its claims: %v, %v", instance, socket)
			}
			claims.dropAll(b)
			if len(claims.byResource) > 0 || len(a.claims)+len(b.claims) > 0 {
				t.Errorf("claims remain: %v, %v, %v", claims.byResource, a.claims, b.claims)
			}
		})
	}
}

// TestClaimNamesRenamedPair renames the pair that has an instance: another pair's error has the new name.
func TestClaimNamesRenamedPair(t *testing.T) {
	claims := NewClaims()
	a := New(specFor("blue", netip.Addr{}), Env{Claims: claims}, new(Counters))
	b := New(specFor("blue", netip.Addr{}), Env{Claims: claims}, new(Counters))
	if _, err := a.claimInstance(nsthread.ID{}, a.spec()); err != nil {
		t.Fatal(err)
	}
	a.Rename("new name")
	_, err := b.claimInstance(nsthread.ID{}, b.spec())
	wantError(t, err, true, `is pair "new name"'s too`)
}
