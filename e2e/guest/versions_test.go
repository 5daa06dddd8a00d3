package guest

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"joolctl/joolnl"
)

// The tests of two machines that are the hosts of one pair, each with its own version of Jool. The sync link is the
// machines' only network card.
const (
	card      = "eth0"
	donePort  = 9 // where the active host's test is told how far the standby's is
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

// Messages from the standby's test to the active host's.
const (
	toldListening = "listening"
	toldCold      = "cold" // it has started with an empty table
	toldDone      = "done"
)

// tell sends a word to the active host's test until that test returns it.
func (n *namespace) tell(t testing.TB, word string) {
	t.Helper()
	n.tellAt(t, syncJ, word)
}

// tellAt is tell for another address of the active host's test.
func (n *namespace) tellAt(t testing.TB, address, word string) {
	t.Helper()
	var c net.Conn
	n.do(t, func() (err error) {
		c, err = net.Dial("udp4", net.JoinHostPort(address, strconv.Itoa(donePort)))
		return err
	})
	defer c.Close()
	b := make([]byte, len(word))
	eventually(t, doneLimit, "the active host's test knows: "+word, func() string {
		_, _ = c.Write([]byte(word)) // that nobody is there yet is an error, and so is no answer
		_ = c.SetReadDeadline(time.Now().Add(replyWithin / 10))
		if _, err := c.Read(b); err != nil {
			return err.Error()
		}
		return ""
	})
}

// listenToStandby opens the socket at which the active host's test hears the standby's. The socket is closed when the test ends.
func (n *namespace) listenToStandby(t testing.TB) (c net.PacketConn) {
	t.Helper()
	n.do(t, func() (err error) {
		c, err = net.ListenPacket("udp4", fmt.Sprintf("%s:%d", syncJ, donePort))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitTold waits for a word.
func awaitTold(t testing.TB, c net.PacketConn, word string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(doneLimit)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for {
		n, from, err := c.ReadFrom(b)
		if err == nil {
			_, err = c.WriteTo(b[:n], from)
		}
		if err != nil {
			t.Fatalf("the standby's test hasn't said %q: %v", word, err)
		}
		if string(b[:n]) == word {
			return
		}
	}
}

// TestVersionsActive is the active host: its sessions go to another machine. One
// of the daemons is chosen.
func TestVersionsActive(t *testing.T) {
	enter(t, "versions active")
	t.Run("ours", func(t *testing.T) { testVersionsActive(t, supervised) })
	t.Run("upstream", func(t *testing.T) { testVersionsActive(t, upstream) })
}

func testVersionsActive(t *testing.T, kind daemon) {
	top := newTopology(t)
	top.j.useCard(t, syncJ, syncJ6)
	told := top.j.listenToStandby(t)
	pair, _ := top.pairs(group6)
	j := startWorker(t, kind, top.j, pair)
	awaitTold(t, told, toldListening)
	send := func() {
		top.sendUDP(t, portRange(10000, versionsSources), versionsPorts, pace{time.NewTicker(time.Millisecond)})
	}
	send()
	before := 0
	eventually(t, time.Minute, "all sessions are open", func() string {
		n := top.j.sessionCount(t, "nat")
		if n == versionsSources*versionsPorts {
			return ""
		}
		if n == before {
			send() // a packet was lost before J
		}
		before = n
		return fmt.Sprintf("%d are", n)
	})
	awaitTold(t, told, toldCold)
	if !kind.ours() && module(t).HasAdvertise() {
		top.j.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
	}
	awaitTold(t, told, toldDone)
	top.j.snapshot(t, "active.json")
	if kind.ours() {
		out, _ := j.command(t, "status", "-o", "wide")
		t.Log(out)
	}
}

// TestVersionsStandby is the standby: it gets the sessions as they are opened,
// and once more when it starts with an empty table.
func TestVersionsStandby(t *testing.T) {
	enter(t, "versions standby")
	t.Run("ours", func(t *testing.T) { testVersionsStandby(t, supervised) })
	t.Run("upstream", func(t *testing.T) { testVersionsStandby(t, upstream) })
}

func testVersionsStandby(t *testing.T, kind daemon) {
	top := newTopology(t)
	top.k.useCard(t, syncK, syncK6)
	_, pair := top.pairs(group6)
	k := startWorker(t, kind, top.k, pair)
	limit, quiet := 2*time.Minute, 2*time.Minute
	if !kind.ours() {
		limit, quiet = 30*time.Second, 20*time.Second // it may get none
	}
	const all = versionsSources * versionsPorts
	settle := func(what string) {
		t.Helper()
		if n, took := top.settledCount(t, all, quiet, limit); kind.ours() && n != all {
			t.Errorf("%s: %d of %d are there after %v", what, n, all, took)
		}
	}
	top.k.tell(t, toldListening)
	settle("as they were opened")
	top.k.snapshot(t, "live.json")
	k.stop(t)
	top.k.replaceInstance(t)
	k = startWorker(t, kind, top.k, pair)
	top.k.tell(t, toldCold)
	if kind.ours() {
		t.Logf("%+v", k.awaitFullSync(t, nil, time.Minute))
	}
	settle("at a cold start")
	top.k.snapshot(t, "cold.json")
	if kind.ours() {
		if out, code := k.command(t, "ready", "--all"); code != exitOK {
			t.Errorf("the standby isn't ready:\n%s", out)
		}
	}
	top.k.tell(t, toldDone)
}

// command runs one of joolctl's commands with the worker's supervisor.
func (w worker) command(t testing.TB, args ...string) (string, int) {
	t.Helper()
	return command(t, append([]string{joolctl, "--socket", w.socket}, args...)...)
}
