package guest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

const (
	// sampleEvery is the time between two samples of a witness.
	sampleEvery = 240 * time.Millisecond
	// reportDelay is how long a module may hold a session before the witness expects the session on the peers. With
	// "tune ss" a module reports a session within 8 ms.
	reportDelay = time.Second
	// answerWithin bounds a question of the witness to a supervisor.
	answerWithin = 2 * time.Second
)

// Bounds of a wrong yes.
const (
	// wrongYesAtMost is how long a host may say yes while it lacks sessions that its peers hold.
	wrongYesAtMost = 2 * time.Second
	// idleWrongYesAtMost is the bound where all hosts are idle. An idle host says HELLO every 10 s, so a host may hear
	// nothing of the others for so long.
	idleWrongYesAtMost = 10*time.Second + wrongYesAtMost
)

// witness samples the hosts of a test: whether each host says that it is complete, and which sessions its module holds. The
// witness finds the longest time during which a host says yes while it lacks sessions.
//
// A host lacks a session if the module of another host in its segment has held the session for longer than reportDelay,
// and the host's own module does not hold it, or holds it in an older TCP state.
type witness struct {
	t           *testing.T
	quit, ended chan struct{}

	mu      sync.Mutex
	hosts   []*watched
	phase   string
	since   time.Time     // the beginning of the phase
	samples int           // in the phase
	sampled time.Time     // the last sample
	gap     time.Duration // the longest between two samples
	took    time.Duration // the longest sample
	err     error
	results []string
	over    []string // the results that are over their bounds
}

// wrongYes finds the longest row of samples in which a host said yes and lacked sessions.
type wrongYes struct {
	since   time.Time // the first sample of the row; zero: the last sample was right
	worst   lacking   // in the row
	longest time.Duration
	from    time.Time // the beginning of the longest row
	lacked  lacking   // in the longest row
}

// sample adds a sample. A row lasts from its first to its last sample.
func (w *wrongYes) sample(at time.Time, yes bool, lacks lacking) {
	if !yes || !lacks.any() {
		w.since, w.worst = time.Time{}, lacking{}
		return
	}
	if w.since.IsZero() {
		w.since = at
	}
	if lacks.missing+lacks.older > w.worst.missing+w.worst.older {
		w.worst = lacks
	}
	if d := at.Sub(w.since); d > w.longest || w.from.IsZero() {
		w.longest, w.from = d, w.since
	}
	if w.from.Equal(w.since) {
		w.lacked = w.worst
	}
}

// observe starts a witness and, all together, a supervisor for each pair, which its host has for itself. The pairs come by
// segment. The witness ends with the test.
func observe(t *testing.T, phase string, segments ...[]placed) *witness {
	t.Helper()
	return observeBy(t, phase, func(p pair) supervisor { return startSupervisor(t, p) }, segments...)
}

// observeBy is observe for supervisors that serve other pairs, too: by returns that of a pair.
func observeBy(t *testing.T, phase string, by func(pair) supervisor, segments ...[]placed) *witness {
	t.Helper()
	w := &witness{t: t, quit: make(chan struct{}), ended: make(chan struct{}), phase: phase, since: time.Now()}
	for segment, pairs := range segments {
		for _, p := range pairs {
			h := &watched{
				namespace: p.in, pair: p.pair.in(p.in),
				segment: segment, bound: wrongYesAtMost, table: make(map[sessionKey]holding),
			}
			h.namespace.do(t, func() (err error) {
				h.conn, err = joolnl.Dial(p.instance, 1<<16)
				return err
			})
			h.supervisor = by(h.pair)
			w.hosts = append(w.hosts, h)
		}
	}
	go w.run()
	t.Cleanup(w.end)
	return w
}

// run samples until the witness ends.
func (w *witness) run() {
	defer close(w.ended)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if err := w.sample(); err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			return
		}
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
	}
}

// sample asks all hosts, then reads all tables. So a host that lacks a session when its table is read lacked the session when
// it answered.
func (w *witness) sample() error {
	began := time.Now()
	verdicts := make([]verdict, len(w.hosts))
	tables := make([][]session.Session, len(w.hosts))
	for i, h := range w.hosts {
		verdicts[i] = h.ask()
	}
	for i, h := range w.hosts {
		var err error
		if tables[i], err = h.read(); err != nil {
			return fmt.Errorf("the table of %s: %w", h.namespace.name, err)
		}
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if began.Before(w.since) { // the phase began meanwhile
		return nil
	}
	if w.samples++; w.samples > 1 {
		w.gap = max(w.gap, began.Sub(w.sampled))
	}
	w.sampled = began
	for i, h := range w.hosts {
		if verdicts[i].sent != h.state.sent {
			h.rest = began
		}
		h.state = verdicts[i]
		h.note(tables[i], began)
	}
	for _, h := range w.hosts {
		h.lacks = w.lackedBy(h, began)
		h.synced.sample(began, h.state.synced == "yes", h.lacks)
		h.ready.sample(began, h.state.ready, h.lacks)
		if h.state.synced != "yes" {
			h.notYes++
		}
	}
	w.took = max(w.took, time.Since(began))
	return nil
}

// enter begins another phase. It calls change, which may move hosts to other segments. The time of a wrong yes starts
// at 0 again.
func (w *witness) enter(phase string, bound time.Duration, change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	w.phase, w.since, w.samples, w.gap, w.took = phase, time.Now(), 0, 0, 0
	for _, h := range w.hosts {
		h.bound, h.synced, h.ready, h.notYes = bound, wrongYes{}, wrongYes{}, 0
	}
	change()
}

// place puts hosts into a segment. It is for the change that enter makes.
func (w *witness) place(segment int, hosts ...*watched) {
	for _, h := range hosts {
		h.segment = segment
	}
}

// close words what the phase came to.
func (w *witness) close() {
	right := true
	for _, h := range w.hosts {
		longest := max(h.synced.longest, h.ready.longest)
		if h.synced.from.IsZero() && h.ready.from.IsZero() {
			continue
		}
		right = false
		text := fmt.Sprintf("%s: while it lacks sessions, %s says \"synced\": \"yes\" for up to %v, and is ready for up to %v; the bound is %v",
			w.phase, h.namespace.name, rounded(h.synced.longest), rounded(h.ready.longest), h.bound)
		for _, says := range []wrongYes{h.synced, h.ready} {
			if says.longest == longest && !says.from.IsZero() {
				text += fmt.Sprintf("; that began %v after the phase, the host %v", rounded(says.from.Sub(w.since)), says.lacked)
				break
			}
		}
		if longest > h.bound {
			w.over = append(w.over, text)
		} else {
			w.results = append(w.results, text)
		}
	}
	text := fmt.Sprintf("%s: %d samples, at most %v apart; the longest took %v", w.phase, w.samples, rounded(w.gap), rounded(w.took))
	if right {
		text += "; no host says yes while it lacks sessions"
	}
	w.results = append(w.results, text)
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// end ends the witness, logs what it measured and fails the test for each bound that a host does not keep.
func (w *witness) end() {
	close(w.quit)
	<-w.ended
	w.close()
	w.t.Log(strings.Join(w.results, "\n"))
	for _, text := range w.over {
		w.t.Error(text)
	}
	for _, h := range w.hosts {
		if err := h.namespace.thread.Do(h.conn.Close); err != nil {
			w.t.Error(err)
		}
	}
}

// await waits until a sample shows what is waited for: of each of the hosts that are named, or of all.
func (w *witness) await(limit time.Duration, what string, missing func(*watched) string, hosts ...*watched) {
	w.t.Helper()
	if len(hosts) == 0 {
		hosts = w.hosts
	}
	eventually(w.t, limit, what, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err != nil {
			w.t.Fatal(w.err)
		}
		if w.samples == 0 {
			return "no sample"
		}
		var lines []string
		for _, h := range hosts {
			h.running(w.t)
			if text := missing(h); text != "" {
				lines = append(lines, h.namespace.name+": "+text)
			}
		}
		return strings.Join(lines, "\n")
	})
}

// awaitComplete waits until the hosts that are named, or all, hold so many sessions, lack none, and say yes.
func (w *witness) awaitComplete(limit time.Duration, sessions int, hosts ...*watched) {
	w.t.Helper()
	w.await(limit, fmt.Sprintf("each host holds %d sessions and says yes", sessions), func(h *watched) string {
		if n := len(h.table); n != sessions || h.lacks.any() || h.state.synced != "yes" {
			return h.String()
		}
		return ""
	}, hosts...)
}

// awaitIdle waits until nobody has said anything for some seconds: a host that is busy says HELLO every second.
func (w *witness) awaitIdle() {
	w.t.Helper()
	const silent = 4 * time.Second
	w.await(time.Minute, "all hosts are idle", func(h *watched) string {
		if h.state.silent < silent {
			return fmt.Sprintf("it heard a peer %v ago", h.state.silent)
		}
		return ""
	})
}
