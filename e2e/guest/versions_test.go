package guest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Two machines that are hosts of one pair, each with a version of Jool of its
// own, and their sync link: the machines' only network card.
const (
	card      = "eth0"
	donePort  = 9 // where the active host's test is told that the standby's has ended
	doneLimit = 3 * time.Minute
)

// versionsSources × versionsPorts sessions are opened in TestVersionsActive.
const versionsSources, versionsPorts = 40, 100

// useCard makes the machine's network card the link "sync" of a NAT64, in place
// of the one to the other NAT64 of the topology.
func (n *namespace) useCard(t testing.TB, sync4, sync6 string) {
	t.Helper()
	n.ip(t, "link del "+syncLink)
	run(t, "modprobe", "virtio_net")
	ip(t, fmt.Sprintf("link set %s netns %s name %s", card, n.name, syncLink))
	n.ip(t, fmt.Sprintf("address add %s/24 dev %s\naddress add %s/96 dev %[2]s nodad\nlink set %[2]s up", sync4, syncLink, sync6))
}

// snapshot writes an instance's table for the host of the machine.
func (n *namespace) snapshot(t testing.TB, file string) {
	t.Helper()
	writeJSON(t, "/out/"+file, Snapshot{At: time.Now(), Sessions: n.sessions(t, "nat")})
}

// TestVersionsActive is the active host: its sessions go to another machine.
func TestVersionsActive(t *testing.T) {
	enter(t, "versions active")
	top := newTopology(t)
	top.j.useCard(t, syncJ, syncJ6)
	pair, _ := top.pairs(group6)
	j := startWorker(t, supervised, top.j, pair)
	eventually(t, time.Minute, "the standby is heard", func() string {
		if s, _ := statusOf(t, j.socket); len(s.Workers[0].Peers) == 0 {
			return "no peer"
		}
		return ""
	})
	var done net.PacketConn
	top.j.do(t, func() (err error) {
		done, err = net.ListenPacket("udp4", fmt.Sprintf("%s:%d", syncJ, donePort))
		return err
	})
	defer done.Close()
	top.sendUDP(t, portRange(10000, versionsSources), versionsPorts, pace{time.NewTicker(time.Millisecond)})
	eventually(t, time.Minute, "all sessions are open", func() string {
		if n := top.j.sessionCount(t, "nat"); n != versionsSources*versionsPorts {
			return fmt.Sprintf("%d are", n)
		}
		return ""
	})
	if err := done.SetReadDeadline(time.Now().Add(doneLimit)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := done.ReadFrom(make([]byte, 1)); err != nil {
		t.Error("the standby's test hasn't ended: ", err)
	}
	top.j.snapshot(t, "active.json")
	out, _ := j.command(t, "status", "-o", "wide")
	t.Log(out)
}

// TestVersionsStandby is the standby: it gets the sessions as they are opened,
// and once more when it starts with an empty table.
func TestVersionsStandby(t *testing.T) {
	enter(t, "versions standby")
	top := newTopology(t)
	top.k.useCard(t, syncK, syncK6)
	_, pair := top.pairs(group6)
	k := startWorker(t, supervised, top.k, pair)
	all := func(what string) {
		t.Helper()
		eventually(t, 2*time.Minute, what, func() string {
			if n := top.k.sessionCount(t, "nat"); n != versionsSources*versionsPorts {
				return fmt.Sprintf("%d are there", n)
			}
			return ""
		})
	}
	all("the sessions come as they are opened")
	top.k.snapshot(t, "live.json")
	k.stop(t)
	top.k.exec(t, "jool", "instance", "remove", "nat")
	addInstance(t, top.k, instance{name: "nat", framework: "netfilter", pool6: pool6})
	k = startWorker(t, supervised, top.k, pair)
	t.Logf("%+v", k.awaitResync(t, nil, time.Minute))
	all("a cold standby gets them")
	top.k.snapshot(t, "cold.json")
	if out, code := k.command(t, "ready", "--all"); code != exitOK {
		t.Errorf("the standby isn't ready:\n%s", out)
	}
	top.k.do(t, func() error {
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(syncJ), donePort)))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("."))
		return err
	})
}

// command runs one of joolctl's commands with the worker's supervisor.
func (w worker) command(t testing.TB, args ...string) (string, int) {
	t.Helper()
	return command(t, append([]string{joolctl, "--socket", w.socket}, args...)...)
}
