package guest

import (
	"fmt"
	"sync/atomic"
	"testing"
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
)

// topology is two NAT64s between an IPv6 and an IPv4 host, each in a namespace of its own:
//
//	n6 --+-- e6 J e4 --+-- n4     J has the traffic
//	     |     sync    |          the link of the session synchronisation
//	     +-- e6 K e4 --+          K is its standby: same addresses, links down
//
// J and K have an instance "nat", which synchronises.
type topology struct {
	n6, j, k, n4 *namespace
}

var topologies atomic.Int32

// newTopology makes one, whose namespaces' names no other has.
func newTopology(t testing.TB) *topology {
	t.Helper()
	id := topologies.Add(1)
	make := func(role string) *namespace { return newNamespace(t, fmt.Sprintf("t%d-%s", id, role)) }
	top := &topology{n6: make("n6"), j: make("J"), k: make("K"), n4: make("n4")}
	top.wire(t, make("switch"))
	for _, n := range []*namespace{top.j, top.k} {
		n.sysctl(t, [2]string{"ipv4/conf/all/forwarding", "1"}, [2]string{"ipv6/conf/all/forwarding", "1"})
		addInstance(t, n, "nat", "--netfilter --pool6 "+pool6)
	}
	return top
}

// wire makes the links. J and K have the same hardware addresses where they
// stand in for each other, as VRRP does it.
func (top *topology) wire(t testing.TB, sw *namespace) {
	t.Helper()
	sw.ip(t, fmt.Sprintf(`
link add br6 type bridge mcast_snooping 0
link add br4 type bridge mcast_snooping 0
link set br6 up
link set br4 up
link add n6 type veth peer name e6 netns %[1]s
link add j6 type veth peer name e6 address 02:00:00:00:06:01 netns %[2]s
link add k6 type veth peer name e6 address 02:00:00:00:06:01 netns %[3]s
link add n4 type veth peer name e4 netns %[4]s
link add j4 type veth peer name e4 address 02:00:00:00:04:01 netns %[2]s
link add k4 type veth peer name e4 address 02:00:00:00:04:01 netns %[3]s
link set n6 master br6 up
link set j6 master br6 up
link set k6 master br6 up
link set n4 master br4 up
link set j4 master br4 up
link set k4 master br4 up
`, top.n6.name, top.j.name, top.k.name, top.n4.name))
	top.n6.ip(t, fmt.Sprintf(`
link set lo up
address add %s/96 dev e6 nodad
link set e6 up
route add %s via %s
`, addr6, pool6, gateway6))
	top.n4.ip(t, fmt.Sprintf(`
link set lo up
address add %s/24 dev e4
link set e4 up
`, addr4))
	top.j.ip(t, fmt.Sprintf("link add %s type veth peer name %[1]s netns %s", syncLink, top.k.name))
	nat64 := func(n *namespace, sync4, sync6, state string) {
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
	nat64(top.j, syncJ, syncJ6, "up")
	nat64(top.k, syncK, syncK6, "down")
}

// addInstance adds a synchronising instance with the topology's pool4.
func addInstance(t testing.TB, n *namespace, name, options string) {
	t.Helper()
	n.exec(t, "bash", "-ec", fmt.Sprintf(`jool instance add %[1]s %[2]s
for p in tcp udp icmp; do jool -i %[1]s pool4 add %[3]s %[4]s --$p; done
jool -i %[1]s global update ss-enabled true`, name, options, pool4, pool4Port))
}

// failOver ends J, all at once, and gives its place to K.
func (top *topology) failOver(t testing.TB) {
	t.Helper()
	top.j.ip(t, "link del e6\nlink del e4\nlink del "+syncLink)
	top.k.ip(t, "link set e6 up\nlink set e4 up")
}
