package guest

import (
	"fmt"
	"strings"
	"testing"

	"joolctl/session"
)

// say prints a line of the demo.
func say(format string, args ...any) { fmt.Printf("\n"+format+"\n", args...) }

// show runs one of joolctl's commands, and prints the command and its output.
func (s supervisor) show(t *testing.T, args ...string) {
	t.Helper()
	fmt.Printf("$ joolctl %s\n", strings.Join(args, " "))
	out, code := s.command(t, args...)
	fmt.Print(out)
	if code != exitOK {
		t.Fatalf("joolctl %v ended with %d", args, code)
	}
}

// TestDemo is the demo: it narrates a failover.
func TestDemo(t *testing.T) {
	enter(t, "demo")
	say("Two NAT64s, J and K, each with the real Jool %v, between an IPv6 and an IPv4 host:", module(t))
	fmt.Print(`
    IPv6 host ---+--- J (active)  ---+--- IPv4 host
  2001:db8::8    |     | sync        |    192.0.2.8
                 +--- K (standby) ---+
`)
	top := newTopology(t)
	top.serveEcho(t)
	pairJ, pairK := top.pairs(group6)
	pairJ.name, pairK.name = "J", "K"
	k := startSupervisor(t, pairK.in(top.k))
	j := startSupervisor(t, pairJ.in(top.j))
	j.awaitRunning(t, 1, listensWithin)
	k.awaitRunning(t, 1, listensWithin)
	say("joolctl runs for both of them (joolctl up DIR).")

	const source = 40000
	top.ping(t, []uint16{1}, pace{})
	say("The IPv6 host pings 64:ff9b::192.0.2.8 through J: answered.")
	var c connection
	top.keep(map[session.Proto]int{session.ICMP: 1, session.TCP: 1}, func() {
		c = top.connect(t, source)
		c.mustEcho(t, "hello")
	})
	say("It opens a TCP connection through J, and says hello: echoed.")
	top.awaitSynced(t)
	say("K now has J's sessions. K has seen no packet of theirs:")
	printSession(top.k.session(t, "nat", session.TCP, source))
	say("J's host says:")
	j.show(t, "status")
	say("K's host says:")
	k.show(t, "status")

	j.kill()
	top.failOver(t)
	say("J dies: its daemon is killed, its links are gone. K takes over its addresses.")
	c.mustEcho(t, "still there?")
	say("On the same TCP connection, the IPv6 host asks whether anybody is still there: echoed, by way of K.")
	top.ping(t, []uint16{1}, pace{})
	say("It pings through K with the same identifier: answered.")
	say("Nobody noticed. K's host says:")
	k.show(t, "status")
	k.stop(t)
}

func printSession(s session.Session) {
	fmt.Printf("  %v %v  %v -> %v  is  %v -> %v\n", s.Proto, s.State, s.Src6, s.Dst6, s.Src4, s.Dst4)
}
