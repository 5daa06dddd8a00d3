package guest

import (
	"context"
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
	p := pair{name: "a", namespace: n.name, instance: "nat", group: group6, port: groupPort, link: syncLink}
	s := startSupervisor(t, p)
	restarts := 0
	waits := func(reason string) { s.await(t, control.Waiting, reason, 0, polledWithin) }
	runs := func(what string) {
		t.Helper()
		begin := time.Now()
		s.await(t, control.Running, "", restarts, healsWithin)
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
	runs("instance recreated")

	n.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", "false")
	waits("global update ss-enabled true")
	n.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", "true")
	runs("synchronisation on again")

	p.enableSS = true
	p.write(t, s.dir)
	if out, code := s.command(t, "reload"); code != exitOK {
		t.Fatalf("reload: %s", out)
	}
	n.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", "false")
	begin := time.Now()
	eventually(t, polledWithin, "synchronisation is turned on", func() string {
		for line := range strings.Lines(n.exec(t, "jool", "-i", "nat", "global", "display", "--csv", "--no-headers")) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ","); name == "ss-enabled" && strings.EqualFold(value, "true") {
				return ""
			}
		}
		return "it is off"
	})
	t.Logf("synchronisation turned on: after %v", time.Since(begin).Round(time.Millisecond))
	s.await(t, control.Running, "", restarts-1, healsWithin)

	n.ip(t, "link del "+syncLink)
	waits(`"` + syncLink + `" does not exist`)
	link()
	runs("interface recreated")
	n.ip(t, "link del "+syncLink)
	link()
	runs("interface recreated at once")

	// The worker continues to run, and its reason names the command.
	n.ip(t, "link set "+syncLink+" down")
	s.await(t, control.Running, "ip link set "+syncLink+" up", restarts-1, healsWithin)
	n.ip(t, "link set "+syncLink+" up")
	eventually(t, polledWithin, "the interface carries again", func() string { // a carrier is looked at once a second
		return s.status(t).Workers[0].Reason
	})

	change := func() {
		t.Helper()
		before := s.changes(p.name)
		p.write(t, s.dir)
		eventually(t, takesEffectWithin, "the worker takes other files", func() string {
			if s.changes(p.name) == before {
				return "not yet"
			}
			return ""
		})
	}
	p.link = "" // the kernel's choice
	change()
	n.ip(t, "link set "+syncLink+" down\nlink set peer down")
	if out, code := s.command(t, "restart", p.name); code != exitNotWell {
		t.Fatalf("joolctl restart ended with %d, want %d, because the worker can't run:\n%s", code, exitNotWell, out)
	}
	waits("there is no route to")
	n.ip(t, "link set "+syncLink+" up\nlink set peer up")
	runs("interface up")

	address := syncJ + "/24 dev " + syncLink
	n.ip(t, "address add "+address)
	p.group, p.link = group4, syncJ
	change()
	n.ip(t, "address del "+address)
	waits("no interface has this address")
	n.ip(t, "address add "+address)
	runs("address added")
	p.group, p.link = group6, syncLink
	change()

	leave := func() {
		n.thread.Release()
		ip(t, "netns del heal")
	}
	leave()
	waits(`namespace "heal" does not exist`)
	enterNew()
	link()
	addInstance(t, n, nat)
	runs("namespace recreated")
	leave()
	enterNew()
	link()
	addInstance(t, n, nat)
	runs("namespace recreated at once")

	leave()
	waits(`namespace "heal" does not exist`)
	n = newNamespace(t, "before")
	link()
	addInstance(t, n, nat)
	const file, made = "/run/netns/heal", "/run/netns/before"
	if err := os.WriteFile(file, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	<-time.After(100 * time.Millisecond) // no output shows that the supervisor has read the file
	if err := unix.Mount(made, file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	runs("namespace mounted on its name")
	s.stop(t)
	leave()
	ip(t, "netns del before")
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
