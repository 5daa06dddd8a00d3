package worker

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

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
	bed      *testbed
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
func newHost(t testing.TB, spec configdir.Spec) *host {
	t.Helper()
	h := &host{t: t, kernel: workertest.NewKernel(jool4115), pool: nsthread.NewPool()}
	h.instance = h.kernel.Add(t, spec.Namespace, spec.Instance)
	h.init(spec)
	return h
}

// of changes the version of the module before the start.
func (h *host) of(v joolnl.Version) *host {
	h.kernel.SetVersion(v)
	return h
}

// keyed gives the host keys before it starts.
func (h *host) keyed(mode configdir.Security, keys ...seal.Key) *host {
	h.current.Security, h.current.Keys, h.current.KeyFile = mode, seal.NewKeys(keys...), "blue.key"
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

// init gives the host a worker, with the counters of the one before.
func (h *host) init(spec configdir.Spec) {
	log := slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: &h.level}))
	h.events = eventlog.New(time.Now())
	h.Worker = New(spec, Env{Threads: h.pool, Kernel: h.kernel, Log: log, EventLog: h.events, Claims: NewClaims()}, &h.counters)
}

// restart starts the next worker after stop.
func (h *host) restart() *host {
	h.t.Helper()
	h.init(h.spec())
	return h.start()
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
	p := h.pumps()
	if p == nil {
		return
	}
	_ = p.thread.Do(func() { // fails if the worker has just ended
		if p.conn != nil && len(p.failed) == 0 {
			p.accounted(h.t)
		}
	})
}

func (p *pumps) accounted(t testing.TB) {
	t.Helper()
	if came, went := p.audit.Received(p.tally()); came != went {
		c := p.w.counters
		t.Errorf("%d sessions came in, %d are accounted for: %+v, %d untranslated, %d wait", came, went, c.Ledger(), c.Losses().Untranslated, p.host.Pending())
	}
}

// pumps returns the running worker; nil if it does not run.
func (h *host) pumps() *pumps {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running
}

// onThread calls fn on the worker's thread. A panic in fn does not end the worker.
func (h *host) onThread(fn func(p *pumps)) {
	h.t.Helper()
	p := h.pumps()
	if err := p.thread.Do(func() { fn(p) }); err != nil {
		h.t.Fatal(err)
	}
}

// blocked keeps the worker's thread busy while fn runs. The worker then reads the datagrams that fn has sent in one batch.
func (h *host) blocked(fn func()) {
	h.t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	if err := h.pumps().thread.Post(func() { close(entered); <-leave }); err != nil {
		h.t.Fatal(err)
	}
	<-entered
	defer close(leave)
	fn()
}

// reconfigure changes the spec of a running worker.
func (h *host) reconfigure(change func(*configdir.Spec)) {
	h.t.Helper()
	spec := h.spec()
	change(&spec)
	if err := h.Reconfigure(spec); err != nil {
		h.t.Fatal(err)
	}
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

// gate makes the module answer requests for its sessions only while the gate is unlocked. The worker's thread waits for
// the answer. Call gate before start.
func (h *host) gate() *sync.Mutex {
	var gate sync.Mutex
	h.instance.Refuse = func(r workertest.Request) *joolnl.Error {
		if r.Op == joolnl.SessionForeach {
			gate.Lock()
			defer gate.Unlock()
		}
		return nil
	}
	return &gate
}

// refusing makes a module reply with an error to requests of a kind: it is for Instance.Refuse.
func refusing(op joolnl.Op, err *joolnl.Error) func(workertest.Request) *joolnl.Error {
	return func(r workertest.Request) *joolnl.Error {
		if r.Op != op {
			return nil
		}
		return err
	}
}

// report makes the module store and report sessions, as it does when it translates packets.
func (h *host) report(records ...session.Record) {
	h.t.Helper()
	h.instance.Sessions.Put(records...)
	for len(records) > 0 {
		n := min(36, len(records))
		var list []byte
		for i := range records[:n] {
			var err error
			if list, err = h.running.format.AppendRecord(list, &records[i], workertest.Pool6); err != nil {
				h.t.Fatal(err)
			}
		}
		if h.instance.Multicast(list) != 1 {
			h.t.Fatal("the worker does not receive the instance's multicasts")
		}
		records = records[n:]
	}
}

// synced waits until the worker says that its table is complete, and returns the report of its last full sync.
func (h *host) synced() replication.SyncReport {
	h.t.Helper()
	within(h.t, 4*patience, "the table is complete", func() bool {
		s := h.Sync()
		return s.Synced == syncwire.SyncYes && s.Phase == ""
	})
	if last := h.Sync().Last; last != nil {
		return *last
	}
	return replication.SyncReport{} // no full sync was necessary
}

// complete waits until the host is complete.
func (h *host) complete() {
	h.t.Helper()
	within(h.t, 2*patience, "the host is complete", func() bool { s := h.Sync(); return s.Synced == syncwire.SyncYes && s.complete() })
}

// has reports whether a host's table has all of these sessions.
func (h *host) has(records []session.Record) bool {
	for i := range records {
		if _, there := h.instance.Sessions.Get(records[i].Key()); !there {
			return false
		}
	}
	return true
}

// alone waits until the worker says that it has no live peer.
func (h *host) alone() {
	h.t.Helper()
	eventually(h.t, "the host is alone", func() bool { return h.Sync().Synced == syncwire.SyncAlone })
}
