package worker

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
)

// wantError checks an error's text, and whether it is a *Missing.
func wantError(t *testing.T, err error, missing bool, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", texts)
		return
	}
	if got := errors.As(err, new(*Missing)); got != missing {
		t.Errorf("%v: a *Missing: %v, want %v", err, got, missing)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q lacks %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}

func TestMissing(t *testing.T) {
	bed := newTestbed(t, 2)
	a, inNS := bed.ns[0], fmt.Sprintf("%q", bed.ns[0])
	plainFile := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plainFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		change  func(*host, *configdir.Spec)
		missing bool
		want    []string
	}{
		{"namespace", func(_ *host, s *configdir.Spec) { s.Namespace = "nowhere-" + a },
			true, []string{`namespace "nowhere-`, "does not exist", "; type: ip netns add nowhere-"}},
		{"network namespace", func(_ *host, s *configdir.Spec) { s.NetNamespace = "nowhere-" + a },
			true, []string{`namespace "nowhere-`, "does not exist", "; type: ip netns add nowhere-"}},
		{"namespace by path", func(_ *host, s *configdir.Spec) { s.Namespace = "/nowhere/" + a },
			true, []string{`namespace "/nowhere/`, "does not exist; type: touch /nowhere/" + a + " && mount --bind /proc/PID/ns/net /nowhere/" + a}},
		{"namespace of a process", func(_ *host, s *configdir.Spec) { s.Namespace = "/proc/4194304/ns/net" }, // past the largest
			true, []string{`namespace "/proc/4194304/ns/net" does not exist: its process has ended`}},
		{"a file that is no namespace", func(_ *host, s *configdir.Spec) { s.Namespace = plainFile },
			false, []string{plainFile, "is not a network namespace"}},
		{"in interface", func(_ *host, s *configdir.Spec) { s.InInterface = "eth7" },
			true, []string{`in interface "eth7" does not exist in namespace ` + inNS, "; type: ip netns exec " + a + " ip link add eth7"}},
		{"out interface", func(_ *host, s *configdir.Spec) { s.OutInterface = "eth8" },
			true, []string{`out interface "eth8" does not exist in namespace ` + inNS}},
		{"in interface's address", func(_ *host, s *configdir.Spec) { s.InInterface = "fd64::77" },
			true, []string{"in interface fd64::77: no interface has this address in namespace " + inNS, "ip address add fd64::77/"}},
		{"out interface's address", func(_ *host, s *configdir.Spec) { s.OutInterface = "10.64.0.77" },
			true, []string{"out interface 10.64.0.77", inNS}},
		{"instance", func(h *host, _ *configdir.Spec) { h.instance.Remove() },
			true, []string{`instance "nat" does not exist in namespace ` + inNS, "; type: ip netns exec " + a + " jool instance add nat"}},
		{"synchronisation", func(h *host, _ *configdir.Spec) { h.instance.Off = true },
			true, []string{`session synchronisation is off in instance "nat" in namespace ` + inNS, "; type: ip netns exec " + a + " jool -i nat global update ss-enabled true"}},
		{"module", func(h *host, _ *configdir.Spec) { h.kernel.Load(false) },
			true, []string{"the kernel module jool is not loaded; type: modprobe jool"}},
		{"module, while jool_common is loaded", func(h *host, _ *configdir.Spec) {
			h.instance.Refuse = func(workertest.Request) *joolnl.Error {
				return &joolnl.Error{Code: unix.EINVAL, Text: "NAT64 Jool has not been modprobed. (Try `modprobe jool`)"}
			}
		}, true, []string{"the kernel module jool is not loaded; type: modprobe jool"}},
		{"permission", func(h *host, _ *configdir.Spec) {
			h.instance.Refuse = func(workertest.Request) *joolnl.Error { return &joolnl.Error{Code: unix.EPERM} }
		}, false, []string{"CAP_NET_ADMIN", "run joolctl as root"}},
		{"any other refusal", func(h *host, _ *configdir.Spec) {
			h.instance.Refuse = refusing(joolnl.GlobalForeach, &joolnl.Error{Code: unix.EINVAL, Text: "not today"})
		}, false, []string{`reading the settings of instance "nat" in namespace ` + inNS, "not today"}},
		{"a route to the group", func(_ *host, s *configdir.Spec) { s.InInterface, s.Group = "", group4 },
			true, []string{"there is no route to 239.64.64.64 in namespace " + inNS, `"in interface"`, "ip route add 239.64.64.64 dev"}},
		{"a link-local group's interface", func(_ *host, s *configdir.Spec) {
			s.InInterface, s.Group = "", netip.MustParseAddr("ff02::64")
		}, false, []string{"ff02::64", `"in interface"`}},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			h := bed.host(0)
			c.change(h, &h.current)
			fds := countDir(t, "/proc/self/fd")
			wantError(t, h.tryStart(), c.missing, c.want...)
			h.end()
			eventually(t, "all descriptors are closed", func() bool { return countDir(t, "/proc/self/fd") <= fds })
		})
	}
}

// TestGoneMeanwhile removes a resource that a running worker needs: its Run returns a *Missing.
func TestGoneMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name string
		take func(t *testing.T, h *host, ns string)
		want string
	}{
		{"instance", func(_ *testing.T, h *host, _ string) { h.instance.Remove() }, `instance "nat" does not exist`},
		{"synchronisation", func(_ *testing.T, h *host, _ string) {
			h.instance.Set(func(i *workertest.Instance) { i.Off = true })
		}, "session synchronisation is off"},
		{"module", func(_ *testing.T, h *host, _ string) { h.kernel.Load(false) }, "jool is not loaded"},
		{"interface", func(t *testing.T, _ *host, ns string) { nstest.IP(t, ns, "link del sync") }, `"sync" does not exist`},
		{"interface, recreated", func(t *testing.T, _ *host, ns string) {
			nstest.IP(t, ns, "link del sync", "link add sync type veth peer name sync2", "link set sync up")
		}, "an interface was recreated"},
		{"namespace", func(t *testing.T, _ *host, ns string) { nstest.Delete(t, ns) }, "was deleted or recreated"},
		{"namespace, recreated", func(t *testing.T, _ *host, ns string) {
			nstest.Delete(t, ns)
			nstest.Add(t, ns)
		}, "was deleted or recreated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 2)
			h := bed.host(0).start()
			c.take(t, h, bed.ns[0])
			h.Check()
			wantError(t, h.end(), true, c.want)
			eventually(t, "the connection is closed", func() bool { return h.kernel.Connections() == 0 })
		})
	}
}

// TestEnableSS runs a worker with EnableSS for an instance whose session synchronisation is off, and is switched off again later.
// The worker switches it on both times, and logs that.
func TestEnableSS(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0)
	h.current.EnableSS = true
	h.instance.Off = true
	h.start()
	off := func() (off bool) {
		h.instance.Set(func(i *workertest.Instance) { off = i.Off })
		return off
	}
	if off() || h.log.count("turned it on") != 1 {
		t.Errorf("off: %v; %s", off(), h.log.text.String())
	}
	h.instance.Set(func(i *workertest.Instance) { i.Off = true })
	h.Check()
	eventually(t, "it is on again", func() bool { return !off() })
	hostB := bed.host(1).start()
	cross(t, jool4115, h, hostB)
}

// TestEnableSSRefused makes the module refuse to switch session synchronisation on. Run returns an error that names the instance,
// and not a *Missing.
func TestEnableSSRefused(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	h.current.EnableSS = true
	h.instance.Off = true
	h.instance.Refuse = refusing(joolnl.GlobalUpdate, &joolnl.Error{Code: unix.EINVAL, Text: "not today"})
	wantError(t, h.tryStart(), false, `turning session synchronisation on in instance "nat" in namespace`, "not today")
}

// TestRefusalIsLookedInto removes the instance, so that the module refuses an ACK. The worker then checks its instance at once.
func TestRefusalIsLookedInto(t *testing.T) {
	h := newTestbed(t, 2).host(0).start()
	listening := h.kernel.Connections()
	h.instance.Remove()
	if n := h.instance.Multicast(entries(t, jool4115, 1, 1)); n != listening {
		t.Fatalf("%d connections receive the report, want %d", n, listening)
	}
	wantError(t, h.end(), true, `instance "nat" does not exist`)
	if n := h.counters.Losses().KernelErrors; n == 0 {
		t.Error("the refusal was not counted")
	}
}

// TestOtherModule sends a report in the format of another version of the module: Run returns an error.
func TestOtherModule(t *testing.T) {
	h := newTestbed(t, 2).host(0).start()
	h.kernel.SetVersion(jool419)
	h.instance.Multicast(entries(t, jool419, 1, 1))
	wantError(t, h.end(), false, "changed from 4.1.15 to 4.1.9")
	if h.counters.Stats().NetSentPackets != 0 {
		t.Error("the sessions of the report were sent")
	}
}

// TestProbe calls Probe for an instance that exists, and for missing ones. Probe leaves no descriptor open.
func TestProbe(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0)
	spec := h.spec()
	fds := countDir(t, "/proc/self/fd")
	if err := Probe(spec, h.env); err != nil {
		t.Error(err)
	}
	elsewhere := spec
	elsewhere.Namespace = "nowhere-" + bed.ns[0]
	wantError(t, Probe(elsewhere, h.env), true, "does not exist", "; type: ip netns add nowhere-")
	h.instance.Remove()
	wantError(t, Probe(spec, h.env), true, `instance "nat" does not exist`, "jool instance add nat")
	// The simulated kernel closes its end of a socket after the worker's.
	eventually(t, "all descriptors are closed", func() bool { return countDir(t, "/proc/self/fd") <= fds })
}
