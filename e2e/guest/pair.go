package guest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Multicast groups of the tests.
const (
	group6    = "ff08::db8:64:64"
	group4    = "233.252.0.64"
	groupPort = 6464
)

// pair is a netsocket and a modsocket file, as an operator writes them.
type pair struct {
	name          string
	namespace     string // "" leaves it to where the program runs
	instance      string
	group         string // "": there is none, but peers
	port          uint16
	peers         []string
	link          string // the value of both interface keys; "": the files do not have these keys
	statsPort     uint16 // 0: none
	enableSS      bool
	tuneSS        bool
	mtu           int
	receiveBuffer int  // 0: the default
	verifyPeriod  int  // in seconds; 0: the default
	ttl           int  // 0: 3
	plain         bool // upstream's bytes alone: neither retransmissions nor full syncs
	keyFile       string
	security      string // how the key file is used
}

// placed is a pair and the namespace that it is for.
type placed struct {
	pair
	in *namespace
}

// pairs are J's and K's for the instance "nat". An IPv4 group's interface is
// named by its address, an IPv6 group's by its name: C joold wants it so.
func (top *topology) pairs(group string) (j, k pair) {
	j = pair{name: top.j.name, instance: "nat", group: group, port: groupPort, link: syncLink}
	k = j
	k.name = top.k.name
	if netip.MustParseAddr(group).Is4() {
		j.link, k.link = syncJ, syncK
	}
	return j, k
}

// write writes the files and returns their names.
func (p pair) write(t testing.TB, dir string) (netsocket, modsocket string) {
	t.Helper()
	port := strconv.Itoa(int(p.port))
	net := map[string]any{"multicast address": p.group, "multicast port": port, "reuseaddr": 1, "ttl": cmp.Or(p.ttl, 3)}
	if p.group == "" {
		net = map[string]any{"peers": p.peers, "port": port, "reuseaddr": 1}
	}
	if p.link != "" {
		net["in interface"], net["out interface"] = p.link, p.link
	}
	if p.mtu != 0 {
		net["mtu"] = p.mtu
	}
	if p.receiveBuffer != 0 {
		net["receive buffer"] = p.receiveBuffer
	}
	mod := map[string]any{"instance": p.instance}
	if p.namespace != "" {
		mod["namespace"] = p.namespace
	}
	if p.statsPort != 0 {
		mod["stats port"] = strconv.Itoa(int(p.statsPort))
	}
	if p.verifyPeriod != 0 {
		net["verify period"] = p.verifyPeriod
	}
	if p.plain {
		net["sequence"] = false
	}
	if p.keyFile != "" {
		net["key file"], net["security"] = p.keyFile, p.security
	}
	if p.enableSS {
		mod["enable ss"] = true
	}
	if p.tuneSS {
		mod["tune ss"] = true
	}
	netsocket, modsocket = p.files(dir)
	writeJSON(t, netsocket, net)
	writeJSON(t, modsocket, mod)
	return netsocket, modsocket
}

// files are the names of its files.
func (p pair) files(dir string) (netsocket, modsocket string) {
	return filepath.Join(dir, p.name+".netsocket.json"), filepath.Join(dir, p.name+".modsocket.json")
}

func writeJSON(t testing.TB, file string, value any) {
	t.Helper()
	b, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// listensWithin is how long a program may take to listen.
const listensWithin = 20 * time.Second

// awaitListening waits until one of the processes listens both to a group on the port and to the kernel, with sockets of
// its own in the namespace. All of them have to run meanwhile.
func (n *namespace) awaitListening(t testing.TB, group string, port uint16, processes ...*process) {
	t.Helper()
	udp, members := "udp6", "igmp6"
	if netip.MustParseAddr(group).Is4() {
		udp, members = "udp", "igmp"
	}
	eventually(t, listensWithin, n.name+" listens", func() string {
		if joined := n.proc(t, members); !strings.Contains(joined, procAddress(group)) {
			return "the group is not joined:\n" + joined
		}
		sockets, reports := n.proc(t, udp), n.proc(t, "netlink")
		for _, p := range processes {
			p.running(t)
			if p.hasOne(portSockets(sockets, port)) && p.hasOne(kernelListeners(reports)) {
				return ""
			}
		}
		return fmt.Sprintf("no process has a socket on port %d and one that listens to the kernel:\n%s%s", port, sockets, reports)
	})
}

// procAddress is an address in the spelling of /proc/net/igmp or igmp6.
func procAddress(addr string) string {
	a := netip.MustParseAddr(addr)
	b := a.AsSlice()
	if a.Is4() {
		b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
		return fmt.Sprintf("%X", b)
	}
	return fmt.Sprintf("%x", b)
}

// portSockets are the inodes of the sockets on a port, in the text of /proc/net/udp or udp6.
func portSockets(text string, port uint16) (inodes []string) {
	local := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // sl, local address, remote address, st, queues, timer, retransmissions, uid, timeout, inode, …
		if len(f) > 9 && strings.HasSuffix(f[1], local) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// queuedOnPort is how many bytes wait in the receive buffers of the sockets on a port, in the text of /proc/net/udp or udp6.
func queuedOnPort(text string, port uint16) (bytes uint64) {
	local := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // sl, local address, remote address, st, queues, …
		if len(f) > 4 && strings.HasSuffix(f[1], local) {
			_, receive, _ := strings.Cut(f[4], ":")
			n, _ := strconv.ParseUint(receive, 16, 64) // the kernel writes hexadecimal digits
			bytes += n
		}
	}
	return bytes
}

// kernelListeners are the inodes of the generic netlink sockets that have joined a group, in /proc/net/netlink's text.
func kernelListeners(text string) (inodes []string) {
	const generic = "16"
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // sk, protocol, port, groups, rmem, wmem, dump, locks, drops, inode
		if len(f) > 9 && f[1] == generic && strings.Trim(f[3], "0") != "" {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

// netlinkDrops is how many multicasts the namespace's generic netlink sockets had no room for.
func (n *namespace) netlinkDrops(t testing.TB) (drops int) {
	t.Helper()
	for line := range strings.Lines(n.proc(t, "netlink")) {
		f := strings.Fields(line) // sk, protocol, port, groups, rmem, wmem, dump, locks, drops, inode
		if len(f) > 8 && f[1] == "16" {
			d, err := strconv.Atoi(f[8])
			if err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			drops += d
		}
	}
	return drops
}
