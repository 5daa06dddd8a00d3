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
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// software is the name of this program in HELLOs.
	software = "joolctl"
	// batch is how many datagrams one recvmmsg reads, and how many JOOLD_ADDs one sendmsg sends. 16 of them are much shorter than
	// the limit of a netlink message, 200 KiB.
	batch = 16
	// datagramSize is the memory for a datagram that is sent. It is longer than an Ethernet frame, and than any datagram of a module
	// from 4.1.12 on: 41 sessions of 40 bytes. A pair with a larger MTU needs largeSize, for 41 sessions of 140 bytes.
	datagramSize = 2048
	largeSize    = 6 << 10
	// receivedSize is longer than any datagram that a host receives.
	receivedSize = syncwire.MaxMTU
	// multicasts is how many of the module's messages one recvmmsg reads, and multicastSize is the size of the buffer for each.
	multicasts    = joolnl.MaxAcks
	multicastSize = 16 << 10
	// rounds bounds how many batches a worker processes before other workers can use the thread.
	rounds = 32
)

// scratch is memory that the workers of a thread share. Only one of them uses it at a time.
type scratch struct {
	replication.Scratch // sessions to send to the network
	reports             *packetio.Receiver
	received            *packetio.Receiver
	adds                *packetio.Gather
	translated          []byte          // sessions in adds, translated from the format of another version
	headers             []byte          // the headers of the JOOLD_ADDs in adds
	opened              []byte          // the clear datagrams for the received sealed ones
	batch               *packetio.Batch // datagrams to send to the network
	slot                int             // the memory for each of them
	sealed              *packetio.Batch // those of batch, sealed; empty but while they are sent; nil before the first
	notes               [batch]note     // a description of each datagram in batch
}

func newScratch() any {
	return &scratch{
		reports:  packetio.NewReceiver(multicasts, multicastSize),
		received: packetio.NewReceiver(batch, receivedSize),
		adds:     packetio.NewGather(2 * batch),
		headers:  make([]byte, 0, batch*joolnl.AddHeaderLen),
		Scratch:  replication.Scratch{Out: make([]byte, 0, 2*datagramSize)},
		batch:    packetio.NewBatch(batch, datagramSize),
		slot:     datagramSize,
	}
}

// reset drops the sessions and datagrams that are queued for the kernel and the network.
func (s *scratch) reset() {
	s.forgetAdds()
	s.batch.Reset()
	s.forgetSealed()
}

// forgetSealed drops the sealed datagrams of the batch.
func (s *scratch) forgetSealed() {
	if s.sealed != nil {
		s.sealed.Reset()
	}
}

// forgetAdds drops the sessions that are queued for the kernel.
func (s *scratch) forgetAdds() {
	s.adds.Reset()
	s.headers, s.translated = s.headers[:0], s.translated[:0]
}

// pumps is a running worker: its sockets, and the flow of sessions between them. Everything but watch runs on the thread of the
// instance's namespace.
type pumps struct {
	w       *Worker
	thread  *nsthread.Thread // of the instance's namespace
	version joolnl.Version

	do       outside // the pumps themselves, except in the simulator
	module   module  // conn, except in the simulator; nil: the worker has ended
	random   *rand.Rand
	instance string // the name of the worker's checkpoint
	beats    replication.Beats
	conn     *joolnl.Conn
	socket   *netSocket
	format   session.Format
	host     *replication.Host
	// scratch belongs to the thread. The worker has it only while borrow runs a function.
	*scratch
	outgoing
	sealing
	large         bool               // datagrams may be longer than datagramSize
	lifetimes     *session.Lifetimes // the timeouts of the instance's settings
	messages      []byte             // memory for a control message
	injectBuf     []byte             // memory for the sessions of an injection
	page          []session.Session  // memory for the replies to lookups
	progress      progress           // of the full sync
	audit         audit
	pool4Due      time.Time // when to read pool4 again
	askDue        time.Time // when to ask the module for its instance again
	settingsAsked time.Time // when the instance's settings were last read
	checkDue      time.Time // when to check the namespaces and interfaces again
	timer         alarm     // calls tick
	acks          ackClock
	trailing      alarm         // sends the trailing ACK
	jiffy         time.Duration // of the kernel
	tuned         time.Time     // when "tune ss" last changed the settings
	refused       string        // the module's error for that change; "" if there was none
	sent          sentAdds
	adopted       bool      // the netlink socket is that of the previous process
	passed        time.Time // when the sessions of the last report had been sent
	unlistedAt    time.Time // when SyncState.Unlisted last changed
	drops         uint32    // the kernel's count of the network socket's dropped datagrams (SO_RXQ_OVFL), as last read

	failed chan error

	changing sync.Mutex // held while a Reconfigure or close is under way
	closed   bool       // guarded by changing
}

func newPumps(w *Worker) *pumps {
	p := &pumps{w: w, failed: make(chan error, 1), random: newRandom(), beats: replication.Beats{Epoch: epoch}}
	p.do, p.single, p.failedFn, p.newChannel = p, packetio.NewBatch(1, 0), p.failedTo, seal.NewChannel
	return p
}

// open opens the sockets and starts to receive. It opens the connection to the module first, because the module or the instance
// is missing most often, and the attempt costs little. If open fails, the caller must call close.
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
	if p.socket, err = openNetSocket(p.w, spec, nil); err != nil {
		return err
	}
	p.drops = p.socket.drops
	if doErr := p.thread.Do(func() { p.borrow(func() { err = p.listen(spec, globals) }) }); doErr != nil {
		return doErr
	}
	return err
}

// listen sets up the timers, makes the thread watch all sockets, and starts to synchronise.
func (p *pumps) listen(spec configdir.Spec, globals joolnl.Globals) error {
	p.publishTrouble()
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
	if err := p.enter(globals, time.Now()); err != nil {
		return err
	}
	p.fromKernel() // only the reports that are queued now have waited since the worker before
	return nil
}

// enter starts to synchronise. All sockets must be open.
func (p *pumps) enter(globals joolnl.Globals, now time.Time) error {
	// The program that listened before may have ended before it sent an ACK; the module would wait until its deadline.
	if err := p.module.SendAcks(1); err != nil {
		return err
	}
	p.takeGlobals(globals, now)
	p.readKernel(now)
	p.refreshPool4(now)
	p.begin(now)
	p.host.Listen(replication.CauseStart, now)
	p.wake(now)
	return nil
}

// prepare sets up the parts of a worker that need no sockets.
func (p *pumps) prepare(spec configdir.Spec, now time.Time) {
	p.format = p.version.Format()
	p.host = replication.NewHost(effects{p}, replication.Config{
		Sequence: spec.Sequence, Refresh: spec.RefreshPeriod, Verify: spec.VerifyPeriod, Format: p.format, Software: software,
		Module: uint32(p.version), Limits: limits(spec, p.socket.mtu), Beats: p.beats, Random: p.random,
		Explains: p.explains,
	}, now)
	p.askDue, p.settingsAsked = p.beats.At(now.Add(askEvery), replication.Beat), now.Add(-time.Duration(p.random.Int64N(int64(settingsEvery))))
	p.checkDue = now.Add(checkEvery - askIdle)
	p.announceSecurity(spec, now)
	p.setSecurity(spec, now)
	p.large = p.host.Limits.MTU > datagramSize
}

// post calls fn on the instance's thread, unless the worker ends before.
func (p *pumps) post(fn func()) {
	_ = p.thread.Post(p.guard(func() {
		if p.module != nil {
			fn()
			p.wake(time.Now())
		}
	})) // fails only if the thread has ended, and the thread does not end before its last user
}

// background calls fn in a goroutine of its own. fn must not use data that belongs to the instance's thread.
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

// wakeAt makes the timer call tick at a time; zero means no call.
func (p *pumps) wakeAt(at time.Time) {
	if !at.IsZero() {
		p.timer.SetSooner(at)
	}
}

// guard returns a function that calls fn with the thread's memory. If fn panics, the worker ends.
func (p *pumps) guard(fn func()) func() { return p.alone(func() { p.borrow(fn) }) }

// alone returns a function that calls fn without the thread's memory. If fn panics, the worker ends, and the thread calls none of
// its functions again.
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

// borrow calls fn with the thread's memory in p.scratch.
func (p *pumps) borrow(fn func()) {
	if p.thread == nil { // in the simulator, which sets p.scratch
		fn()
		return
	}
	before := p.scratch
	p.scratch = p.thread.Scratch(newScratch).(*scratch)
	if p.large {
		p.scratch.enlarge()
	}
	well := false
	defer func() {
		if !well {
			p.scratch.reset() // otherwise the next worker would send the queued sessions
		}
		p.scratch = before
	}()
	fn()
	well = true
}

// panicked ends the worker after a panic on its thread: the thread calls none of its functions again. It must be called by the
// deferred function that recovered, so that the error has the stack of the panic.
func (p *pumps) panicked(r any) {
	p.unwatch()
	if p.scratch != nil {
		p.scratch.reset()
	}
	p.fail(panicError(r))
}

// panicError returns a panic as an error. The first line of its text is the panic's value, and the others are the stack.
func panicError(r any) error { return fmt.Errorf("panic: %v\n%s", r, debug.Stack()) }

// fail makes Run return err.
func (p *pumps) fail(err error) {
	select {
	case p.failed <- err:
	default: // Run is about to return an earlier error
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

// close closes the sockets, or leaves them to the next process. whole says that the worker did not fail, so that its vector is
// correct and it may leave a checkpoint.
func (p *pumps) close(whole bool) {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.closed = true
	_ = p.thread.Do(func() { // fails only if the thread has ended, and the thread does not end before its last user
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

// epoch is the time of the first beat.
var epoch = time.Now()
