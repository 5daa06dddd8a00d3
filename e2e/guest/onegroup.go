package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/internal/fuzztest"
	"joolctl/syncwire"
)

// onSwitch puts J, K and further hosts on one link "sync", each by a port of its
// name on a bridge of a namespace that it returns. The hosts are made, with an
// instance "nat" each.
func (top *topology) onSwitch(t testing.TB, hosts ...string) (sw *namespace, made []*namespace) {
	t.Helper()
	made = newHosts(t, hosts...)
	return newSwitch(t, 0, append([]*namespace{top.j, top.k}, made...)...), made
}

// newHosts makes hosts with an instance "nat" each, and without a link.
func newHosts(t testing.TB, hosts ...string) []*namespace {
	t.Helper()
	loadLinks(t)
	id := topologies.Add(1)
	var names []string
	for _, h := range hosts {
		names = append(names, fmt.Sprintf("t%d-%s", id, h))
	}
	made := newNamespaces(t, names...)
	for _, n := range made {
		n.ip(t, "link set lo up")
		addInstance(t, n, natInstance)
	}
	return made
}

// newSwitch makes a namespace with a bridge, and plugs the hosts in, the first one as the host of the given place. A host
// loses the link "sync" that it has.
func newSwitch(t testing.TB, place int, hosts ...*namespace) *namespace {
	t.Helper()
	sw := newNamespaces(t, fmt.Sprintf("t%d-group", topologies.Add(1)))[0]
	sw.ip(t, "link add sync type bridge mcast_snooping 0\nlink set sync up")
	for i, n := range hosts {
		if n.hasLink(t, syncLink) {
			n.ip(t, "link del "+syncLink)
		}
		n.plug(t, sw, place+i)
	}
	return sw
}

// plug gives the host of a place its link "sync", by a port of the switch sw.
func (n *namespace) plug(t testing.TB, sw *namespace, place int) {
	t.Helper()
	port := fmt.Sprintf("port%d", place)
	ip(t, fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", syncLink, n.name, port, sw.name))
	sw.ip(t, fmt.Sprintf("link set %s master sync up", port))
	n.ip(t, fmt.Sprintf("address add 2001:db8:ff08::%d/96 dev %s nodad\naddress add 198.51.100.%[1]d/24 dev %[2]s\nlink set %[2]s up", 4+place, syncLink))
}

// openGroup opens a socket that sends to a group by a namespace's link "sync".
func (n *namespace) openGroup(t testing.TB, group string) net.Conn {
	t.Helper()
	onLink := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), syncLink) })
		return errors.Join(err, bound)
	}}
	var c net.Conn
	n.do(t, func() (err error) {
		c, err = onLink.DialContext(t.Context(), "udp", net.JoinHostPort(group, strconv.Itoa(groupPort)))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// forged returns a control message or a trailer of a sender that does not exist, to another such sender or to a real
// one. Most have changed or missing bytes. None contains a session that a kernel could store.
func forged(r *rand.Rand, known []syncwire.ID) []byte {
	of := syncwire.ID(1 + r.Uint32N(100))
	id := func() syncwire.ID {
		if r.IntN(2) == 0 {
			return known[r.IntN(len(known))]
		}
		return syncwire.ID(r.Uint32())
	}
	ranges := make([]syncwire.Range, 1+r.IntN(syncwire.MaxRanges))
	for i := range ranges {
		from := r.Uint32()
		ranges[i] = syncwire.Range{From: from, To: from + r.Uint32()>>r.IntN(32)}
	}
	settings := syncwire.Settings{Pool6: netip.MustParsePrefix(pool6), TTLs: [4]uint32{1 << 20, 1 << 20, 1 << 20, 1 << 20}}
	var body syncwire.Body
	switch r.IntN(8) {
	case 0:
		body = &syncwire.Hello{Asks: true, Sync: syncwire.SyncYes, Sessions: r.Uint32(), Module: r.Uint32(), Settings: settings, Software: strings.Repeat("x", r.IntN(33))}
	case 1:
		body = &syncwire.Solicit{To: id()}
	case 2:
		body = &syncwire.Nack{To: id(), FullSync: r.Uint32() >> r.IntN(32), Ranges: ranges}
	case 3:
		body = &syncwire.Begin{FullSync: r.Uint32N(8), Audience: []syncwire.ID{id(), id()}, Sessions: r.Uint32() >> r.IntN(32), Settings: settings}
	case 4:
		records := make([]byte, syncwire.RecordLen*(1+r.IntN(syncwire.MaxBulk)))
		for i := range records {
			records[i] = 0xff // no protocol, no state
		}
		body = &syncwire.Bulk{FullSync: r.Uint32N(8), Index: r.Uint32() >> r.IntN(32), Records: records}
	case 5:
		body = &syncwire.End{FullSync: r.Uint32N(8), Sessions: r.Uint32(), Bulks: r.Uint32()}
	case 6:
		body = &syncwire.Gone{To: id(), FullSync: r.Uint32() >> r.IntN(32), Ranges: ranges}
	case 7:
		return mutated(r, syncwire.Trailer{Kind: syncwire.Kind(r.IntN(4)), Sender: of, Seq: syncwire.Seq(r.Uint32())}.Append(nil))
	}
	return mutated(r, syncwire.Message{Sender: of, Last: syncwire.Seq(r.Uint32()), Body: body}.Append(nil))
}

// mutated is b with up to three bytes changed behind the first two, and perhaps some cut off.
func mutated(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range r.IntN(4) {
		b[2+r.IntN(len(b)-2)] = byte(r.Uint32())
	}
	if r.IntN(4) == 0 {
		b = b[:2+r.IntN(len(b)-1)]
	}
	return b
}

// keptControls returns the inputs that fuzzing of syncwire has kept, without those that upstream's joolds would give to
// their kernels, because these joolds check nothing.
func keptControls(t testing.TB) (controls [][]byte) {
	t.Helper()
	for _, b := range fuzztest.Kept(t, Kept+"/*/*", 1) {
		if len(b) > 2 && b[0] == 0 && b[1] == 0 {
			controls = append(controls, b)
		}
	}
	const least = 50
	if len(controls) < least {
		t.Fatalf("%d inputs are kept, want %d at least", len(controls), least)
	}
	return controls
}
