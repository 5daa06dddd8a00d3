package worker

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/session"
)

const (
	// software is the name of this program in HELLOs.
	software = "joolctl"
	// batch is how many datagrams one recvmmsg takes, and one sendmsg gives to
	// the kernel. 16 of them are well below the 200 KiB that a netlink message
	// may have.
	batch = 16
	// datagramSize is longer than any datagram of a module: 41 sessions of 40 bytes, or an Ethernet frame of longer sessions.
	datagramSize = 2048
	// multicasts is how many of the module's messages one recvmmsg takes, and
	// multicastSize has room for the largest.
	multicasts    = joolnl.MaxAcks
	multicastSize = 16 << 10
	// rounds bounds how long one worker keeps its thread from the others.
	rounds = 32
)

// scratch is the memory that the workers of a thread take turns with.
type scratch struct {
	replication.Scratch // sessions on their way to the network
	reports             *packetio.Receiver
	received            *packetio.Receiver
	adds                *packetio.Gather
	translated          []byte          // sessions in adds that came in another version's format
	headers             []byte          // of the JOOLD_ADDs in adds
	batch               *packetio.Batch // datagrams for the network that wait
	notes               [batch]note     // about them
}

func newScratch() any {
	return &scratch{
		reports:  packetio.NewReceiver(multicasts, multicastSize),
		received: packetio.NewReceiver(batch, datagramSize),
		adds:     packetio.NewGather(2 * batch),
		headers:  make([]byte, 0, batch*joolnl.AddHeaderLen),
		Scratch:  replication.Scratch{Out: make([]byte, 0, 2*datagramSize)},
		batch:    packetio.NewBatch(batch, datagramSize),
	}
}

// reset drops the sessions and datagrams that are queued for the kernel and the network.
func (s *scratch) reset() {
	s.forgetAdds()
	s.batch.Reset()
}

// forgetAdds drops the sessions that are queued for the kernel.
func (s *scratch) forgetAdds() {
	s.adds.Reset()
	s.headers, s.translated = s.headers[:0], s.translated[:0]
}

// pumps are the sockets of a running worker and the flow between them. All of
// it happens on the instance's thread, but for watch.
type pumps struct {
	w       *Worker
	thread  *nsthread.Thread // the instance's
	version joolnl.Version

	do       outside // the pumps themselves, but for tests
	module   module  // conn, but for tests; nil: the worker has ended
	random   *rand.Rand
	instance string // the name of the checkpoint of the worker before
	beats    replication.Beats
	conn     *joolnl.Conn
	socket   *netSocket
	format   session.Format
	host     *replication.Host
	// scratch is the thread's, lent for as long as something of the worker's runs
	// on it.
	*scratch
	outgoing
	lifetimes     *session.Lifetimes // by the instance's settings
	messages      []byte
	injectBuf     []byte
	page          []session.Session // the memory of replies to lookups
	progress      progress          // of the full sync
	audit         audit
	pool4Due      time.Time // when it is read again
	askDue        time.Time // when the module is asked for the instance
	settingsAsked time.Time // when it was last asked for its settings
	checkDue      time.Time // when the names are looked at
	timer         alarm
	acks          ackClock
	trailing      alarm         // of the ACK after the last report
	jiffy         time.Duration // the kernel's
	tuned         time.Time     // when the settings were last changed
	refused       string        // why they could not be
	sent          sentAdds
	adopted       bool      // the netlink socket is that of the process before
	passed        time.Time // when the last report had been sent
	drops         uint32    // the socket's count of them (SO_RXQ_OVFL), as last read

	failed chan error

	changing sync.Mutex // held while a Reconfigure or close is under way
	closed   bool       // guarded by changing
}

func newPumps(w *Worker) *pumps {
	p := &pumps{w: w, failed: make(chan error, 1), random: newRandom(), beats: replication.Beats{Epoch: epoch}}
	p.do = p
	return p
}

// open opens the sockets and begins to listen. If it fails, close closes those that are open. The connection to the module is
// first: a module or an instance is missing most often, and this check costs least.
func (p *pumps) open(spec configdir.Spec) (err error) {
	var globals joolnl.Globals
	if doErr := p.thread.Do(func() { p.conn, globals, err = p.w.dial(spec) }); doErr != nil {
		return doErr
	}
	if err != nil {
		return err
	}
	if _, err := p.w.claimInstance(p.thread.ID(), spec); err != nil {
		return err
	}
	p.takeReceiver(spec)
	if p.socket, err = openNetSocket(p.w, spec); err != nil {
		return err
	}
	p.drops = p.socket.drops
	if doErr := p.thread.Do(func() { p.borrow(func() { err = p.listen(spec, globals) }) }); doErr != nil {
		return doErr
	}
	return err
}

// listen watches all sockets.
func (p *pumps) listen(spec configdir.Spec, globals joolnl.Globals) error {
	p.tellTrouble()
	p.module, p.version = p.conn, p.conn.Version
	p.conn.OnError = p.kernelError
	p.timer, p.trailing = p.thread.NewTimer(p.alone(p.tick)), p.thread.NewTimer(p.alone(func() { p.ack(1) }))
	p.jiffy, p.instance = kernelJiffy(), receiverKey(p.thread.ID(), spec.Instance)+"/"+p.receiverDetail()
	p.prepare(spec, time.Now())
	for _, watch := range []struct {
		fd    int
		ready func()
	}{
		{p.conn.Receiver(), p.fromKernel},
		{p.conn.Asker(), func() { p.conn.ReadErrors() }},
		{p.socket.fd, p.fromNetwork},
	} {
		if err := p.thread.Watch(watch.fd, p.guard(watch.ready)); err != nil {
			return err
		}
	}
	return p.enter(globals, time.Now())
}

// enter begins to synchronise, once everything is open.
func (p *pumps) enter(globals joolnl.Globals, now time.Time) error {
	// The program that listened before may have ended before it sent an ACK; the module would wait until its deadline.
	if err := p.module.SendAcks(1); err != nil {
		return err
	}
	p.takeGlobals(globals, now)
	p.readKernel(now)
	p.refreshPool4(now)
	if p.host.Sequence {
		p.begin(now)
		p.host.Listen(replication.CauseStart, now)
	}
	p.wake(now)
	return nil
}

// prepare sets up what a worker has beside its sockets.
func (p *pumps) prepare(spec configdir.Spec, now time.Time) {
	p.format = p.version.Format()
	p.host = replication.NewHost(effects{p}, replication.Config{
		Sequence: spec.Sequence, Refresh: spec.RefreshPeriod, Verify: spec.VerifyPeriod, Format: p.format, Software: software,
		Module: uint32(p.version), MaxBytes: maxSessionBytes, Beats: p.beats, Random: p.random,
	}, now)
	p.askDue, p.settingsAsked = p.beats.At(now.Add(askEvery), replication.Beat), now.Add(-time.Duration(p.random.Int64N(int64(settingsEvery))))
	p.checkDue = now.Add(checkEvery - askIdle)
}

// post calls fn on the instance's thread, unless the worker ends before.
func (p *pumps) post(fn func()) {
	_ = p.thread.Post(p.guard(func() {
		if p.module != nil {
			fn()
			p.wake(time.Now())
		}
	})) // it can't have ended before its last user
}

// background runs fn, which must touch nothing that is the thread's, beside the
// pumps.
func (p *pumps) background(fn func()) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				p.fail(panicError(r))
			}
		}()
		fn()
	}()
}

// wakeAt has tick called at that moment; zero: no need.
func (p *pumps) wakeAt(at time.Time) {
	if !at.IsZero() {
		p.timer.SetSooner(at)
	}
}

// guard lends fn the thread's memory, and is alone otherwise.
func (p *pumps) guard(fn func()) func() { return p.alone(func() { p.borrow(fn) }) }

// alone turns a panic of fn's into the worker's end. Nothing of the worker is
// called again after that.
func (p *pumps) alone(fn func()) func() {
	return func() {
		defer func() {
			if r := recover(); r != nil {
				p.panicked(r)
			}
		}()
		fn()
	}
}

// borrow has the thread's memory while fn runs.
func (p *pumps) borrow(fn func()) {
	if p.thread == nil { // the memory is its own
		fn()
		return
	}
	before := p.scratch
	p.scratch = p.thread.Scratch(newScratch).(*scratch)
	well := false
	defer func() {
		if !well {
			p.scratch.reset() // not for the next worker to send
		}
		p.scratch = before
	}()
	fn()
	well = true
}

// panicked ends the worker because of a panic on its thread: nothing of it is
// called again there. To be called in the deferred function that recovered.
func (p *pumps) panicked(r any) {
	p.unwatch()
	if p.scratch != nil {
		p.scratch.reset()
	}
	p.fail(panicError(r))
}

// panicError is a panic as an error, with the stack in the lines behind the
// first.
func panicError(r any) error { return fmt.Errorf("panic: %v\n%s", r, debug.Stack()) }

// fail has Run return err.
func (p *pumps) fail(err error) {
	select {
	case p.failed <- err:
	default: // it fails already
	}
}

func (p *pumps) unwatch() {
	if p.conn != nil {
		p.thread.Unwatch(p.conn.Receiver())
		p.thread.Unwatch(p.conn.Asker())
	}
	if p.socket != nil {
		p.thread.Unwatch(p.socket.fd)
	}
	if p.timer != nil {
		p.timer.Stop()
		p.trailing.Stop()
	}
}

// close ends it. whole: it ends as it should, and knows where it stands.
func (p *pumps) close(whole bool) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.closed = true
	_ = p.thread.Do(func() { // it can't have ended before its last user
		p.unwatch()
		if whole {
			p.leaveCheckpoint(time.Now())
		}
		p.leaveSockets()
		if p.conn != nil {
			p.conn.Close()
			p.conn, p.module = nil, nil
		}
		if p.socket != nil {
			p.socket.close()
			p.socket = nil
		}
	})
}

// epoch is the first of the beats.
var epoch = time.Now()
