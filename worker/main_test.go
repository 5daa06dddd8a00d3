package worker

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/nsthread"
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

// logged collects a worker's log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	// panics, if not empty, is a text that makes the logger panic.
	panics string
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics != "" && bytes.Contains(b, []byte(l.panics)) {
		panic("the test's logger panics at: " + l.panics)
	}
	return l.text.Write(b)
}

// panicAt makes the logger panic at the next line that contains text.
func (l *logged) panicAt(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.panics = text
}

// count returns how many lines contain text.
func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// host is a worker in a namespace, with its simulated kernel, threads, counters and log.
type host struct {
	t        testing.TB
	kernel   *workertest.Kernel
	instance *workertest.Instance
	pool     *nsthread.Pool
	counters Counters
	log      logged
	level    slog.LevelVar
	events   *eventlog.Log
	*Worker
	cancel context.CancelFunc
	ended  chan error
}

// newHost returns a host whose worker has not been started.
func newHost(t testing.TB, v joolnl.Version, spec configdir.Spec) *host {
	t.Helper()
	k := workertest.NewKernel(v)
	h := &host{t: t, kernel: k, pool: nsthread.NewPool()}
	h.instance = k.Add(t, spec.Namespace, spec.Instance)
	h.init(spec)
	return h
}

// beside returns another host that shares the kernel and the threads.
func (h *host) beside(spec configdir.Spec) *host {
	h.t.Helper()
	other := &host{t: h.t, kernel: h.kernel, pool: h.pool}
	other.instance = h.kernel.Add(h.t, spec.Namespace, spec.Instance)
	other.init(spec)
	return other
}

func (h *host) init(spec configdir.Spec) {
	log := slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: &h.level}))
	h.events = eventlog.New(time.Now())
	h.Worker = New(spec, Env{Threads: h.pool, Kernel: h.kernel, Log: log, EventLog: h.events, Claims: NewClaims()}, &h.counters)
}

// start runs the worker until the end of the test, and waits until it is ready.
func (h *host) start() *host {
	h.t.Helper()
	if err := h.tryStart(); err != nil {
		h.t.Fatal(err)
	}
	return h
}

// tryStart is like start, but returns the error of a worker that ends before it is ready.
func (h *host) tryStart() error {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	h.cancel, h.ended = cancel, make(chan error, 1)
	go func() { h.ended <- h.Run(ctx, func() { close(ready) }) }()
	h.t.Cleanup(h.stop)
	select {
	case <-ready:
		return nil
	case err := <-h.ended:
		h.ended <- err
		if err == nil {
			h.t.Fatal("Run returned nil before it was ready")
		}
		return err
	case <-time.After(patience):
		h.t.Fatal("the worker did not get ready")
	}
	return nil
}

// stop checks the ledger, ends the worker and waits for its end.
func (h *host) stop() {
	h.t.Helper()
	h.accounted()
	h.cancel()
	h.end()
}

// accounted checks the ledger: a running worker has given each received session to the module, or has counted why not.
func (h *host) accounted() {
	h.t.Helper()
	h.mu.Lock()
	p := h.running
	h.mu.Unlock()
	if p == nil {
		return
	}
	_ = p.thread.Do(func() { // fails if the worker has just ended
		if p.conn == nil || len(p.failed) > 0 {
			return
		}
		l, losses := h.counters.Ledger(), h.counters.Losses()
		came, went := p.audit.Received(p.tally())
		if came != went {
			h.t.Errorf("%d sessions came in, %d are accounted for: %+v, %d untranslated, %d wait", came, went, l, losses.Untranslated, p.host.Pending())
		}
	})
}

// end waits for the end of the worker.
func (h *host) end() error {
	h.t.Helper()
	select {
	case err := <-h.ended:
		h.ended <- err
		return err
	case <-time.After(patience):
		h.t.Error("the worker did not end")
		return nil
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

// same compares the JOOLD_ADDs that an instance has received with the expected lists of sessions.
func same(t *testing.T, got []workertest.Request, want ...[]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d JOOLD_ADDs, want %d", len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i].Entries, want[i]) {
			t.Errorf("JOOLD_ADD %d:\n got %x\nwant %x", i, got[i].Entries, want[i])
		}
	}
}

// adds waits until the instance has received n JOOLD_ADDs, and returns them.
func (h *host) adds(n int) []workertest.Request {
	h.t.Helper()
	return h.instance.Wait(h.t, joolnl.JooldAdd, n)
}
