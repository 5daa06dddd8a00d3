package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/nsthread/nstest"
)

// shared is the content of a pair's files in these tests: all pairs have the same group and port.
type shared struct{ namespace, instance, in string }

func (r *real) share(name string, s shared) {
	r.t.Helper()
	in := ""
	if s.in != "" {
		in = fmt.Sprintf(`, "in interface": %q`, s.in)
	}
	for file, text := range map[string]string{
		"netsocket": `{"multicast address": "233.252.0.64", "multicast port": "6464", "reuseaddr": 1` + in + `}`,
		"modsocket": fmt.Sprintf(`{"instance": %q, "namespace": %q}`, s.instance, s.namespace),
	} {
		must(r.t, os.WriteFile(filepath.Join(r.dir, name+"."+file+".json"), []byte(text), 0o644))
	}
}

func (r *real) unshare(name string) {
	r.t.Helper()
	for _, file := range []string{"netsocket", "modsocket"} {
		must(r.t, os.Remove(filepath.Join(r.dir, name+"."+file+".json")))
	}
	r.reread()
}

func (r *real) reread() {
	r.t.Helper()
	if _, err := r.Reload(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// is waits until the row of a pair is as wanted.
func (r *real) is(name string, state State, reason string) {
	r.t.Helper()
	await.Right(r.t, 5*time.Second, fmt.Sprintf("%s is %s: %s", name, state, reason), func() string {
		status, err := r.Status(context.Background(), []string{name})
		if err != nil {
			return err.Error()
		}
		row := status.Workers[0]
		if row.State != state || !strings.Contains(row.Reason, reason) || reason == "" && row.Reason != "" {
			return fmt.Sprintf("%s: %s", row.State, row.Reason)
		}
		return ""
	})
}

// sharing starts a supervisor on a namespace with two links, and returns a second path of the namespace.
func sharing(t *testing.T, fill func(r *real, ns, alias string)) (r *real, ns, alias string) {
	t.Helper()
	ns = nstest.New(t)
	nstest.IP(t, ns, "link add sync type veth peer name sync2", "link set sync up", "link set sync2 up",
		"address add 192.0.2.1/24 dev sync", "address add 192.0.2.2/24 dev sync2")
	alias = filepath.Join(t.TempDir(), "alias")
	must(t, os.Symlink("/run/netns/"+ns, alias))
	r = startReal(t, func(r *real) {
		for _, instance := range []string{"one", "two"} {
			r.kernel.Add(t, ns, instance)
		}
		fill(r, ns, alias)
	})
	return r, ns, alias
}

// TestSharedBySpelling starts a second pair that spells the running pair's interface or namespace in another way.
func TestSharedBySpelling(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      func(ns, alias string) shared
		reason string
	}{
		{"interface by address", func(ns, _ string) shared { return shared{ns, "two", "192.0.2.1"} },
			`group 233.252.0.64 port 6464 on 192.0.2.1 in namespace`},
		{"group in a namespace by another path", func(_, alias string) shared { return shared{alias, "two", "sync"} },
			`group 233.252.0.64 port 6464 on sync in namespace`},
		{"instance in a namespace by another path", func(_, alias string) shared { return shared{alias, "one", "sync2"} },
			`instance "one" in namespace`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, ns, alias := sharing(t, func(r *real, ns, _ string) { r.share("a", shared{ns, "one", "sync"}) })
			r.is("a", Running, "")
			r.share("b", c.b(ns, alias))
			r.reread()
			r.is("b", Waiting, c.reason)
			r.is("b", Waiting, `is pair "a"'s too`)
			r.is("a", Running, "")
			r.unshare("a")
			r.is("b", Running, "")
		})
	}
}

// TestSharedNamesRenamedPair renames the running pair. The reason of the other pair must name the new name.
func TestSharedNamesRenamedPair(t *testing.T) {
	t.Parallel()
	r, ns, _ := sharing(t, func(r *real, ns, _ string) { r.share("a", shared{ns, "one", "sync"}) })
	r.is("a", Running, "")
	r.share("new", shared{ns, "one", "sync"})
	r.unshare("a")
	r.is("new", Running, "")
	r.share("b", shared{ns, "two", "192.0.2.1"})
	r.reread()
	r.is("b", Waiting, `is pair "new"'s too`)
}

// sharingApart starts two pairs of one namespace, each on its own interface.
func sharingApart(t *testing.T) (r *real, ns string) {
	t.Helper()
	r, ns, _ = sharing(t, func(r *real, ns, _ string) {
		r.share("a", shared{ns, "one", "sync"})
		r.share("b", shared{ns, "two", "sync2"})
	})
	r.is("a", Running, "")
	r.is("b", Running, "")
	return r, ns
}

// TestChangedOntoShared changes the interface of a running pair to another spelling of the other pair's interface.
func TestChangedOntoShared(t *testing.T) {
	t.Parallel()
	r, ns := sharingApart(t)
	r.share("b", shared{ns, "two", "192.0.2.1"})
	r.reread()
	r.is("b", Running, `its new configuration can't start: group 233.252.0.64 port 6464 on 192.0.2.1 in namespace`)
	r.unshare("a")
	r.is("b", Running, "")
}

// TestTradedInterfaces makes two pairs swap their interfaces, by name and by address.
func TestTradedInterfaces(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"names", "sync2", "sync"},
		{"addresses", "192.0.2.2", "192.0.2.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, ns := sharingApart(t)
			r.share("a", shared{ns, "one", c.a})
			r.share("b", shared{ns, "two", c.b})
			r.reread()
			r.is("a", Running, "")
			r.is("b", Running, "")
			for name, in := range map[string]string{"a": c.a, "b": c.b} {
				if err := r.do(context.Background(), func() error {
					if got := r.pairs[name].spec.InInterface; got != in {
						t.Errorf("%s is on %s, want %s", name, got, in)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
