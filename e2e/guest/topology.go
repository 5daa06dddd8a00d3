package guest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"joolctl/session"
)

// Addresses of a topology.
const (
	addr6     = "2001:db8::8"        // n6
	gateway6  = "2001:db8::1"        // the active NAT64's
	addr4     = "192.0.2.8"          // n4
	addr4in6  = "64:ff9b::192.0.2.8" // n4, as n6 sees it
	pool4     = "192.0.2.1"          // the active NAT64's
	syncJ     = "198.51.100.4"       // J's on the link "sync"
	syncK     = "198.51.100.5"       // K's
	syncJ6    = "2001:db8:ff08::4"   // J's
	syncK6    = "2001:db8:ff08::5"   // K's
	pool4Port = "61001-65535"        // off the namespace's ephemeral ports
	pool6     = "64:ff9b::/96"       // of the instance "nat"
	syncLink  = "sync"               // the interface's name in J and K
	mac6      = "02:00:00:00:06:01"  // the active NAT64's, towards n6
	mac4      = "02:00:00:00:04:01"  // towards n4
)

// topology is two NAT64s between an IPv6 and an IPv4 host, each in a namespace
// of its own:
//
//	n6 --+-- e6 J e4 --+-- n4     J has the traffic
//	     |     sync    |          the link of the session synchronisation
//	     +-- e6 K e4 --+          K is its standby: same addresses, links down
//
// J and K have an instance "nat", which synchronises.
type topology struct {
	n6, j, k, n4 *namespace
	sw           *namespace // where the links to n6 and n4 meet
	load
}

var (
	topologies atomic.Int32
	modprobe   sync.Once
)

// newTopology returns a new topology, whose namespaces have unique names.
func newTopology(t testing.TB) *topology {
	t.Helper()
	loadLinks(t)
	id := topologies.Add(1)
	name := func(role string) string { return fmt.Sprintf("t%d-%s", id, role) }
	made := newNamespaces(t, name("n6"), name("J"), name("K"), name("n4"), name("switch"))
	top := &topology{n6: made[0], j: made[1], k: made[2], n4: made[3], sw: made[4], load: load{sessions: map[session.Proto]int{}}}
	top.wire(t)
	for _, n := range []*namespace{top.j, top.k} {
		n.sysctl(t, [2]string{"ipv4/conf/all/forwarding", "1"}, [2]string{"ipv6/conf/all/forwarding", "1"})
		addInstance(t, n, natInstance)
	}
	return top
}

// loadLinks loads the kernel's modules for links. The kernel loads them by itself, but a request fails while it does.
func loadLinks(t testing.TB) {
	t.Helper()
	modprobe.Do(func() { run(t, "modprobe", "-a", "bridge", "veth") })
}

// wire makes the links. J and K have the same hardware addresses where they
// stand in for each other, as VRRP does it.
func (top *topology) wire(t testing.TB) {
	t.Helper()
	top.addLinks(t, top.sw.name)
	top.sw.ip(t, `
link set n6 master br6 up
link set j6 master br6 up
link set k6 master br6 up
link set n4 master br4 up
link set j4 master br4 up
link set k4 master br4 up
link set br6 up
link set br4 up
`)
	// Packets at full rate would overflow the queue of packets that wait for the neighbour's address.
	top.n6.ip(t, fmt.Sprintf(`
link set lo up
address add %s/96 dev e6 nodad
link set e6 up
route add %s via %s
neighbour add %[3]s lladdr %[4]s dev e6 nud permanent
`, addr6, pool6, gateway6, mac6))
	top.n4.ip(t, fmt.Sprintf(`
link set lo up
address add %s/24 dev e4
link set e4 up
`, addr4))
	top.addAddresses(t, top.j, syncJ, syncJ6, "up")
	top.addAddresses(t, top.k, syncK, syncK6, "down")
}

func (top *topology) addLinks(t testing.TB, sw string) {
	t.Helper()
	var b strings.Builder
	for _, bridge := range []string{"br6", "br4"} {
		fmt.Fprintf(&b, "link add %s netns %s type bridge mcast_snooping 0\n", bridge, sw)
	}
	for _, l := range []struct {
		port, name string
		host       *namespace
		mac        string
	}{
		{"n6", "e6", top.n6, ""}, {"j6", "e6", top.j, mac6}, {"k6", "e6", top.k, mac6},
		{"n4", "e4", top.n4, ""}, {"j4", "e4", top.j, mac4}, {"k4", "e4", top.k, mac4},
	} {
		address := ""
		if l.mac != "" {
			address = "address " + l.mac
		}
		fmt.Fprintf(&b, "link add %s netns %s %s type veth peer name %s netns %s\n", l.name, l.host.name, address, l.port, sw)
	}
	fmt.Fprintf(&b, "link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s\n", syncLink, top.j.name, top.k.name)
	ip(t, b.String())
}

// addAddresses gives a NAT64 its addresses. Its links to the hosts are brought
// to the given state, up or down.
func (top *topology) addAddresses(t testing.TB, n *namespace, sync4, sync6, state string) {
	t.Helper()
	n.ip(t, fmt.Sprintf(`
link set lo up
address add %s/96 dev e6 nodad
address add %s/24 dev e4
link set e6 %s
link set e4 %[3]s
address add %[4]s/24 dev %[5]s
address add %[6]s/96 dev %[5]s nodad
link set %[5]s up
`, gateway6, pool4, state, sync4, syncLink, sync6))
}

// instance is the configuration of an instance. Its pool4 is the topology's if the field is empty.
type instance struct {
	name, framework, pool6, pool4 string
}

// natInstance is the instance of a test's only NAT64 in a namespace.
var natInstance = instance{name: "nat", framework: "netfilter", pool6: pool6}

// replaceInstance replaces the instance "nat" by one whose table is empty.
func (n *namespace) replaceInstance(t testing.TB) {
	t.Helper()
	n.exec(t, "jool", "instance", "remove", "nat")
	addInstance(t, n, natInstance)
}

// addInstance adds an instance that synchronises.
func addInstance(t testing.TB, n *namespace, i instance) {
	t.Helper()
	addInstanceBy(t, "jool", n, i)
}

// addInstanceBy has a certain tool add it.
func addInstanceBy(t testing.TB, tool string, n *namespace, i instance) {
	t.Helper()
	var pool []map[string]string
	for _, protocol := range []string{"TCP", "UDP", "ICMP"} {
		pool = append(pool, map[string]string{"protocol": protocol, "prefix": cmp.Or(i.pool4, pool4) + "/32", "port range": pool4Port})
	}
	file := filepath.Join(t.TempDir(), i.name+".json")
	writeJSON(t, file, map[string]any{
		"instance": i.name, "framework": i.framework, "pool4": pool,
		"global": map[string]any{"pool6": i.pool6, "ss-enabled": true},
	})
	n.exec(t, tool, "file", "handle", file)
}

// failOver sets all links of J down, and those of K to the hosts up.
func (top *topology) failOver(t testing.TB) {
	t.Helper()
	top.j.ip(t, "link set e6 down\nlink set e4 down\nlink set "+syncLink+" down")
	top.k.ip(t, "link set e6 up\nlink set e4 up")
}
