package guest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/nsthread"
	"joolctl/replication"
	control "joolctl/supervisor"
)

// TestRates has J's module report as many sessions as J's daemon can acknowledge, and twice and four times as many, which the
// module drops in part. The same two supervisors serve another instance, which must not notice. The machine's clock counts
// instructions.
func TestRates(t *testing.T) {
	enter(t, "rates")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // so that the load delays no measurement
	r := newRates(t)
	r.measureCapacity()
	r.witness.enter("before", wrongYesAtMost, func() {})
	before := r.calm.latency(t, r.calmTraffic())
	t.Logf("the other instance before: %v", words(before))
	levels := []int{1, 2, 4}
	if testing.Short() {
		levels = []int{1, 4}
	}
	for _, times := range levels {
		r.overload(times, before)
	}
	r.witness.awaitComplete(completeWithin, r.calm.opener.next+1)
}

// systemCall is how much longer each system call of J's daemon takes, for the overloaded instance. Otherwise the daemon could
// acknowledge more reports than the machine can translate packets.
const systemCall = 300 * time.Microsecond

// Bounds while the module drops sessions.
const (
	// fullSyncsAtMost is the part of the time that full syncs may take.
	fullSyncsAtMost = 0.1
	// wrongUntilCounted is how long K may say yes after a drop: J's daemon reads the module's counters every 2 s.
	wrongUntilCounted = 5 * time.Second
	// completeAfterDrops is the time from the end of the drops until K is complete.
	completeAfterDrops = 10 * time.Second
	// calmSlowerAtMost bounds the other instance's p99 latency, as a multiple of the p99 without overload.
	calmSlowerAtMost = 3
)

// rates has two topologies. J and K of both are served by two supervisors, hostJ and hostK.
type rates struct {
	t            *testing.T
	loaded       *topology // the overloaded instance's
	calm         *liveHosts
	hostJ, hostK supervisor
	pairJ, pairK pair     // of the overloaded instance
	witness      *witness // of the other instance
	load         *steadyLoad
	capacity     int           // reports a second
	lasts        time.Duration // each level
}

func newRates(t *testing.T) *rates {
	r := &rates{t: t, loaded: newTopology(t), lasts: time.Minute}
	if testing.Short() {
		r.lasts = 4 * time.Second
	}
	calm := newTopology(t)
	for _, n := range []*namespace{r.loaded.j, r.loaded.k, calm.j, calm.k} {
		n.exec(t, tool(t), "-i", "nat", "global", "update", "udp-timeout", "2:00:00") // no session expires meanwhile
	}
	prompt(t, r.loaded.j) // a report has one session, so that each costs the daemon as much

	r.pairJ, r.pairK = r.loaded.pairs(group6)
	r.pairJ, r.pairK = r.pairJ.in(r.loaded.j), r.pairK.in(r.loaded.k)
	calmPairs := placedOn(group6, again(t, calm.j), again(t, calm.k))
	// Go has one processor in this machine, which the slow thread would keep. The signals by which Go stops a thread would follow
	// each other without end, because the handler's last system call takes longer, too.
	several := func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=4", "GODEBUG=asyncpreemptoff=1")
	}
	r.hostJ = startSupervisorWith(t, several, r.pairJ, calmPairs[0].pair.in(calm.j))
	r.hostK = startSupervisorWith(t, several, r.pairK, calmPairs[1].pair.in(calm.k))
	for _, s := range []supervisor{r.hostJ, r.hostK} {
		s.awaitRunning(t, 2, listensWithin)
	}
	r.hostJ.slowDown(t, r.loaded.j, systemCall)
	r.calm = &liveHosts{top: calm, opener: calm.newLiveOpener(t)}
	for _, top := range []*topology{r.loaded, calm} {
		top.awaitFirst(t)
	}
	r.witness = observeBy(t, "start", func(p pair) supervisor {
		if p.namespace == calm.j.name {
			return r.hostJ
		}
		return r.hostK
	}, calmPairs)
	r.witness.awaitComplete(completeWithin, 1)
	r.load = newSteadyLoad(t, r.loaded)
	return r
}

// again returns a namespace with another thread: that of n is busy while a latency is measured.
func again(t *testing.T, n *namespace) *namespace {
	t.Helper()
	thread, err := nsthread.NewPool().Get(n.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(thread.Release)
	return &namespace{name: n.name, thread: thread}
}

// calmTraffic opens sessions through the other instance while a level lasts.
func (r *rates) calmTraffic() liveTraffic {
	l := liveTraffics["100/s"]
	l.n = int(r.lasts / l.every)
	return l
}

// words words a latency.
func words(l LiveLatency) string {
	took := l.Times()
	return fmt.Sprintf("%d sessions, first packet to the standby: p50 %v, p99 %v, longest %v", l.Opened,
		tenths(quantile(took, 0.5)), tenths(quantile(took, 0.99)), tenths(took[len(took)-1]))
}

// counted has counters of J's module.
type counted struct{ reported, dropped uint64 }

func (c counted) minus(before counted) counted {
	return counted{c.reported - before.reported, c.dropped - before.dropped}
}

func (r *rates) counted() counted {
	s := r.loaded.j.stats(r.t, "nat")
	return counted{s["JSTAT_JOOLD_SSS_SENT"], s["JSTAT_JOOLD_SSS_ENOSPC"]}
}

// measureCapacity measures how many reports a second the daemon acknowledges while the module's queue is full.
func (r *rates) measureCapacity() {
	const tooMany, lasts = 6000, 2 * time.Second
	b := r.load.start(r.t, tooMany)
	eventually(r.t, time.Minute, "J's module drops sessions", func() string {
		if r.counted().dropped == 0 {
			return "none yet"
		}
		return ""
	})
	before, began := r.counted(), time.Now()
	<-time.After(lasts)
	n, took := r.counted().minus(before), time.Since(began)
	b.stop(r.t)
	r.capacity = int(float64(n.reported) / took.Seconds())
	r.t.Logf("the daemon acknowledges %d reports a second", r.capacity)
	if n.dropped < n.reported {
		r.t.Fatalf("J's module reported %d sessions and dropped %d: the daemon is too fast for four times as many", n.reported, n.dropped)
	}
	r.awaitComplete()
}

// awaitComplete waits until K says that it is complete, and compares the tables.
func (r *rates) awaitComplete() (took time.Duration) {
	r.t.Helper()
	began := time.Now()
	eventually(r.t, time.Minute, "K is complete", func() string {
		if row := r.row(r.hostK, r.pairK); row.Synced != "yes" {
			return fmt.Sprintf("synced: %s, %s, %+v", row.Synced, row.FullSync, row.Reasons)
		}
		return ""
	})
	took = time.Since(began)
	if d := diff(r.loaded.j.sessions(r.t, "nat"), r.loaded.k.sessions(r.t, "nat")); d != "" {
		r.t.Errorf("K says that it is complete: %s", d)
	}
	return took
}

// row returns a pair's row of joolctl status.
func (r *rates) row(s supervisor, p pair) control.Row {
	r.t.Helper()
	status, err := control.Client{Socket: s.socket}.Status(context.Background(), []string{p.name})
	if err != nil || len(status.Workers) != 1 {
		r.t.Fatalf("%d workers, %v", len(status.Workers), err)
	}
	return status.Workers[0]
}

// look has the counters of the overloaded instance's module in J, and K's row of joolctl status, at one moment.
type look struct {
	at time.Time
	counted
	k   control.Row
	err error
}

// looks looks again and again until quit is closed.
func (r *rates) looks(quit <-chan struct{}) <-chan []look {
	const every = 200 * time.Millisecond
	result := make(chan []look, 1)
	go func() {
		var all []look
		defer func() { result <- all }()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			l := look{at: time.Now(), counted: r.counted()}
			var status control.Status
			status, l.err = control.Client{Socket: r.hostK.socket}.Status(context.Background(), []string{r.pairK.name})
			if l.err == nil {
				l.k = status.Workers[0]
			}
			all = append(all, l)
		}
	}()
	return result
}

// overload sends so many times what the daemon can acknowledge.
func (r *rates) overload(times int, before LiveLatency) {
	t := r.t
	what := fmt.Sprintf("%d × capacity", times)
	r.witness.enter(what, wrongYesAtMost, func() {})
	start, last := r.counted(), r.row(r.hostK, r.pairK).LastFullSync
	quit := make(chan struct{})
	looking := r.looks(quit)
	b := r.load.start(t, times*r.capacity)
	during := r.calm.latency(t, r.calmTraffic())
	b.stop(t)
	end := time.Now()
	close(quit)
	looks := <-looking
	remedies := r.row(r.hostJ, r.pairJ).Reasons
	complete := r.awaitComplete()
	n := r.counted().minus(start)
	t.Logf("%s: %d packets, of which J's module reported %d and dropped %d", what, b.sent, n.reported, n.dropped)
	t.Logf("%s: the other instance: %v", what, words(during))

	if during.Lost > 0 {
		t.Errorf("%s: the other instance: %d sessions are missing", what, during.Lost)
	}
	p99 := func(l LiveLatency) time.Duration { return quantile(l.Times(), 0.99) }
	if bound := calmSlowerAtMost * p99(before); p99(during) > bound {
		t.Errorf("%s: the other instance: p99 %v, may be %v", what, p99(during), bound)
	}
	r.stayedComplete(what)

	looks = slices.DeleteFunc(looks, func(l look) bool { return l.dropped == start.dropped })
	if len(looks) == 0 {
		if times > 1 {
			t.Errorf("%s: J's module dropped nothing", what)
		}
		return
	}
	d := dropping{t, what, looks, end}
	if !d.continuous() {
		if times > 1 {
			t.Errorf("%s: J's module did not always drop sessions", what)
		}
		return
	}
	d.verdict()
	d.fullSyncs(append([]*control.FullSync{last}, r.row(r.hostK, r.pairK).LastFullSync)...)
	remedied(t, what+": J", remedies, replication.ModuleDrops, "jool -i nat global update ss-capacity 16384")
	t.Logf("%s: K is complete %v after the drops", what, rounded(complete))
	atMost(t, what+": K's way to a complete table", complete, completeAfterDrops)
}

// stayedComplete checks that the hosts of the other instance have always said yes.
func (r *rates) stayedComplete(what string) {
	w := r.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		if h.notYes > 0 || w.samples == 0 {
			r.t.Errorf("%s: %s did not say yes in %d samples of %d", what, h.namespace.name, h.notYes, w.samples)
		}
	}
}

// remedied checks that a reason is there, with the command that helps.
func remedied(t *testing.T, what string, reasons []replication.Reason, code replication.Code, command string) {
	t.Helper()
	if !slices.ContainsFunc(reasons, func(r replication.Reason) bool { return r.Code == code && strings.Contains(r.Remedy, command) }) {
		t.Errorf("%s: the reasons are %+v, want %s with the command %s", what, reasons, code, command)
	}
}

// dropping is a time in which J's module drops sessions: from the first look until end.
type dropping struct {
	t     *testing.T
	what  string
	looks []look
	end   time.Time
}

func (d *dropping) lasted() time.Duration { return d.end.Sub(d.looks[0].at) }

// continuous reports whether nearly all looks find that the module has dropped sessions since the look before.
func (d *dropping) continuous() bool {
	more := 0
	for i := range d.looks[1:] {
		if d.looks[i+1].dropped > d.looks[i].dropped {
			more++
		}
	}
	d.t.Logf("%s: for %v, J's module dropped sessions in %d of %d looks", d.what, rounded(d.lasted()), more, len(d.looks)-1)
	const nearly = 0.9
	return float64(more) >= nearly*float64(len(d.looks)-1)
}

// verdict checks what K says of itself.
func (d *dropping) verdict() {
	wrong, longest, said := d.looks[0].at, time.Duration(0), 0
	for i, l := range d.looks {
		switch {
		case l.err != nil:
			d.t.Fatal(l.err)
		case l.k.Synced == "yes":
			if i > 0 && d.looks[i-1].k.Synced != "yes" {
				wrong = l.at
			}
			longest = max(longest, l.at.Sub(wrong))
			continue
		}
		said++
		if l.k.FullSync == nil {
			remedied(d.t, fmt.Sprintf("%s: K after %v", d.what, rounded(l.at.Sub(d.looks[0].at))), l.k.Reasons,
				replication.SessionsMissing, "jool -i INSTANCE global update ss-capacity 16384")
		}
	}
	d.t.Logf("%s: K said no in %d looks of %d, and yes for up to %v", d.what, said, len(d.looks), rounded(longest))
	atMost(d.t, d.what+": K's wrong yes", longest, wrongUntilCounted)
}

// fullSyncs adds up the time that K's full syncs took. beside are further ones: the last before the drops and the last of all.
func (d *dropping) fullSyncs(beside ...*control.FullSync) {
	begin := d.looks[0].at
	var reports []*control.FullSync
	for _, l := range d.looks {
		reports = append(reports, l.k.LastFullSync)
	}
	reports = slices.DeleteFunc(append(reports, beside...), func(r *control.FullSync) bool { return r == nil })
	slices.SortFunc(reports, func(a, b *control.FullSync) int { return a.At.Compare(b.At) })
	reports = slices.CompactFunc(reports, func(a, b *control.FullSync) bool { return a.At.Equal(b.At) })
	number, all := 0, time.Duration(0)
	for _, r := range reports {
		from := r.At.Add(-r.Duration())
		if from.Before(begin) {
			from = begin
		}
		until := r.At
		if until.After(d.end) {
			until = d.end
		}
		if took := until.Sub(from); took > 0 {
			number, all = number+1, all+took
			d.t.Logf("%s: a full sync (%s) of %d sessions began %v after the first drop and took %v", d.what, cmp.Or(r.Cause, "no reason"), r.Received,
				rounded(r.At.Add(-r.Duration()).Sub(begin)), rounded(r.Duration()))
		}
	}
	part := all.Seconds() / d.lasted().Seconds()
	d.t.Logf("%s: %d full syncs took %v, %.1f %% of the time", d.what, number, rounded(all), 100*part)
	if part > fullSyncsAtMost {
		d.t.Errorf("%s: full syncs took %.1f %% of the time, may take %.0f %%", d.what, 100*part, 100*fullSyncsAtMost)
	}
}
