package guest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	control "joolctl/supervisor"
)

// TestHeal removes, one after the other, everything that a pair depends on, and restores it. joolctl must notice both,
// and the restoration within a second. The test needs a machine of its own, because it unloads the module. The
// machine's clock counts instructions.
func TestHeal(t *testing.T) {
	enter(t, "heal")
	h := startWithoutModule(t)
	for _, lost := range []struct {
		what string
		heal func(*healing, *testing.T)
	}{
		{"module", (*healing).loseModule},
		{"instance", (*healing).loseInstance},
		{"synchronisation", (*healing).loseSynchronisation},
		{"synchronisation that the pair enables", (*healing).loseEnabledSynchronisation},
		{"interface", (*healing).loseInterface},
		{"carrier", (*healing).loseCarrier},
		{"route", (*healing).loseRoute},
		{"address", (*healing).loseAddress},
		{"namespace", (*healing).loseNamespace},
		{"namespace, whose name returns before the namespace", (*healing).loseMount},
	} {
		if !t.Run(lost.what, func(t *testing.T) { lost.heal(h, t) }) {
			return // the other steps need what this one restores
		}
	}
	h.stop(t)
	h.deleteNamespace(t)
	ip(t, "netns del "+preparedNamespace)
}

// Names of namespaces: the pair's, and the one of a namespace that is mounted on the pair's name later.
const (
	pairsNamespace    = "heal"
	preparedNamespace = "before"
)

// healing is a supervisor with one pair that loses, one after the other, what it depends on.
type healing struct {
	supervisor
	pair    pair
	in      *namespace // the pair's
	version string     // of the module
	starts  int        // of the pair's worker that were successful
}

// startWithoutModule starts a supervisor with one pair, whose namespace and interface exist, and unloads the module.
func startWithoutModule(t *testing.T) *healing {
	t.Helper()
	h := &healing{version: module(t).String()}
	t.Cleanup(func() {
		if _, code := command(t, "sh", "-c", "grep -q '^jool ' /proc/modules"); code != 0 {
			h.load(t)
		}
	})
	h.createNamespace(t, pairsNamespace)
	h.unload(t)
	h.pair = pair{name: "a", namespace: pairsNamespace, instance: "nat", group: group6, port: groupPort, link: syncLink}
	h.supervisor = startSupervisor(t, h.pair)
	return h
}

func (h *healing) loseModule(t *testing.T) {
	h.waits(t, "modprobe jool")
	h.load(t)
	h.waits(t, `instance "nat" does not exist`)
	h.addInstance(t)
	h.runs(t, "module loaded, instance added")

	h.unload(t)
	h.waits(t, "modprobe jool")
	h.load(t)
	h.addInstance(t)
	h.runs(t, "module loaded again")

	h.unload(t)
	h.load(t)
	h.addInstance(t)
	h.runs(t, "another module")
}

func (h *healing) loseInstance(t *testing.T) {
	h.in.exec(t, "jool", "instance", "remove", "nat")
	h.waits(t, `instance "nat" does not exist`)
	h.addInstance(t)
	h.runs(t, "instance recreated")
}

func (h *healing) loseSynchronisation(t *testing.T) {
	h.synchronise(t, false)
	h.waits(t, "global update ss-enabled true")
	h.synchronise(t, true)
	h.runs(t, "synchronisation on again")
}

// loseEnabledSynchronisation turns synchronisation off for a pair with "enable ss", which turns it on without a restart.
func (h *healing) loseEnabledSynchronisation(t *testing.T) {
	h.pair.enableSS = true
	h.pair.write(t, h.dir)
	if out, code := h.command(t, "reload"); code != exitOK {
		t.Fatalf("reload: %s", out)
	}
	h.synchronise(t, false)
	begin := time.Now()
	eventually(t, polledWithin, "synchronisation is turned on", func() string {
		for line := range strings.Lines(h.in.exec(t, "jool", "-i", "nat", "global", "display", "--csv", "--no-headers")) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ","); name == "ss-enabled" && strings.EqualFold(value, "true") {
				return ""
			}
		}
		return "it is off"
	})
	t.Logf("synchronisation turned on: after %v", time.Since(begin).Round(time.Millisecond))
	h.stillRuns(t, "")
}

func (h *healing) loseInterface(t *testing.T) {
	h.in.ip(t, "link del "+syncLink)
	h.waits(t, `"`+syncLink+`" does not exist`)
	h.addLink(t)
	h.runs(t, "interface recreated")

	h.in.ip(t, "link del "+syncLink)
	h.addLink(t)
	h.runs(t, "interface recreated at once")
}

// loseCarrier sets the interface down. The worker continues to run, and its reason names the command that sets it up.
func (h *healing) loseCarrier(t *testing.T) {
	h.in.ip(t, "link set "+syncLink+" down")
	h.stillRuns(t, "ip link set "+syncLink+" up")
	h.in.ip(t, "link set "+syncLink+" up")
	eventually(t, polledWithin, "the interface carries again", func() string { // the worker checks the carrier once a second
		return h.status(t).Workers[0].Reason
	})
}

// loseRoute sets the only interfaces down while the kernel chooses the interface.
func (h *healing) loseRoute(t *testing.T) {
	h.pair.link = "" // the kernel's choice
	h.change(t)
	h.in.ip(t, "link set "+syncLink+" down\nlink set peer down")
	if out, code := h.command(t, "restart", h.pair.name); code != exitNotWell {
		t.Fatalf("joolctl restart ended with %d, want %d, because the worker can't run:\n%s", code, exitNotWell, out)
	}
	h.waits(t, "there is no route to")
	h.in.ip(t, "link set "+syncLink+" up\nlink set peer up")
	h.runs(t, "interface up")
}

// loseAddress deletes the address by which a pair of an IPv4 group names its interface.
func (h *healing) loseAddress(t *testing.T) {
	const address = syncJ + "/24 dev " + syncLink
	h.in.ip(t, "address add "+address)
	h.pair.group, h.pair.link = group4, syncJ
	h.change(t)
	h.in.ip(t, "address del "+address)
	h.waits(t, "no interface has this address")
	h.in.ip(t, "address add "+address)
	h.runs(t, "address added")

	h.pair.group, h.pair.link = group6, syncLink
	h.change(t)
}

func (h *healing) loseNamespace(t *testing.T) {
	h.deleteNamespace(t)
	h.waits(t, `namespace "`+pairsNamespace+`" does not exist`)
	h.createNamespace(t, pairsNamespace)
	h.addInstance(t)
	h.runs(t, "namespace recreated")

	h.deleteNamespace(t)
	h.createNamespace(t, pairsNamespace)
	h.addInstance(t)
	h.runs(t, "namespace recreated at once")
}

// loseMount deletes the namespace. Its name returns as an empty file, on which a prepared namespace is mounted later, as
// programs other than ip do it.
func (h *healing) loseMount(t *testing.T) {
	h.deleteNamespace(t)
	h.waits(t, `namespace "`+pairsNamespace+`" does not exist`)
	h.createNamespace(t, preparedNamespace)
	h.addInstance(t)
	const directory = "/run/netns/"
	if err := os.WriteFile(directory+pairsNamespace, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	<-time.After(100 * time.Millisecond) // no output shows that the supervisor has read the file
	if err := unix.Mount(directory+preparedNamespace, directory+pairsNamespace, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	h.runs(t, "namespace mounted on its name")
}

// waits waits until the pair is waiting for the reason.
func (h *healing) waits(t *testing.T, reason string) {
	t.Helper()
	h.await(t, control.Waiting, reason, 0, polledWithin)
}

// runs waits until the pair's worker has started once more and runs.
func (h *healing) runs(t *testing.T, what string) {
	t.Helper()
	begin := time.Now()
	h.await(t, control.Running, "", h.starts, healsWithin)
	t.Logf("%s: runs after %v", what, time.Since(begin).Round(time.Millisecond))
	h.starts++
}

// stillRuns waits until the pair's worker runs for the reason, and does not require another start.
func (h *healing) stillRuns(t *testing.T, reason string) {
	t.Helper()
	h.await(t, control.Running, reason, h.starts-1, healsWithin)
}

// change writes the pair's files and waits until the worker has applied them.
func (h *healing) change(t *testing.T) {
	t.Helper()
	before := h.changes(h.pair.name)
	h.pair.write(t, h.dir)
	eventually(t, takesEffectWithin, "the worker takes other files", func() string {
		if h.changes(h.pair.name) == before {
			return "not yet"
		}
		return ""
	})
}

func (h *healing) unload(t *testing.T) {
	t.Helper()
	run(t, "rmmod", "jool", "jool_common")
}

func (h *healing) load(t *testing.T) {
	t.Helper()
	run(t, "insmod", "/jool/"+h.version+"/jool_common.ko")
	run(t, "insmod", "/jool/"+h.version+"/jool.ko")
}

func (h *healing) addInstance(t *testing.T) {
	t.Helper()
	addInstance(t, h.in, natInstance)
}

// synchronise turns the instance's synchronisation on or off.
func (h *healing) synchronise(t *testing.T, on bool) {
	t.Helper()
	h.in.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", fmt.Sprint(on))
}

// createNamespace creates a namespace for the pair, with its interface.
func (h *healing) createNamespace(t *testing.T, name string) {
	t.Helper()
	h.in = newNamespace(t, name)
	h.addLink(t)
}

func (h *healing) addLink(t *testing.T) {
	t.Helper()
	h.in.ip(t, "link add "+syncLink+" type veth peer name peer\nlink set "+syncLink+" up\nlink set peer up")
}

// deleteNamespace deletes the namespace that has the pair's name for it.
func (h *healing) deleteNamespace(t *testing.T) {
	t.Helper()
	h.in.thread.Release()
	ip(t, "netns del "+pairsNamespace)
}

// await waits until the only pair is in the state, for the reason, and has been restarted at least that often.
func (s supervisor) await(t testing.TB, state control.State, reason string, restarts int, limit time.Duration) {
	t.Helper()
	client := control.Client{Socket: s.socket}
	last := "it does not answer"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		s.running(t)
		status, err := client.Status(context.Background(), nil)
		if err != nil || len(status.Workers) != 1 {
			continue
		}
		w := status.Workers[0]
		if w.State == state && strings.Contains(w.Reason, reason) && w.Restarts >= restarts {
			return
		}
		last = string(w.State) + ": " + w.Reason
	}
	t.Fatalf("not within %v %s because of %q, started again %d times; it is %s", limit, state, reason, restarts, last)
}
