package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/session"
)

// The next hops that packaging/keepalived/keepalived.conf moves between the hosts.
const (
	nextHop4 = "192.0.2.64"
	nextHop6 = "fe80::64"
)

// TestKeepalived has keepalived itself decide which of two NAT64s serves, with
// packaging/keepalived's files: J dies, comes back with an empty table, is
// held until it has the sessions, and then takes over again. A TCP connection
// lives through all of it. At the end K loses its table.
func TestKeepalived(t *testing.T) {
	enter(t, "keepalived")
	installJoolctl(t)
	top := newTopology(t)
	top.underVRRP(t)
	top.serveEcho(t)
	j, k := newVRRPHost(t, top.j, 100), newVRRPHost(t, top.k, 90)
	j.start(t)
	k.start(t)
	j.awaitState(t, "MASTER")
	k.awaitState(t, "BACKUP")

	const port = 31000
	c := top.connect(t, port)
	c.mustEcho(t, "through J")
	top.keep(map[session.Proto]int{session.TCP: 1}, func() { c.mustEcho(t, "and again") })
	top.awaitSynced(t)

	j.crash(t)
	k.awaitState(t, "MASTER")
	c.mustEcho(t, "through K")

	j.boot(t) // but for its link to K: no peer can send J the sessions
	j.start(t)
	j.awaitState(t, "BACKUP")
	j.staysBackup(t, 15, func() { c.mustEcho(t, "still through K") }) // three times as long as it would take to become MASTER

	j.namespace.ip(t, "link set "+syncLink+" up")
	j.awaitState(t, "MASTER")
	j.hasSessions(t, 1)
	c.mustEcho(t, "through J again")
	k.awaitState(t, "BACKUP")
	k.awaitAdvertised(t, 1)

	const patience = 20 * time.Second // K has run for longer
	k.namespace.ip(t, "link set "+syncLink+" down")
	k.replaceInstance(t) // its table is empty
	k.awaitReady(t, patience, false)
	k.staysUnready(t, patience, 10)
	k.namespace.ip(t, "link set "+syncLink+" up")
	k.awaitReady(t, patience, true)
	k.hasSessions(t, 1)
}

// eachSecond calls check once a second.
func eachSecond(seconds int, check func()) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for range seconds {
		check()
		<-second.C
	}
}

// staysBackup checks that the host remains BACKUP, and calls meanwhile each second.
func (h *vrrpHost) staysBackup(t testing.TB, seconds int, meanwhile func()) {
	t.Helper()
	eachSecond(seconds, func() {
		meanwhile()
		if state := h.state(t); state != "BACKUP" {
			t.Fatalf("%s is %s before it has a session", h.name, state)
		}
	})
}

// staysUnready checks that the host does not become ready.
func (h *vrrpHost) staysUnready(t testing.TB, patience time.Duration, seconds int) {
	t.Helper()
	eachSecond(seconds, func() {
		if answer, ready := h.ready(t, patience); ready {
			t.Fatalf("%s is ready without a session: %s", h.name, answer)
		}
	})
}

// hasSessions checks how many sessions the host's table has.
func (h *vrrpHost) hasSessions(t testing.TB, want int) {
	t.Helper()
	if got := len(h.namespace.sessions(t, "nat")); got != want {
		t.Errorf("%s has %d sessions, want %d", h.name, got, want)
	}
}

// awaitAdvertised waits until the host has advertised its table because it became BACKUP.
func (h *vrrpHost) awaitAdvertised(t testing.TB, sessions int) {
	t.Helper()
	advertised := fmt.Sprintf("msg=\"the session table was advertised\" pair=nat sessions=%d", sessions)
	eventually(t, 10*time.Second, h.name+" advertises when it steps down", func() string {
		if log := h.worker.log.String(); !strings.Contains(log, advertised) {
			return log
		}
		return ""
	})
}

// awaitReady waits until the host is ready, or until it is not.
func (h *vrrpHost) awaitReady(t testing.TB, patience time.Duration, want bool) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("ready on %s: %t", h.name, want), func() string {
		if answer, ready := h.ready(t, patience); ready != want {
			return answer
		}
		return ""
	})
}

// ready asks the host's joolctl as keepalived does, with another patience.
func (h *vrrpHost) ready(t testing.TB, patience time.Duration) (answer string, ready bool) {
	t.Helper()
	answer, code := command(t, joolctl, "ready", "--all", "--patience", patience.String(), "--socket", filepath.Join(h.run, "joolctl", "joolctl.sock"))
	return answer, code == 0
}

// underVRRP has n6 and n4 reach the NAT64s by the addresses that keepalived
// moves. J and K are two hosts of their own, with their links up.
func (top *topology) underVRRP(t testing.TB) {
	t.Helper()
	top.separate(t)
	top.n6.ip(t, fmt.Sprintf("route replace %s via %s dev e6", pool6, nextHop6))
	top.n4.ip(t, fmt.Sprintf("route add %s/32 via %s", pool4, nextHop4))
}

// separate gives J and K addresses of their own, and brings their links up.
func (top *topology) separate(t testing.TB) {
	t.Helper()
	for i, n := range []*namespace{top.j, top.k} {
		n.sysctl(t, [2]string{"ipv6/conf/all/keep_addr_on_down", "1"})
		n.ip(t, fmt.Sprintf(`
link set e6 down
link set e4 down
address flush dev e6
address flush dev e4
link set e6 address 02:00:00:00:06:1%d
link set e4 address 02:00:00:00:04:1%[1]d
link set e6 addrgenmode eui64 up
link set e4 up
address add 2001:db8::%[2]d/96 dev e6 nodad
address add 192.0.2.%[2]d/24 dev e4
`, i, 4+i))
	}
}

// installJoolctl puts joolctl where the examples look for it.
func installJoolctl(t testing.TB) {
	t.Helper()
	if err := os.Symlink(joolctl, "/usr/bin/joolctl"); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// vrrpHost is a host with joolctl and keepalived, which see a /run of their own.
type vrrpHost struct {
	*namespace
	pairs, run, conf   string
	worker, keepalived *process
}

// newVRRPHost creates a host with that priority. It starts no program.
func newVRRPHost(t testing.TB, n *namespace, priority int) *vrrpHost {
	t.Helper()
	dir := t.TempDir()
	h := &vrrpHost{namespace: n, pairs: filepath.Join(dir, "joold.d"), run: filepath.Join(dir, "run"), conf: filepath.Join(dir, "keepalived.conf")}
	for _, d := range []string{h.pairs, h.run} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := pair{name: "nat", instance: "nat", group: group6, port: groupPort, link: syncLink}
	p.write(t, h.pairs)
	text, err := os.ReadFile(Documentation + "/packaging/keepalived/keepalived.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer(
		"interface eth0", "interface e4",
		"dev eth0", "dev e6",
		"priority 100", fmt.Sprint("priority ", priority),
	).Replace(string(text))
	if err := os.WriteFile(h.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

// start starts joolctl, then keepalived.
func (h *vrrpHost) start(t testing.TB) {
	t.Helper()
	h.worker = startWithRun(t, h.namespace, h.run, joolctl, "up", h.pairs)
	h.keepalived = startWithRun(t, h.namespace, h.run, "keepalived", "--dont-fork", "--log-console", "--use-file", h.conf)
}

// crash ends everything at once, the links too.
func (h *vrrpHost) crash(t testing.TB) {
	t.Helper()
	h.ip(t, "link set e6 down\nlink set e4 down\nlink set "+syncLink+" down")
	h.worker.kill()
	h.keepalived.kill()
	h.exec(t, "jool", "instance", "remove", "nat")
}

// boot sets up a restarted host, but not the link "sync".
func (h *vrrpHost) boot(t testing.TB) {
	t.Helper()
	run(t, "rm", "-rf", h.run)
	if err := os.Mkdir(h.run, 0o755); err != nil {
		t.Fatal(err)
	}
	h.ip(t, fmt.Sprintf("address flush to %s dev e4\naddress flush to %s dev e6\nlink set e6 up\nlink set e4 up", nextHop4, nextHop6))
	addInstance(t, h.namespace, natInstance)
}

// state returns the last state of which keepalived notified joolctl.
func (h *vrrpHost) state(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.run, "joolctl-vrrp", "nat64.state"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// awaitState waits for a change that keepalived makes by itself. keepalived runs its script every 2 s and needs two
// equal results, and it waits 3 s for a silent peer.
func (h *vrrpHost) awaitState(t testing.TB, want string) {
	t.Helper()
	eventually(t, 30*time.Second, h.name+" is "+want, func() string {
		h.worker.running(t)
		h.keepalived.running(t)
		if got := h.state(t); got != want {
			return fmt.Sprintf("it is %q", got)
		}
		return ""
	})
}
