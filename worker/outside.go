package worker

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/session"
)

// module has the requests that the worker sends to its Jool instance. *joolnl.Conn implements it; the simulator replaces it.
type module interface {
	AskHello() (alive bool, err error)
	AskStats() (joolnl.Stats, error)
	AskGlobals() (joolnl.Globals, error)
	AskUpdate(changes ...joolnl.Change) error
	AskSessions(dst []session.Session, p session.Proto, after *session.Session) (page []session.Session, more bool, err error)
	AskSession(buf []session.Session, want *session.Record) (got session.Record, there bool, page []session.Session, err error)
	AskPool4(dst []joolnl.Pool4Entry, p session.Proto, after *joolnl.Pool4Entry) (page []joolnl.Pool4Entry, more bool, err error)
	AskRemoveBIB(p session.Proto, src4 netip.AddrPort) error
	SendAcks(n int) error
	AppendAdd(dst []byte, entriesLen int) (header []byte, seq uint32)
	SendAdds(batch *packetio.Gather) error
	ReadErrors()
}

// outside has the other effects of the worker: time, the instance's thread and the network socket. *pumps implements it; the
// simulator replaces it.
type outside interface {
	// now returns the present time.
	now() time.Time
	// post makes the instance's thread call fn soon. fn is not called if the worker ends before that.
	post(fn func())
	// background calls fn in a goroutine of its own. fn must not use data that belongs to the instance's thread.
	background(fn func())
	// sendOut sends the datagrams of a batch to their destinations. It calls failedTo for what the kernel has not taken.
	sendOut(b *packetio.Batch)
	// sendWhole is sendOut for datagrams that neither the kernel nor a router may divide.
	sendWhole(b *packetio.Batch)
	// drain processes the reports that are queued on the netlink socket.
	drain()
	// readTable reads the instance's whole table and passes it to done on the instance's thread. The times left are those at
	// the time base. sizeHint is the expected number of sessions. readTable gives up, without calling done, once stop returns
	// true.
	readTable(sizeHint int, base time.Time, stop func() bool, done func(replication.Snapshot, error))
	// waits reports whether the network socket has datagrams to read.
	waits() bool
	// stalledFor returns how long data that can be read now may have waited because the thread was stopped; 0 if it was not.
	stalledFor() time.Duration
}

// alarm is a timer that calls a fixed function of the worker.
type alarm interface {
	Set(at time.Time)
	SetSooner(at time.Time)
	Stop()
}

func (p *pumps) now() time.Time { return time.Now() }

func (p *pumps) sendOut(b *packetio.Batch) { p.socket.sender.SendBatch(p.socket.fd, b, p.failedFn) }

func (p *pumps) sendWhole(b *packetio.Batch) {
	if err := whole(p.socket.fd, func() { p.sendOut(b) }); err != nil {
		p.w.log.warn("a padded HELLO could not be sent", "error", err)
	}
}

func (p *pumps) drain() { p.takeReports() }

func (p *pumps) waits() bool { return p.socket.waits() }

func (p *pumps) stalledFor() time.Duration { return p.thread.StalledFor() }

// newRandom returns a source of random numbers with a seed of its own.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
