package worker

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/replication/sim"
	"joolctl/session"
	"joolctl/syncwire"
)

// simulated is a worker in a simulation. It implements the worker's effects (module and outside) with the simulated module, network
// and clock.
type simulated struct {
	*pumps
	env      *sim.Env
	verify   time.Duration // the period of verifications
	at       time.Time     // the present time
	due      dueAt         // when to call tick
	trail    dueAt         // when to send the trailing ACK
	posted   []func()
	adds     uint32 // the number of JOOLD_ADDs so far
	refused  []refusal
	reported bool
	retry    time.Time // when to check again whether the missing instance exists; zero: it exists
	memory   *scratch  // shared by the workers of the simulation
	keyed    *keyed    // nil: datagrams are clear
	log      *slog.Logger
}

// refusal is the module's error for a JOOLD_ADD that the worker has not read yet.
type refusal struct {
	seq uint32
	err error
}

// dueAt is an alarm that fires when the simulation calls Wake.
type dueAt struct{ at time.Time }

func (d *dueAt) Set(at time.Time)       { d.at = at }
func (d *dueAt) SetSooner(at time.Time) { d.at = replication.Soonest(d.at, at) }
func (d *dueAt) Stop()                  { d.at = time.Time{} }

// take reports whether the alarm is due. If it is, take clears it.
func (d *dueAt) take(now time.Time) bool {
	if d.at.IsZero() || now.Before(d.at) {
		return false
	}
	d.at = time.Time{}
	return true
}

// simScratches has the memory that the workers of a simulation share: only one of them runs at a time.
var simScratches = sync.Pool{New: newScratch}

// newSimulated returns a Factory of simulated workers. verify is the period of their verifications. Their datagrams are clear if k is nil.
func newSimulated(verify time.Duration, memory *scratch, k *keyed) sim.Factory {
	return func(e *sim.Env) sim.Replica { return &simulated{env: e, verify: verify, memory: memory, keyed: k} }
}

// simVerify is the period of verifications if only a verification finds a difference.
const simVerify = 20 * time.Second

func simSpec() configdir.Spec {
	spec := configdir.Defaults()
	spec.Name, spec.Instance, spec.Group = "sim", "sim", netip.MustParseAddr("ff08::1")
	spec.Sequence, spec.TuneSS = true, true
	return spec
}

// Start starts a worker with the counters and the checkpoint that the previous worker has saved; kept is nil if there are none.
func (r *simulated) Start(now time.Time, kept []byte) {
	r.at = now
	counters := new(Counters)
	if kept != nil {
		var saved map[string]uint64
		if err := json.Unmarshal(kept, &saved); err != nil {
			panic(err)
		}
		counters.Restore(saved)
	}
	r.run(now, counters, kept != nil)
}

// run starts a worker. If the instance does not exist, it schedules another attempt.
func (r *simulated) run(now time.Time, counters *Counters, adopted bool) {
	globals, err := r.env.Globals()
	if err != nil {
		r.pumps, r.retry = nil, now.Add(800*time.Millisecond)
		return
	}
	spec := simSpec()
	spec.VerifyPeriod = r.verify
	p := newPumps(New(spec, Env{Log: r.log}, counters))
	p.do, p.module, p.random, p.beats.Epoch = r, r, r.env.Rand, sim.Epoch
	p.version, p.jiffy, p.adopted, p.instance = r.env.Version(), r.env.Jiffy(), adopted, "sim"
	p.timer, p.trailing, p.scratch, p.socket = &r.due, &r.trail, r.memory, &netSocket{}
	r.pumps, r.posted, r.refused, r.retry, r.due, r.trail = p, nil, nil, time.Time{}, dueAt{}, dueAt{}
	r.keyed.prepare(r, &spec)
	p.prepare(spec, now)
	p.host.Receiver.Piece = 2 * syncwire.MaxBulk
	p.checkDue = now.Add(1 << 62)
	if err := p.enter(globals, now); err != nil {
		panic(err)
	}
	r.reported = true // the worker reads the socket at once
}

func (r *simulated) Stop(now time.Time) []byte {
	r.at = now
	if r.pumps == nil {
		return nil
	}
	r.leaveCheckpoint(now)
	kept, err := json.Marshal(r.w.counters.Save())
	if err != nil {
		panic(err)
	}
	return kept
}

func (r *simulated) Report(now time.Time, entries []byte) {
	if r.at = now; r.pumps != nil {
		if d := r.stalledFor(); d > nsthread.StallDelay {
			r.host.Stalls.Suspect(d)
		}
		r.passReports([][]byte{append(make([]byte, 0, len(entries)+syncwire.TrailerLen), entries...)}, now)
		r.reported = true
	}
}

func (r *simulated) Overrun(now time.Time) {
	if r.at = now; r.pumps != nil {
		r.overrun(now)
	}
}

func (r *simulated) Datagram(now time.Time, d sim.Datagram) {
	if r.at = now; r.pumps != nil {
		r.keyed.arrives(r, d)
		r.take(packetio.Datagram{Data: d.Data, From: d.From, Arrived: d.Arrived}, now)
		r.toKernel()
	}
}

func (r *simulated) Regrouped(now time.Time) {
	if r.at = now; r.pumps != nil {
		r.keyed.moves(r, now)
		r.host.Moved(now)
	}
}

func (r *simulated) Advertise(now time.Time) {
	if r.at = now; r.pumps != nil {
		_, _ = r.host.Advertise(r.w.spec().AdvertiseRate, now) // an error says that it is advertising already
	}
}

func (r *simulated) Wake(now time.Time) (next time.Time) {
	r.at = now
	if r.pumps == nil {
		if !now.Before(r.retry) {
			r.run(now, new(Counters), false)
		}
		if r.pumps == nil {
			return r.retry
		}
	}
	for len(r.posted) > 0 {
		fn := r.posted[0]
		r.posted = r.posted[1:]
		fn()
		r.wake(now)
	}
	if r.reported {
		r.reported = false
		r.host.SendStalled()
	}
	r.ReadErrors()
	if r.trail.take(now) {
		r.ack(1)
	}
	if r.due.take(now) {
		r.due.SetSooner(replication.Soonest(replication.Soonest(r.askWhenDue(now), r.host.Tick(now)), r.greetWhenDue(now)))
	}
	select {
	case err := <-r.failed:
		if !errors.As(err, new(*Missing)) {
			panic(err)
		}
		r.leaveCheckpoint(now)
		r.pumps, r.retry = nil, now.Add(800*time.Millisecond)
		return r.retry
	case <-r.w.recheck: // Worker.Check was called
		r.askDue = now
		r.due.SetSooner(now)
	default:
	}
	return replication.Soonest(r.due.at, r.trail.at)
}

func (r *simulated) Verdict(time.Time) sim.Verdict {
	if r.pumps == nil {
		return sim.Verdict{Answer: sim.No, Reasons: []string{"there is no instance"}}
	}
	switch s := r.w.Sync(); {
	case s.complete():
		return sim.Verdict{Answer: sim.Yes}
	case s.Synced == syncwire.SyncAlone:
		return sim.Verdict{Answer: sim.Alone}
	default:
		v := sim.Verdict{Answer: sim.No, Reasons: []string{s.String() + " " + s.Why}}
		for _, reason := range s.Lacking {
			v.Reasons = append(v.Reasons, reason.Text)
		}
		return v
	}
}

func (r *simulated) Kept() int {
	if r.pumps == nil {
		return 0
	}
	return r.host.Kept()
}

func (r *simulated) Phase() string {
	if r.pumps == nil {
		return ""
	}
	return r.host.Receiver.Phase().String()
}

// The methods of outside.

func (r *simulated) now() time.Time            { return r.at }
func (r *simulated) drain()                    {}
func (r *simulated) waits() bool               { return false }
func (r *simulated) stalledFor() time.Duration { return r.env.StalledFor() }

// post makes Wake call fn. During an injection, the simulation first delivers the datagrams and reports that have arrived meanwhile.
func (r *simulated) post(fn func()) {
	if r.host.Receiver.Phase() != replication.PhaseInjecting {
		r.posted = append(r.posted, fn)
		return
	}
	p := r.pumps
	r.env.Background(func() {}, func(now time.Time) {
		if r.at = now; r.pumps == p {
			fn()
			p.wake(now)
		}
	})
}

func (r *simulated) background(fn func()) {
	p := r.pumps
	r.env.Background(func() {}, func(now time.Time) {
		if r.at = now; r.pumps == p {
			fn()
		}
	})
}

func (r *simulated) sendWhole(b *packetio.Batch) { r.sendOut(b) }

func (r *simulated) sendOut(b *packetio.Batch) {
	for i := range b.Len() {
		r.env.Send(b.Datagram(i))
	}
}

func (r *simulated) readTable(_ int, base time.Time, stop func() bool, done func(replication.Snapshot, error)) {
	t, p := replication.Snapshot{Base: base}, r.pumps
	r.env.ReadTable(func(now time.Time, page sim.PageResult) bool {
		if r.at = now; r.pumps != p || stop() {
			return false
		}
		for _, rec := range page.Records {
			rec.SetExpires(rec.Expires() + uint32(max(now.Sub(base).Milliseconds(), 0)))
			t.Records = append(t.Records, rec)
		}
		return true
	}, func(now time.Time, err error) {
		if r.at = now; r.pumps == p && !stop() {
			done(t, err)
		}
	})
}

// The methods of module.

func (r *simulated) AskHello() (bool, error) {
	_, err := r.env.Globals()
	return err == nil, nil
}

func (r *simulated) AskStats() (joolnl.Stats, error)          { return r.env.Stats() }
func (r *simulated) AskGlobals() (joolnl.Globals, error)      { return r.env.Globals() }
func (r *simulated) AskUpdate(changes ...joolnl.Change) error { return r.env.Update(changes...) }

func (r *simulated) AskSessions([]session.Session, session.Proto, *session.Session) ([]session.Session, bool, error) {
	return nil, false, errors.New("tables are read by readTable")
}

func (r *simulated) AskSession(buf []session.Session, want *session.Record) (session.Record, bool, []session.Session, error) {
	got, there, err := r.env.Lookup(want)
	return got, there, buf, err
}

func (r *simulated) AskPool4([]joolnl.Pool4Entry, session.Proto, *joolnl.Pool4Entry) ([]joolnl.Pool4Entry, bool, error) {
	return nil, false, nil
}

func (r *simulated) AskRemoveBIB(p session.Proto, src4 netip.AddrPort) error {
	return r.env.RemoveBIB(p, src4)
}

func (r *simulated) SendAcks(n int) error {
	r.env.Ack(n)
	return nil
}

func (r *simulated) AppendAdd(dst []byte, _ int) ([]byte, uint32) {
	r.adds++
	return append(dst, 0), r.adds
}

// SendAdds gives the lists of sessions in the batch to the module. Before each list, the batch has the header from AppendAdd.
func (r *simulated) SendAdds(batch *packetio.Gather) error {
	if r.host.Receiver.Phase() == replication.PhaseInjecting {
		r.at = r.at.Add(slice / 2) // an injection takes time, during which other events occur
	}
	first := r.adds + 1 - uint32(batch.Pieces()/2)
	for i := 1; i < batch.Pieces(); i += 2 {
		if err := r.env.Add(batch.Piece(i)); err != nil {
			switch {
			case errors.Is(err, sim.ErrNoMemory):
				err = &joolnl.Error{Code: unix.EINVAL, Text: "sessiondb_add() threw unknown error code -12."}
			case errors.Is(err, sim.ErrNoInstance):
				err = &joolnl.Error{Code: unix.ESRCH, Text: "This namespace lacks an instance named 'sim'."}
			}
			r.refused = append(r.refused, refusal{first + uint32(i/2), err})
		}
	}
	return nil
}

func (r *simulated) ReadErrors() {
	refused := r.refused
	r.refused = nil
	for _, e := range refused {
		r.kernelError(e.seq, e.err)
	}
}
