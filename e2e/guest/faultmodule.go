package guest

import (
	"net/netip"
	"os"
	"testing"
	"time"
)

// moduleFaults are faults that concern the whole machine.
func moduleFaults(version, other string) []fault {
	unload := func(t testing.TB) { run(t, "rmmod", "jool", "jool_common") }
	load := func(t testing.TB, version string) {
		run(t, "insmod", "/jool/"+version+"/jool_common.ko")
		run(t, "insmod", "/jool/"+version+"/jool.ko")
	}
	all := []fault{
		{
			name:   "module unloaded and loaded",
			breaks: func(t testing.TB, s *site) { unload(t) },
			repairs: func(t testing.TB, s *site) {
				load(t, version)
				s.newInstances(t)
			},
		},
		{
			name: "rmmod jool alone, and back", polled: true,
			breaks: func(t testing.TB, s *site) { run(t, "rmmod", "jool") },
			repairs: func(t testing.TB, s *site) {
				run(t, "insmod", "/jool/"+version+"/jool.ko")
				s.newInstances(t)
			},
		},
	}
	if other != "" {
		all = append(all, fault{
			name:   "Jool " + other + " loaded instead",
			breaks: func(t testing.TB, s *site) { unload(t) },
			repairs: func(t testing.TB, s *site) {
				load(t, other)
				s.newInstances(t)
			},
			ends: func(t testing.TB, s *site) {
				unload(t)
				load(t, version)
				s.newInstances(t)
			},
		})
	}
	for i := range all {
		all[i].everyone, all[i].machine = true, true
		all[i].short, all[i].full = time.Second, 5*time.Second
	}
	return all
}

// newInstances recreates the instance of every NAT64 of the site's hosts, the site's own last.
func (s *site) newInstances(t testing.TB) {
	t.Helper()
	for _, h := range []*host{s.hostJ, s.hostK} {
		for _, p := range h.pairs {
			if p.in != s.j && p.in != s.k {
				newInstance(t, p.in)
			}
		}
	}
	newInstance(t, s.j)
	newInstance(t, s.k)
	s.probe.src4 = netip.AddrPort{} // another one now
}

// otherVersion returns a version of Jool that the machine has besides the loaded one, or "".
func otherVersion(t testing.TB) string {
	t.Helper()
	entries, err := os.ReadDir("/jool")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != module(t).String() {
			return e.Name()
		}
	}
	return ""
}
