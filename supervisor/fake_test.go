package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

// fleet makes fake workers and records their calls.
type fleet struct {
	mu sync.Mutex
	// runs maps an instance to the function that its workers run; without one, they run well.
	runs map[string]func(ctx context.Context, ready func()) error
	// reconfigures does the same for Reconfigure.
	reconfigures map[string]func(configdir.Spec) error
	// lacking maps an instance to the error of its probe.
	lacking   map[string]error
	kernel    func(ctx context.Context) (map[string]uint64, error)
	counters  func(ctx context.Context) (*joolnl.ModuleCounters, error)
	advertise func(ctx context.Context) error
	sync      func() worker.SyncState
	peers     func() []replication.PeerInfo
	follow    func() *worker.Follower
	// statsTaken are the ports that can't be opened.
	statsTaken map[uint16]bool
	statsOpen  map[uint16]func() worker.Stats
	made       []*fakeWorker
	log        []string
	active     map[key]int
	overlap    bool
	// stuck maps an instance to the state of its stuck loop; true: the loop is inside the kernel.
	stuck map[string]bool
}

func newFleet() *fleet {
	return &fleet{
		runs:         make(map[string]func(context.Context, func()) error),
		reconfigures: make(map[string]func(configdir.Spec) error),
		lacking:      make(map[string]error),
		statsTaken:   make(map[uint16]bool),
		statsOpen:    make(map[uint16]func() worker.Stats),
		active:       make(map[key]int),
		stuck:        make(map[string]bool),
	}
}

type fakeWorker struct {
	fleet    *fleet
	spec     configdir.Spec
	counters *worker.Counters
	turns    uint64
}

func (f *fleet) newWorker(spec configdir.Spec, counters *worker.Counters) Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &fakeWorker{fleet: f, spec: spec, counters: counters}
	f.made = append(f.made, w)
	return w
}

// note records an event, for tests of the order.
func (f *fleet) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf(format, args...))
}

// notes returns the events since the last call.
func (f *fleet) notes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

func (f *fleet) behave(instance string, run func(context.Context, func()) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[instance] = run
}

func (f *fleet) enter(k key, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active[k] += n
	f.overlap = f.overlap || f.active[k] > 1
}

func (w *fakeWorker) Run(ctx context.Context, ready func()) error {
	w.fleet.enter(keyOf(w.spec), 1)
	defer w.fleet.enter(keyOf(w.spec), -1)
	w.fleet.mu.Lock()
	run := w.fleet.runs[w.spec.Instance]
	w.fleet.mu.Unlock()
	if run != nil {
		return run(ctx, ready)
	}
	w.fleet.note("start %s/%s", w.spec.Name, w.spec.Instance)
	ready()
	<-ctx.Done()
	w.fleet.note("stop %s/%s", w.spec.Name, w.spec.Instance)
	return nil
}

func (w *fakeWorker) Reconfigure(spec configdir.Spec) error {
	w.fleet.mu.Lock()
	do := w.fleet.reconfigures[w.spec.Instance]
	w.fleet.mu.Unlock()
	if do != nil {
		if err := do(spec); err != nil {
			return err
		}
	}
	w.fleet.note("reconfigure %s/%s ttl %d", spec.Name, spec.Instance, spec.TTL)
	return nil
}

func (w *fakeWorker) Rename(string) {}
func (w *fakeWorker) Check()        { w.fleet.note("check %s/%s", w.spec.Name, w.spec.Instance) }
func (w *fakeWorker) Peers() []replication.PeerInfo {
	if w.fleet.peers != nil {
		return w.fleet.peers()
	}
	return nil
}
func (w *fakeWorker) ModuleVersion() string { return "4.1.13" }

func (w *fakeWorker) Sync() worker.SyncState {
	if w.fleet.sync != nil {
		return w.fleet.sync()
	}
	return worker.SyncState{Synced: syncwire.SyncAlone}
}

func (w *fakeWorker) KernelStats(ctx context.Context) (map[string]uint64, error) {
	if w.fleet.kernel != nil {
		return w.fleet.kernel(ctx)
	}
	return map[string]uint64{"JSTAT_JOOLD_SSS_ENOSPC": 3}, nil
}

func (w *fakeWorker) ModuleCounters(ctx context.Context) (*joolnl.ModuleCounters, error) {
	if w.fleet.counters != nil {
		return w.fleet.counters(ctx)
	}
	return new(joolnl.ModuleCounters), nil
}

func (w *fakeWorker) Advertise(ctx context.Context) (replication.Advertise, error) {
	if w.fleet.advertise != nil {
		return replication.Advertise{}, w.fleet.advertise(ctx)
	}
	return replication.Advertise{Total: 40000, Rate: 4000}, nil
}

func (w *fakeWorker) Follow() (*worker.Follower, error) {
	if w.fleet.follow != nil {
		return w.fleet.follow(), nil
	}
	return nil, worker.ErrNotRunning
}

// Turns returns a higher number at each call, unless the instance's loop is stuck.
func (w *fakeWorker) Turns() uint64 {
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	if _, stuck := w.fleet.stuck[w.spec.Instance]; !stuck {
		w.turns++
	}
	return w.turns
}

func (w *fakeWorker) InKernel() bool {
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	return w.fleet.stuck[w.spec.Instance]
}

// jam stops the loop of an instance's workers; release lets the loop continue.
func (f *fleet) jam(instance string, kernel bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck[instance] = kernel
}

func (f *fleet) release(instance string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.stuck, instance)
}

func (f *fleet) probe(spec configdir.Spec) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lacking[spec.Instance]
}

func (f *fleet) lack(instance string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lacking[instance] = err
}

type fakeStats struct {
	fleet *fleet
	port  uint16
}

func (s fakeStats) Close() {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	delete(s.fleet.statsOpen, s.port)
}

func (f *fleet) openStats(spec configdir.Spec, stats func() worker.Stats) (StatsServer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.statsTaken[spec.StatsPort] || f.statsOpen[spec.StatsPort] != nil {
		return nil, fmt.Errorf("stats server on port %d: address already in use", spec.StatsPort)
	}
	f.statsOpen[spec.StatsPort] = stats
	return fakeStats{f, spec.StatsPort}, nil
}

// rig is a supervisor for a directory, run inside a synctest bubble.
type rig struct {
	t     *testing.T
	dir   string
	fleet *fleet
	*Supervisor
	end  context.CancelFunc
	done chan error
	// moves are all changes of states. Run's goroutine appends to it: read it only while that goroutine waits.
	moves []transition
	// seen is the number of the last event that the method happened returned.
	seen uint64
}

// inBubble runs a test with a supervisor on fake time. fill writes the directory before the supervisor starts.
func inBubble(t *testing.T, fill func(dir string, f *fleet), test func(*rig)) {
	t.Helper()
	inBubbleWith(t, func(*Options) {}, fill, test)
}

// inBubbleWith is inBubble with changed options.
func inBubbleWith(t *testing.T, change func(*Options), fill func(dir string, f *fleet), test func(*rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		fill(dir, f)
		r := &rig{t: t, dir: dir, fleet: f, done: make(chan error, 1)}
		opt := Options{Dir: dir, Version: "1.2.3", NewWorker: f.newWorker, OpenStats: f.openStats, Probe: f.probe}
		change(&opt)
		r.Supervisor = New(opt)
		r.moved = func(from, to State) {
			r.moves = append(r.moves, transition{from: from, to: to})
			if !foreseen(from, to) {
				t.Errorf("a pair went from %q to %q", from, to)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.end = cancel
		go func() { r.done <- r.Run(ctx) }()
		synctest.Wait()
		test(r)
		cancel()
		if err := <-r.done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if f.overlap {
			t.Error("two workers served one instance at a time")
		}
	})
}

// status returns the status of all pairs.
func (r *rig) status() Status {
	r.t.Helper()
	status, err := r.Status(context.Background(), nil)
	if err != nil {
		r.t.Fatalf("Status: %v", err)
	}
	return status
}

// row returns the row of one pair.
func (r *rig) row(name string) Row {
	r.t.Helper()
	status, err := r.Status(context.Background(), []string{name})
	if err != nil {
		r.t.Fatalf("Status of %s: %v", name, err)
	}
	row := status.Workers[0]
	row.Rates = nil // the time window differs each time
	return row
}

// reload makes the supervisor read the directory again.
func (r *rig) reload() Reload {
	r.t.Helper()
	reload, err := r.Reload(context.Background())
	if err != nil {
		r.t.Fatalf("Reload: %v", err)
	}
	synctest.Wait()
	return reload
}

// files is the content of a pair's files.
type files struct {
	group     string // the last byte of the group's address
	instance  string
	namespace string
	link      string // "": the kernel chooses the interface
	ttl       int
	stats     int
	broken    bool
}

func write(t testing.TB, dir, name string, f files) {
	t.Helper()
	if f.group == "" {
		f.group = "1"
	}
	if f.ttl == 0 {
		f.ttl = 1
	}
	link := ""
	if f.link != "" {
		link = fmt.Sprintf(`, "in interface": %q, "out interface": %[1]q`, f.link)
	}
	net := fmt.Sprintf(`{"multicast address": "233.252.0.%s", "multicast port": "6464", "ttl": %d%s}`, f.group, f.ttl, link)
	if f.broken {
		net = `{"multicast adress": "233.252.0.1"}`
	}
	mod := fmt.Sprintf(`{"instance": %q`, f.instance)
	if f.namespace != "" {
		mod += fmt.Sprintf(`, "namespace": %q`, f.namespace)
	}
	if f.stats != 0 {
		mod += fmt.Sprintf(`, "stats port": %d`, f.stats)
	}
	for file, text := range map[string]string{"netsocket": net, "modsocket": mod + "}"} {
		if err := os.WriteFile(filepath.Join(dir, name+"."+file+".json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	for _, file := range []string{"netsocket", "modsocket"} {
		if err := os.Remove(filepath.Join(dir, name+"."+file+".json")); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t testing.TB, dir, from, to string) {
	t.Helper()
	for _, file := range []string{"netsocket", "modsocket"} {
		old := filepath.Join(dir, from+"."+file+".json")
		if err := os.Rename(old, filepath.Join(dir, to+"."+file+".json")); err != nil {
			t.Fatal(err)
		}
	}
}
