package guest

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/docstest"
)

// Addresses of docs/five-minutes.md. Cables join the two machines; B's machine also has the network with the clients and servers.
const (
	pageHostA4, pageHostA6 = "192.0.2.10", "2001:db8::a"
	pageHostB4, pageHostB6 = "192.0.2.11", "2001:db8::b"
	pageClient, pageServer = "2001:db8::8", "192.0.2.8"
	pageServer6            = "64:ff9b::192.0.2.8" // as the client sees the server
)

// Sections of docs/five-minutes.md, each with its number of blocks of commands.
var pageSections = []struct {
	heading string
	blocks  int
}{{"1. Install", 1}, {"2. Set the NAT64 up", 1}, {"3. Synchronise", 1}, {"4. Start", 2}, {"5. Pull the plug", 3}}

// page runs blocks of docs/five-minutes.md on one host.
type page struct {
	t      *testing.T
	dir    string // of the shell
	blocks map[string][]docstest.Block
}

// newPage reads the page, and puts the package where the shell is.
func newPage(t *testing.T) page {
	t.Helper()
	docstest.Root = Documentation
	p := page{t: t, dir: t.TempDir(), blocks: make(map[string][]docstest.Block)}
	download(t, "new", p.dir)
	for _, b := range docstest.Blocks(t, "sh") {
		if filepath.Base(b.File) == "five-minutes.md" {
			p.blocks[b.Heading] = append(p.blocks[b.Heading], b)
		}
	}
	for _, s := range pageSections {
		if got := len(p.blocks[s.heading]); got != s.blocks {
			t.Fatalf("section %q has %d blocks of commands; this test knows %d", s.heading, got, s.blocks)
		}
	}
	if len(p.blocks) != len(pageSections) {
		t.Fatalf("the page has %d sections with commands; this test knows %d", len(p.blocks), len(pageSections))
	}
	return p
}

// setUp runs the sections for both hosts, and returns once the host has all sessions of the other one.
func (p page) setUp() {
	p.t.Helper()
	for _, s := range pageSections[:4] {
		for _, b := range p.blocks[s.heading] {
			typeBlock(p.t, p.dir, b)
		}
	}
}

// TestFiveMinutesA is host A of docs/five-minutes.md.
func TestFiveMinutesA(t *testing.T) {
	enter(t, "five minutes, A")
	service{pairs: 1}.logOnFailure(t)
	p := newPage(t)
	run(t, "modprobe", "virtio_net")
	ip(t, fmt.Sprintf("address add %s/24 dev eth0\naddress add %s/64 dev eth0 nodad\nlink set eth0 up\nlink set eth1 up", pageHostA4, pageHostA6))
	told, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", pageHostA4, donePort))
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	p.setUp()
	awaitTold(t, told, plugIsBack)
	typeBlock(t, p.dir, p.blocks["4. Start"][1])
}

// plugIsBack is the line that B's test prints for A's.
const plugIsBack = "the plug is back"

// TestFiveMinutesB is host B of docs/five-minutes.md, and the router, the client and the server.
func TestFiveMinutesB(t *testing.T) {
	enter(t, "five minutes, B")
	service{pairs: 1}.logOnFailure(t)
	p := newPage(t)
	network := pageNetwork(t)
	p.setUp()
	plug := p.blocks["5. Pull the plug"]
	network.typeBlock(t, p.dir, plug[0])
	server, client := network.connect(t)
	defer server.Close()
	defer client.Close()
	exchange(t, client, server)
	eventually(t, syncedWithin, "B's module has the connection's session", func() string {
		if out := run(t, "jool", "-i", "nat", "session", "display", "--csv", "--no-headers"); strings.Contains(out, pageClient) {
			return ""
		}
		return "it has none"
	})
	network.pullPlugs(t, portDisabled)
	network.typeBlock(t, p.dir, plug[1])
	exchange(t, client, server)
	eventually(t, repairedWithin, "B knows that it is alone", func() string {
		_, code := command(t, packaged, "ready", "nat")
		return map[bool]string{true: "ready says yes"}[code == exitOK]
	})
	typeBlock(t, p.dir, plug[2])
	network.pullPlugs(t, portForwarding)
	typeBlock(t, p.dir, p.blocks["4. Start"][1])
	network.tellAt(t, pageHostA4, plugIsBack)
}

// pageNetwork is a namespace with the router, the client and the server. Its bridges join the cables to links of the host's.
func pageNetwork(t *testing.T) *namespace {
	t.Helper()
	run(t, "modprobe", "-a", "virtio_net", "bridge", "veth")
	n := newNamespaces(t, "network")[0]
	ip(t, `
link set eth0 netns network name cable0
link set eth1 netns network name cable1
link add eth0 type veth peer name host0 netns network
link add eth1 type veth peer name host1 netns network
`)
	n.ip(t, fmt.Sprintf(`
link set lo up
link add net type bridge mcast_snooping 0
link add sync type bridge mcast_snooping 0
link set host0 master net up
link set cable0 master net up
link set host1 master sync up
link set cable1 master sync up
link set net up
link set sync up
address add %s/64 dev net nodad
address add %s/24 dev net
`, pageClient, pageServer))
	ip(t, fmt.Sprintf("address add %s/24 dev eth0\naddress add %s/64 dev eth0 nodad\nlink set eth0 up\nlink set eth1 up", pageHostB4, pageHostB6))
	return n
}

// pullPlugs sets the state of A's cables.
func (n *namespace) pullPlugs(t *testing.T, state byte) {
	t.Helper()
	n.do(t, func() error { return setPorts(state, "cable0", "cable1") })
}

// connect opens a TCP connection from the client through the NAT64 to the server.
func (n *namespace) connect(t *testing.T) (server, client net.Conn) {
	t.Helper()
	n.do(t, func() error {
		l, err := net.Listen("tcp4", net.JoinHostPort(pageServer, "80"))
		if err != nil {
			return err
		}
		defer l.Close()
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept() // a socket belongs to the namespace that made it
			accepted <- c
		}()
		d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.ParseIP(pageClient)}}
		if client, err = d.Dial("tcp6", net.JoinHostPort(pageServer6, "80")); err != nil {
			return err
		}
		server = <-accepted
		return nil
	})
	return server, client
}

// exchange sends a word both ways over a connection. TCP sends it again until it arrives.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	const word = "alive"
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := way[0].Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		if err := way[1].SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(word))
		for n := 0; n < len(got); {
			read, err := way[1].Read(got[n:])
			if err != nil {
				t.Fatalf("the connection is broken: %v", err)
			}
			n += read
		}
		if !slices.Equal(got, []byte(word)) {
			t.Fatalf("the connection says %q, want %q", got, word)
		}
	}
}
