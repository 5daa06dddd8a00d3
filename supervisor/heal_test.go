package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/replication"
	"joolctl/worker/workertest"
)

// healWithin is the time within which a pair must run again once the missing item exists.
const healWithin = time.Second

const makeSync = "link add sync type veth peer name sync2"

// TestWaitingIsOver creates the item that a pair waits for.
func TestWaitingIsOver(t *testing.T) {
	for _, c := range []struct {
		name string
		// link is the pair's interface. before lists the commands to run in its namespace before the start.
		link   string
		before []string
		off    bool
		none   bool
		reason string
		cure   func(t *testing.T, r *real, ns string, i *workertest.Instance)
	}{
		{name: "interface", link: "sync", before: []string{"link set lo up"}, reason: `"sync" does not exist`,
			cure: func(t *testing.T, _ *real, ns string, _ *workertest.Instance) { nstest.IP(t, ns, makeSync) }},
		{name: "address", link: "192.0.2.1", before: []string{makeSync}, reason: "no interface has this address",
			cure: func(t *testing.T, _ *real, ns string, _ *workertest.Instance) {
				nstest.IP(t, ns, "address add 192.0.2.1/24 dev sync")
			}},
		{name: "interface up", link: "", before: []string{makeSync}, reason: "there is no route to",
			cure: func(t *testing.T, _ *real, ns string, _ *workertest.Instance) {
				nstest.IP(t, ns, "link set sync up", "link set sync2 up", "route add 233.252.0.0/24 dev sync")
			}},
		{name: "instance", link: "sync", before: []string{makeSync}, none: true, reason: `instance "nat" does not exist`,
			cure: func(t *testing.T, r *real, ns string, _ *workertest.Instance) { r.kernel.Add(t, ns, "nat") }},
		{name: "synchronisation", link: "sync", before: []string{makeSync}, off: true, reason: "is off",
			cure: func(_ *testing.T, _ *real, _ string, i *workertest.Instance) {
				i.Set(func(i *workertest.Instance) { i.Off = false })
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var i *workertest.Instance
			ns := nstest.New(t)
			nstest.IP(t, ns, c.before...)
			r := startReal(t, func(r *real) {
				if !c.none {
					i = r.kernel.Add(t, ns, "nat")
					i.Off = c.off
				}
				r.pair("a", ns, c.link)
			})
			r.within(5*time.Second, Waiting, 0, c.reason)
			c.cure(t, r, ns, i)
			t.Logf("ran after %v", r.within(healWithin, Running, 0, ""))
		})
	}
}

// TestNamespaceComesAndGoes starts a pair whose namespace does not exist. The test creates the namespace, replaces it
// while the pair runs, and deletes it.
func TestNamespaceComesAndGoes(t *testing.T) {
	nstest.Need(t)
	ns := nstest.Name()
	r := startReal(t, func(r *real) { r.pair("a", ns, "sync") })
	missing := fmt.Sprintf("namespace %q does not exist", ns)
	r.within(5*time.Second, Waiting, 0, missing)
	for round := range 2 {
		nstest.Add(t, ns)
		r.kernel.Add(t, ns, "nat")
		nstest.IP(t, ns, makeSync)
		t.Logf("ran after %v", r.within(healWithin, Running, 2*round, ""))

		nstest.Delete(t, ns)
		nstest.Add(t, ns)
		r.kernel.Add(t, ns, "nat")
		nstest.IP(t, ns, makeSync)
		t.Logf("ran in another one after %v", r.within(healWithin, Running, 2*round+1, ""))

		nstest.Delete(t, ns)
		t.Logf("noticed after %v", r.within(healWithin, Waiting, 0, missing))
		// The fake kernel notices the end of each connection on another goroutine.
		await.Right(t, healWithin, "a namespace that is gone is let go", func() string {
			if n := r.kernel.Connections(); n != 0 {
				return fmt.Sprintf("%d connections are left in it", n)
			}
			return ""
		})
	}
}

// TestInterfaceRecreated deletes the interface of a running pair and creates it again.
func TestInterfaceRecreated(t *testing.T) {
	ns := nstest.New(t)
	nstest.IP(t, ns, makeSync)
	r := startReal(t, func(r *real) {
		r.kernel.Add(t, ns, "nat")
		r.pair("a", ns, "sync")
	})
	r.within(5*time.Second, Running, 0, "")
	for round := range 3 {
		nstest.IP(t, ns, "link del sync", makeSync)
		t.Logf("ran after %v", r.within(healWithin, Running, round+1, ""))
	}
	nstest.IP(t, ns, "link del sync")
	t.Logf("noticed after %v", r.within(healWithin, Waiting, 0, `"sync" does not exist`))
	nstest.IP(t, ns, makeSync)
	t.Logf("ran after %v", r.within(healWithin, Running, 4, ""))
}

// TestLinkIsDown takes down the interface of a running pair. The pair must keep running, and its row must name the
// command that repairs it.
func TestLinkIsDown(t *testing.T) {
	ns := nstest.New(t)
	nstest.IP(t, ns, makeSync, "link set sync up", "link set sync2 up")
	r := startReal(t, func(r *real) {
		r.kernel.Add(t, ns, "nat")
		r.pair("a", ns, "sync")
	})
	r.within(5*time.Second, Running, 0, "")
	nstest.IP(t, ns, "link set sync down")
	t.Logf("told after %v", r.within(healWithin, Running, 0, fmt.Sprintf(`interface "sync" is down in namespace %q; type: ip netns exec %[1]s ip link set sync up`, ns)))
	ready, err := r.Ready(context.Background(), []string{"a"}, false, ReadyOptions{})
	if err != nil || ready.Ready || !slices.ContainsFunc(ready.Pairs[0].Reasons, func(r replication.Reason) bool { return strings.Contains(r.Text, `interface "sync" is down`) }) {
		t.Errorf("ready: %+v, %v", ready, err)
	}
	nstest.IP(t, ns, "link set sync up")
	// The kernel checks carriers once a second.
	await.Right(t, healWithin+time.Second, "the row is well again", func() string { return r.only().Reason })
	if n := r.only().Restarts; n != 0 {
		t.Errorf("started again %d times", n)
	}
}

// TestDeletedNamespaceIsLetGo deletes the namespace of a running pair. The kernel destroys a namespace once no process
// holds it, together with the other end of a link that led into it.
func TestDeletedNamespaceIsLetGo(t *testing.T) {
	ns, outside := nstest.New(t), nstest.New(t)
	nstest.Veth(t, nstest.End{Namespace: ns, Name: "sync", Addrs: []string{"10.64.0.1/24"}},
		nstest.End{Namespace: outside, Name: "far", Addrs: []string{"10.64.0.2/24"}})
	r := startReal(t, func(r *real) {
		r.kernel.Add(t, ns, "nat")
		r.pair("a", ns, "sync")
	})
	r.within(5*time.Second, Running, 0, "")
	nstest.Delete(t, ns)
	await.Right(t, healWithin, "the other end goes with the namespace", func() string {
		if exec.Command("ip", "-n", outside, "link", "show", "far").Run() == nil {
			return "something of it is still held"
		}
		return ""
	})
}

// TestStatsSocketThatCannotBe uses a stats port that another program has, and an address that this host does not have.
// The row must report the error, and sessions must still reach the peer.
func TestStatsSocketThatCannotBe(t *testing.T) {
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	for _, c := range []struct{ name, stats, reason string }{
		{"port", fmt.Sprintf(`"stats port": "%d"`, port), fmt.Sprintf("stats server on 127.0.0.1 port %d: bind: address already in use; to find the process that uses it, type: ss -lunp 'sport = :%[1]d'", port)},
		{"address", `"stats address": "192.0.2.77", "stats port": "4000"`, "stats server on 192.0.2.77 port 4000: bind: cannot assign requested address; type: ip address add 192.0.2.77/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := nstest.New(t)
			nstest.IP(t, ns, makeSync)
			var i *workertest.Instance
			r := startReal(t, func(r *real) {
				i = r.kernel.Add(t, ns, "nat")
				r.pair("a", ns, "sync")
				text := fmt.Sprintf(`{"instance": "nat", "namespace": %q, %s}`, ns, c.stats)
				if err := os.WriteFile(filepath.Join(r.dir, "a.modsocket.json"), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			})
			r.within(5*time.Second, Running, 0, c.reason)
			before := i.Count(joolnl.JooldAck)
			if i.Multicast(nil) == 0 {
				t.Error("nobody listens to the module")
			}
			i.Wait(t, joolnl.JooldAck, before+1)
		})
	}
}

// TestAddressMoves moves the address that selects a pair's interface to another interface.
func TestAddressMoves(t *testing.T) {
	ns := nstest.New(t)
	nstest.IP(t, ns, makeSync, "link set sync up", "link set sync2 up", "address add 192.0.2.1/24 dev sync")
	r := startReal(t, func(r *real) {
		r.kernel.Add(t, ns, "nat")
		r.pair("a", ns, "192.0.2.1")
	})
	r.within(5*time.Second, Running, 0, "")
	nstest.IP(t, ns, "address del 192.0.2.1/24 dev sync", "address add 192.0.2.1/24 dev sync2")
	t.Logf("ran after %v", r.within(healWithin, Running, 1, ""))
	if groups, err := exec.Command("ip", "-n", ns, "maddress", "show", "dev", "sync2").Output(); err != nil || !strings.Contains(string(groups), "233.252.0.64") {
		t.Errorf("it is no member there: %v\n%s", err, groups)
	}
}

// TestNamespaceMountedLater creates the namespace's file before it is mounted.
func TestNamespaceMountedLater(t *testing.T) {
	nstest.Need(t)
	ns := nstest.Name()
	r := startReal(t, func(r *real) { r.pair("a", ns, "sync") })
	r.within(5*time.Second, Waiting, 0, "does not exist")
	path := "/run/netns/" + ns
	if err := errors.Join(os.MkdirAll("/run/netns", 0o755), os.WriteFile(path, nil, 0o444)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nstest.Delete(t, ns) })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	<-tick.C // the supervisor has checked the file
	if out, err := exec.Command("unshare", "--net="+path, "true").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	nstest.IP(t, ns, makeSync)
	r.kernel.Add(t, ns, "nat")
	t.Logf("ran after %v", r.within(healWithin, Running, 0, ""))
}

// TestChangesTakeEffect writes, changes, breaks, repairs and deletes files. The supervisor must notice every change by
// its own watches.
func TestChangesTakeEffect(t *testing.T) {
	ns := nstest.New(t)
	nstest.IP(t, ns, makeSync, "link set sync up", "link set sync2 up")
	r := startRealWith(t, func(o *Options) {
		o.Watch = func(ctx context.Context, dir string, changed func(), calm func() bool) {
			Watch(ctx, nil, dir, changed, calm)
		}
	}, func(r *real) {
		r.kernel.Add(t, ns, "nat")
	})
	write := func(port int) { writePairFor(t, r.dir, "a", ns, "nat", "sync", port) }
	listens := func(port int) string {
		out, err := exec.Command("ip", "netns", "exec", ns, "ss", "-lunH", fmt.Sprintf("sport = :%d", port)).Output()
		if err != nil || !strings.Contains(string(out), "233.252.0.64") {
			return fmt.Sprintf("nobody listens on port %d: %v %s", port, err, out)
		}
		return ""
	}
	netsocket := filepath.Join(r.dir, "a.netsocket.json")
	for _, c := range []struct {
		what   string
		change func()
		wrong  func() string
	}{
		{"a new pair", func() { write(6464) }, func() string { return listens(6464) }},
		{"another port", func() { write(6465) }, func() string { return listens(6465) }},
		{"a broken file", func() { must(t, os.WriteFile(netsocket, []byte("{"), 0o644)) }, func() string {
			if now := r.only(); now.State != Running || !strings.Contains(now.Reason, netsocket+":1:2") {
				return fmt.Sprintf("%s: %s", now.State, now.Reason)
			}
			return ""
		}},
		{"a repaired one", func() { write(6465) }, func() string { return r.only().Reason }},
		{"deleted files", func() { must(t, os.Remove(netsocket)); must(t, os.Remove(filepath.Join(r.dir, "a.modsocket.json"))) }, func() string { return r.only().Name }},
	} {
		start := time.Now()
		c.change()
		await.Right(t, healWithin, c.what, c.wrong)
		t.Logf("%s: after %v", c.what, time.Since(start))
	}
}
