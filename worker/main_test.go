package worker

import (
	"flag"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/session"
	"joolctl/worker/workertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "8") // most tests wait most of the time
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for an expected event before it fails.
const patience = workertest.Patience

const (
	jool419  joolnl.Version = 0x04010900
	jool4112 joolnl.Version = 0x04010c00
	jool4115 joolnl.Version = 0x04010f00
)

var (
	group6 = netip.MustParseAddr("ff08::db8:64:64")
	group4 = netip.MustParseAddr("239.64.64.64")
)

const port = 6464

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	within(t, patience, what, holds)
}

// within is eventually with another time limit.
func within(t testing.TB, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	await.Within(t, patience, what, holds)
}

// entries returns n sessions in the format of a version of Jool. Their ports and addresses are numbered, beginning with first.
func entries(t testing.TB, v joolnl.Version, first, n int) []byte {
	t.Helper()
	return inFormat(t, v.Format(), first, n)
}

func inFormat(t testing.TB, f session.Format, first, n int) []byte {
	t.Helper()
	var b []byte
	for i := first; i < first+n; i++ {
		dst4 := [4]byte{192, 0, 2, byte(i)}
		dst6 := [16]byte{0, 0x64, 0xff, 0x9b, 12: 192, 13: 0, 14: 2, 15: byte(i)}
		var err error
		b, err = f.Append(b, session.Session{
			Proto:   session.UDP,
			Src6:    netip.AddrPortFrom(netip.MustParseAddr("2001:db8::8"), uint16(i)),
			Dst6:    netip.AddrPortFrom(netip.AddrFrom16(dst6), 53),
			Src4:    netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(i)),
			Dst4:    netip.AddrPortFrom(netip.AddrFrom4(dst4), 53),
			Expires: 5 * time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// hosts joins two namespaces by a veth that is called "sync" in both, with the
// addresses fd64::1 and 10.64.0.1 in a, and those that end in 2 in b.
func hosts(t testing.TB) (a, b string) {
	t.Helper()
	a, b = nstest.New(t), nstest.New(t)
	nstest.Veth(t,
		nstest.End{Namespace: a, Name: "sync", Addrs: []string{"fd64::1/64", "10.64.0.1/24"}},
		nstest.End{Namespace: b, Name: "sync", Addrs: []string{"fd64::2/64", "10.64.0.2/24"}})
	return a, b
}

// specFor returns the spec of a pair whose instance and network socket are in a namespace.
func specFor(ns string, group netip.Addr) configdir.Spec {
	return configdir.Spec{
		Name: "pair", Group: group, Port: port, InInterface: "sync", OutInterface: "sync", TTL: 1,
		ReceiveBuffer: 1 << 20, NetNamespace: ns, Instance: "nat", Namespace: ns,
	}
}

// bothFamilies runs a test with an IPv6 and an IPv4 group.
func bothFamilies(t *testing.T, fn func(t *testing.T, group netip.Addr)) {
	t.Run("IPv6", func(t *testing.T) { fn(t, group6) })
	t.Run("IPv4", func(t *testing.T) { fn(t, group4) })
}

func countDir(t testing.TB, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
