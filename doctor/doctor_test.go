package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ward is a host with one pair, "blue", whose files are good and whose network works.
type ward struct {
	t       *testing.T
	ns      string // of the pair's network socket
	options Options
	status  *supervisor.Status // nil: no supervisor answers
}

const netsocketText = `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "sync", "out interface": "sync", "reuseaddr": 1}`

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, ns: nstest.New(t)}
	nstest.Veth(t,
		nstest.End{Namespace: w.ns, Name: "sync", Addrs: []string{"fd64::1/64", "10.64.0.1/24"}},
		nstest.End{Namespace: nstest.New(t), Name: "peer", Addrs: []string{"fd64::2/64", "10.64.0.2/24"}})
	dir := t.TempDir()
	w.options = Options{Dir: dir, Socket: filepath.Join(dir, "socket"), Keepalived: filepath.Join(dir, "keepalived.conf"),
		Status: func(context.Context) (supervisor.Status, error) {
			if w.status == nil {
				return supervisor.Status{}, errors.New("no supervisor answers")
			}
			return *w.status, nil
		}}
	w.write("blue.netsocket.json", netsocketText)
	w.write("blue.modsocket.json", fmt.Sprintf(`{"instance": "nat", "namespace": %q}`, w.ns))
	return w
}

func (w *ward) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.options.Dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// change replaces a part of the netsocket file.
func (w *ward) change(old, with string) {
	w.t.Helper()
	text := strings.ReplaceAll(netsocketText, old, with)
	if text == netsocketText {
		w.t.Fatalf("the file has no %s", old)
	}
	w.write("blue.netsocket.json", text)
}

// run has a supervisor run the pair.
func (w *ward) run(row supervisor.Row) {
	row.Name, row.Since = "blue", time.Now()
	w.status = &supervisor.Status{Directory: w.options.Dir, Version: "v1", Workers: []supervisor.Row{row}}
}

// supervise makes the test the supervisor: it has the control socket.
func (w *ward) supervise() {
	w.t.Helper()
	l, err := net.Listen("unix", w.options.Socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
}

// command runs a command in the namespace.
func (w *ward) command(words ...string) {
	w.t.Helper()
	if _, err := exec.LookPath(words[0]); err != nil {
		w.t.Skipf("%s is not installed", words[0])
	}
	out, err := exec.Command("ip", append([]string{"netns", "exec", w.ns}, words...)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%v: %v\n%s", words, err, out)
	}
}

// bind opens a UDP socket in the namespace, bound to an address.
func (w *ward) bind(address string) {
	w.t.Helper()
	s := &subject{host: &host{threads: nsthread.NewPool()}}
	s.spec.NetNamespace = w.ns
	var fd int
	err := s.inNetwork(func() (err error) {
		to := netip.MustParseAddrPort(address)
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
		return errors.Join(err, unix.Bind(fd, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Close(fd) })
}

// find returns the findings of a check.
func find(r Report, check string) (all []Finding) {
	for _, f := range r.Findings {
		if f.Check == check {
			all = append(all, f)
		}
	}
	return all
}

// TestFaults makes a fault for each check that needs no module, and expects the finding and the remedy. Without the fault, the check finds
// nothing.
func TestFaults(t *testing.T) {
	ip := func(commands ...string) func(*ward) {
		return func(w *ward) { nstest.IP(w.t, w.ns, commands...) }
	}
	key := func(security string, age time.Duration) func(*ward) {
		return func(w *ward) {
			w.write("blue.key", "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
			path, when := filepath.Join(w.options.Dir, "blue.key"), time.Now().Add(-age)
			if err := os.Chtimes(path, when, when); err != nil {
				w.t.Fatal(err)
			}
			w.change(`"reuseaddr"`, fmt.Sprintf(`"key file": "blue.key", "security": %q, "reuseaddr"`, security))
		}
	}
	unicast := func(peer string, heard bool) func(*ward) {
		return func(w *ward) {
			w.change(`"multicast address": "ff08::db8:64:64", "multicast port"`, fmt.Sprintf(`"peers": [%q], "port"`, peer))
			w.run(supervisor.Row{State: supervisor.Running, ConfiguredPeers: []supervisor.ConfiguredPeer{{Address: "[" + peer + "]:6464", Heard: heard}}})
		}
	}
	running := func(row supervisor.Row) func(*ward) {
		return func(w *ward) {
			row.State = supervisor.Running
			w.run(row)
		}
	}
	for _, c := range []struct {
		check, name string
		fault       func(*ward)
		level       Level
		observed    string // a part of it
		remedy      string // likewise
	}{
		{"privileges", "root", func(*ward) {}, OK, "root", ""},
		{"tools", "no tool", func(w *ward) { w.t.Setenv("PATH", "") }, Warn, "cannot be run", "install jool-tools"},
		{"tools", "a tool without a version", func(w *ward) { w.tool("echo what") }, Warn, `"what"`, ""},
		{"tools", "a tool", func(w *ward) { w.tool("echo 4.1.15.0") }, OK, "4.1.15", ""},
		{"module", "no module", func(*ward) {}, Fail, "not loaded", "modprobe jool"},
		{"supervisor", "none", func(*ward) {}, Warn, "no supervisor answers", "systemctl start joolctl"},
		{"supervisor", "one", running(supervisor.Row{}), OK, "runs 1 pair", ""},
		{"supervisor", "of another directory", func(w *ward) { w.status = &supervisor.Status{Directory: "/other"} }, Warn, "/other", "joolctl doctor /other"},
		{"supervisor", "that cannot read its directory", func(w *ward) { w.status = &supervisor.Status{Reason: "gone"} }, Fail, "gone", ""},
		{"directory", "missing", func(w *ward) { w.options.Dir += "/none" }, Fail, "none", "mkdir"},
		{"directory", "empty", func(w *ward) { w.options.Dir = w.t.TempDir() }, Warn, "no pairs", "joolctl init"},
		{"directory", "good", func(*ward) {}, OK, "1 pair", ""},
		{"keepalived", "that does not ask", func(w *ward) { w.write("keepalived.conf", "vrrp_instance x {}\n# joolctl ready --all") }, Warn, "does not ask", "joolctl ready"},
		{"keepalived", "that asks for another pair", func(w *ward) { w.write("keepalived.conf", `script "/usr/bin/joolctl ready red --patience 5m"`) }, Fail, `"red"`, "--all"},
		{"keepalived", "that asks", func(w *ward) { w.write("keepalived.conf", `script "/usr/bin/joolctl ready blue --vrrp a"`) }, OK, "asks", ""},

		{"files", "good", func(*ward) {}, OK, "are good", ""},
		{"files", "bad", func(w *ward) { w.change(`"reuseaddr": 1`, `"reuseaddr": 2`) }, Fail, "reuseaddr: 2 is out of range", "write 0 or 1"},
		{"files", "unwise", func(w *ward) { w.change(`"reuseaddr": 1`, `"reuseaddr": 0`) }, Warn, "reuseaddr: 0", "write 1"},
		{"instance", "no namespace", func(w *ward) { w.write("blue.modsocket.json", `{"namespace": "joolctl-none"}`) }, Fail, `namespace "joolctl-none" does not exist`, "ip netns add"},
		{"instance", "no module", func(*ward) {}, Fail, "not loaded", "modprobe jool"},
		{"interface", "up", func(*ward) {}, OK, "sync is up", ""},
		{"interface", "missing", func(w *ward) { w.change(`"sync"`, `"other"`) }, Fail, `in interface "other"`, "ip link"},
		{"interface", "of an address that is missing", func(w *ward) { w.change(`"sync"`, `"fd64::9"`) }, Fail, "fd64::9", "ip link"},
		{"interface", "by its address", func(w *ward) { w.change(`"sync"`, `"fd64::1"`) }, OK, "sync is up", ""},
		{"interface", "down", ip("link set sync down"), Fail, "sync is down", "link set sync up"},
		{"interface", "not named", func(w *ward) { w.change(`"in interface": "sync", `, ``) }, Warn, "the kernel chooses", `write "in interface"`},
		{"vrf", "none", func(*ward) {}, OK, "belongs to no VRF", ""},
		{"source-address", "there", func(*ward) {}, OK, "fd64::1", ""},
		{"source-address", "missing", func(w *ward) {
			w.change("ff08::db8:64:64", "233.252.0.64")
			nstest.IP(w.t, w.ns, "address del 10.64.0.1/24 dev sync")
		}, Fail, "no IPv4 address", "ip address add"},
		{"routes", "to all", unicast("fd64::2", true), OK, "fd64::2 is reached from [fd64::1]", ""},
		{"routes", "none", unicast("fd99::2", true), Fail, "no way to the peer fd99::2", "ip route get fd99::2"},
		{"routes", "to a peer that is not heard", unicast("fd64::2", false), Warn, "was not heard", "joolctl status"},
		{"port", "of unicast", func(w *ward) {
			unicast("fd64::2", true)(w)
			w.bind("[fd64::1]:6465")
		}, OK, ":: port 6464", ""},
		{"hop-limit", "1, nobody is far", running(supervisor.Row{Peers: []supervisor.Peer{{Address: "fd64::2"}, {Address: "fe80::2"}}}), OK, "on the link", ""},
		{"hop-limit", "1, and a peer is far", running(supervisor.Row{Peers: []supervisor.Peer{{Address: "fd65::2"}}}), Warn, "fd65::2 is not on the link", `larger "ttl"`},
		{"hop-limit", "0", func(w *ward) { w.change(`"reuseaddr"`, `"ttl": 0, "reuseaddr"`) }, Fail, "no datagram leaves", `"ttl": 1`},
		{"membership", "none", running(supervisor.Row{}), Fail, "no socket is a member", "joolctl restart blue"},
		{"membership", "of IPv6", func(w *ward) {
			running(supervisor.Row{})(w)
			nstest.IP(w.t, w.ns, "address add ff08::db8:64:64/128 dev sync autojoin")
		}, OK, "a socket is a member", ""},
		{"membership", "of IPv4", func(w *ward) {
			w.change("ff08::db8:64:64", "233.252.0.64")
			running(supervisor.Row{})(w)
			nstest.IP(w.t, w.ns, "address add 233.252.0.64/32 dev sync autojoin")
		}, OK, "a socket is a member", ""},
		{"snooping", "no bridge", func(*ward) {}, OK, "not part of a bridge", ""},
		{"snooping", "a port of a bridge", ip("link add bridge0 type bridge mcast_snooping 1", "link set sync master bridge0"), Warn, "bridge bridge0 snoops", "mcast_querier 1"},
		{"snooping", "a bridge", func(w *ward) {
			nstest.IP(w.t, w.ns, "link set sync name port", "link add sync type bridge mcast_snooping 1", "link set sync up")
		}, Warn, "bridge sync snoops", "mcast_querier 1"},
		{"snooping", "with a querier", ip("link add bridge0 type bridge mcast_snooping 1 mcast_querier 1", "link set sync master bridge0"), OK, "queries", ""},
		{"snooping", "off", ip("link add bridge0 type bridge mcast_snooping 0", "link set sync master bridge0"), OK, "does not snoop", ""},
		{"port", "free", func(*ward) {}, OK, "no other program", ""},
		{"port", "of another port", func(w *ward) { w.bind("[ff08::db8:64:64]:6465") }, OK, "no other program", ""},
		{"buffers", "small", func(w *ward) {
			running(supervisor.Row{})(w)
			w.supervise()
			w.bind("[ff08::db8:64:64]:6464")
		}, Warn, "16777216 are configured", "CAP_NET_ADMIN"},
		{"buffers", "as configured", func(w *ward) {
			w.change(`"reuseaddr"`, `"receive buffer": 4096, "reuseaddr"`)
			running(supervisor.Row{})(w)
			w.supervise()
			w.bind("[ff08::db8:64:64]:6464")
		}, OK, "a receive buffer of ", ""},
		{"buffers", "of a worker without a socket", func(w *ward) {
			running(supervisor.Row{})(w)
			w.supervise()
		}, Warn, "no network socket of this pair", "joolctl restart blue"},
		{"firewall", "none", func(*ward) {}, OK, "arrives", ""},
		{"firewall", "none, IPv4", func(w *ward) { w.change("ff08::db8:64:64", "233.252.0.64") }, OK, "arrives", ""},
		{"firewall", "none, a group of the link", func(w *ward) { w.change("ff08::db8:64:64", "ff02::64") }, OK, "arrives", ""},
		{"firewall", "drops", func(w *ward) {
			w.command("nft", "add table inet f; add chain inet f i { type filter hook input priority 0; }; add rule inet f i udp dport 6464 drop")
		}, Fail, "a firewall drops it", "udp dport 6464 accept"},
		{"firewall", "rejects what is sent", func(w *ward) {
			w.command("nft", "add table inet f; add chain inet f o { type filter hook output priority 0; }; add rule inet f o udp dport 6464 reject")
		}, Fail, "cannot be sent", "nft list ruleset"},
		{"firewall", "with an address that cannot send yet", func(w *ward) {
			w.command("sysctl", "-w", "net.ipv6.conf.sync.accept_dad=1", "net.ipv6.conf.sync.dad_transmits=100")
			nstest.IP(w.t, w.ns, "address flush dev sync", "address add fd64::9/64 dev sync")
		}, Warn, "no address of sync can send yet", "tentative"},
		{"keys", "none", func(*ward) {}, Warn, "clear", "genkey"},
		{"keys", "good", key("require", time.Hour), OK, "1 key", ""},
		{"keys", "old", key("require", 2*oldKey), Warn, "730 days", "genkey 2"},
		{"keys", "accepts", key("accept", time.Hour), Warn, "clear datagrams are taken", `"require"`},
		{"worker", "failed", func(w *ward) { w.run(supervisor.Row{State: supervisor.Failed, Reason: "why"}) }, Fail, "has failed: why", ""},
		{"worker", "waiting", func(w *ward) { w.run(supervisor.Row{State: supervisor.Waiting, Reason: "why"}) }, Fail, "waiting: why", ""},
		{"worker", "without the pair", func(w *ward) { w.status = &supervisor.Status{Directory: w.options.Dir} }, Warn, "no worker", "joolctl reload"},
		{"worker", "with losses", running(supervisor.Row{LostSessions: 3}), Warn, "3 sessions", "joolctl status"},
		{"worker", "good", running(supervisor.Row{}), OK, "runs since", ""},
		{"settings", "slow", running(supervisor.Row{Exposure: &supervisor.Exposure{AtMostSeconds: 2, Remedy: "tune"}}), Warn, "2s at most", "tune"},
		{"settings", "fast", running(supervisor.Row{Exposure: &supervisor.Exposure{AtMostSeconds: 0.008}}), OK, "8ms at most", ""},
		{"peers", "none", running(supervisor.Row{}), Warn, "no peer was heard", "another host"},
		{"peers", "silent", running(supervisor.Row{Peers: []supervisor.Peer{{Address: "fd64::2", LastHeardSeconds: 60}}}), Warn, "1m0s ago, and is not live", "joolctl status"},
		{"peers", "live", running(supervisor.Row{Peers: []supervisor.Peer{{Address: "fd64::2", LastHeardSeconds: 1, Live: true}}}), OK, "fd64::2 was heard 1s ago", ""},
	} {
		t.Run(c.check+"/"+c.name, func(t *testing.T) {
			w := newWard(t)
			w.t = t
			c.fault(w)
			r := Run(t.Context(), w.options)
			found := find(r, c.check)
			is := func(f Finding) bool {
				return f.Level == c.level && strings.Contains(f.Observed, c.observed) && strings.Contains(f.Remedy, c.remedy)
			}
			if !slices.ContainsFunc(found, is) {
				t.Errorf("want %s %q %q, got %+v", c.level, c.observed, c.remedy, found)
			}
			if c.level == OK && len(found) != 1 {
				t.Errorf("further findings: %+v", found)
			}
			if r.Healthy != !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Fail }) {
				t.Errorf("healthy: %v", r.Healthy)
			}
		})
	}
}

// tool makes a program "jool" that runs a command.
func (w *ward) tool(command string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jool"), []byte("#!/bin/sh\n"+command+"\n"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestOtherProgram finds a program of another process that has the group and the port.
func TestOtherProgram(t *testing.T) {
	w := newWard(t)
	cmd := exec.Command("ip", "netns", "exec", w.ns, os.Args[0], "-test.run", "^TestHolder$")
	cmd.Env = append(os.Environ(), "JOOLCTL_DOCTOR_HOLD=[ff08::db8:64:64]:6464")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 1)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	found := find(Run(t.Context(), w.options), "port")
	in.Close()
	_ = cmd.Wait()
	if len(found) != 1 || found[0].Level != Warn || !strings.Contains(found[0].Observed, fmt.Sprintf("doctor.test (%d)", cmd.Process.Pid)) {
		t.Errorf("%+v", found)
	}
}

// TestHolder is the other program of TestOtherProgram.
func TestHolder(t *testing.T) {
	if os.Getenv("JOOLCTL_DOCTOR_HOLD") == "" {
		t.Skip("it is for TestOtherProgram")
	}
	hold()
}

// hold has a UDP socket until its standard input ends.
func hold() {
	address := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(os.Getenv("JOOLCTL_DOCTOR_HOLD")))
	c, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp6", address.String())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Print(".")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// TestMembers reads the kernel's list of netlink sockets.
func TestMembers(t *testing.T) {
	const list = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
ffff8bf0c4e5d000 16  1234       00000008 0        0        0     2        0        4711
ffff8bf0c4e5d001 16  0          00000000 0        0        0     2        0        4712
ffff8bf0c4e5d002 0   1234       00000008 0        0        0     2        0        4713
ffff8bf0c4e5d003 16  99         0000000a 0        0        0     2        0        4714
`
	for group, want := range map[uint32][]uint64{1: nil, 2: {4714}, 4: {4711, 4714}, 33: nil, 0: nil} {
		var got []uint64
		for inode := range members([]byte(list), group) {
			got = append(got, inode)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("group %d: %v, want %v", group, got, want)
		}
	}
}

// TestProcAddress reads addresses as /proc/net/udp has them.
func TestProcAddress(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1940":                         "127.0.0.1:6464",
		"000008FF00000000B80D000064006400:1940": "[ff08::db8:64:64]:6464",
	} {
		if got, ok := parseProcAddress(text); !ok || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", ":", "01:02", "0100007F", "0100007F:x", "zz00007F:1940"} {
		if got, ok := parseProcAddress(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
