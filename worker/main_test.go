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

	"joolctl/internal/await"
	"joolctl/joolnl"
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

func countDir(t testing.TB, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
