package guest

import (
	"context"
	"strings"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// healWithin is how soon a pair has to run again once what it needs is there: a
// second where something tells, five where it has to be asked for. The machine
// is many times slower than a real one, and is given as much again.
const healWithin = 10 * time.Second

// TestHeal takes away, one after the other, everything that a pair depends on,
// and gives it back: joolctl notices both. It has the machine for itself, since
// it unloads the module.
func TestHeal(t *testing.T) {
	enter(t, "heal")
	version := module(t).String()
	unload := func() { run(t, "rmmod", "jool", "jool_common") }
	load := func() {
		run(t, "insmod", "/jool/"+version+"/jool_common.ko")
		run(t, "insmod", "/jool/"+version+"/jool.ko")
	}
	t.Cleanup(func() {
		if _, code := command(t, "sh", "-c", "grep -q '^jool ' /proc/modules"); code != 0 {
			load()
		}
	})
	nat := instance{name: "nat", framework: "netfilter", pool6: pool6}
	var n *namespace
	enterNew := func() { n = newNamespace(t, "heal") }
	link := func() {
		n.ip(t, "link add "+syncLink+" type veth peer name peer\nlink set "+syncLink+" up\nlink set peer up")
	}
	enterNew()
	link()
	unload()
	s := startSupervisor(t, pair{name: "a", namespace: n.name, instance: "nat", group: group6, port: groupPort, link: syncLink})
	restarts := 0
	waits := func(reason string) { s.await(t, control.Waiting, reason, 0) }
	runs := func(what string) {
		t.Helper()
		begin := time.Now()
		s.await(t, control.Running, "", restarts)
		t.Logf("%s: runs after %v", what, time.Since(begin).Round(time.Millisecond))
		restarts++
	}

	waits("modprobe jool")
	load()
	waits(`instance "nat" does not exist`)
	addInstance(t, n, nat)
	runs("module loaded, instance added")

	unload()
	waits("modprobe jool")
	load()
	addInstance(t, n, nat)
	runs("module loaded again")

	unload()
	load()
	addInstance(t, n, nat)
	runs("another module")

	n.exec(t, "jool", "instance", "remove", "nat")
	waits(`instance "nat" does not exist`)
	addInstance(t, n, nat)
	runs("instance made anew")

	n.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", "false")
	waits("global update ss-enabled true")
	n.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", "true")
	runs("synchronisation on again")

	n.ip(t, "link del "+syncLink)
	waits(`"` + syncLink + `" does not exist`)
	link()
	runs("interface made anew")
	n.ip(t, "link del "+syncLink)
	link()
	runs("interface made anew at once")

	leave := func() {
		n.thread.Release()
		ip(t, "netns del heal")
	}
	leave()
	waits(`namespace "heal" does not exist`)
	enterNew()
	link()
	addInstance(t, n, nat)
	runs("namespace made anew")
	leave()
	enterNew()
	link()
	addInstance(t, n, nat)
	runs("namespace made anew at once")
	s.stop(t)
	leave()
}

// newNamespace makes one that is the caller's to delete.
func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	ip(t, "netns add "+name)
	thread, err := threads.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return &namespace{name: name, thread: thread}
}

// await waits until the only pair is in a state, for a reason, and has been
// started again so often at least.
func (s supervisor) await(t testing.TB, state control.State, reason string, restarts int) {
	t.Helper()
	client := control.Client{Socket: s.socket}
	last := "it does not answer"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(healWithin); time.Now().Before(end); <-tick.C {
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
	t.Fatalf("not within %v %s because of %q, started again %d times; it is %s", healWithin, state, reason, restarts, last)
}
