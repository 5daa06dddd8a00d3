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

// module is what the decisions ask of the instance. *joolnl.Conn is the real one.
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

// outside is what else the decisions act on: time, the instance's thread and the network socket. *pumps is the real one.
type outside interface {
	// now is the moment.
	now() time.Time
	// post calls fn on the instance's thread, unless the worker ends before.
	post(fn func())
	// background calls fn beside the thread. fn must touch nothing that is the thread's.
	background(fn func())
	// transmit sends a datagram to the group, transmitBatch those of a batch from the ith on. It returns how many were sent before the
	// error.
	transmit(b []byte) error
	transmitBatch(b *packetio.Batch, i int) (sent int, err error)
	// drain takes the reports that wait.
	drain()
	// readTable reads the instance's whole table and hands it to done, on the thread, with its times left as they were at base.
	// sizeHint is how many sessions it is expected to have. stop reports whether nobody wants it any more.
	readTable(sizeHint int, base time.Time, stop func() bool, done func(replication.Snapshot, error))
	// waits reports whether datagrams wait in the network socket.
	waits() bool
	// stoodStill is for how long the thread has just stood still.
	stoodStill() time.Duration
}

// alarm calls a function of the worker's at a moment.
type alarm interface {
	Set(at time.Time)
	SetSooner(at time.Time)
	Stop()
}

func (p *pumps) now() time.Time { return time.Now() }

func (p *pumps) transmit(b []byte) error { return p.socket.sender.Send(p.socket.fd, b) }

func (p *pumps) transmitBatch(b *packetio.Batch, i int) (sent int, err error) {
	return p.socket.sender.SendBatch(p.socket.fd, b, i)
}

func (p *pumps) drain() { p.takeReports() }

func (p *pumps) waits() bool { return p.socket.waits() }

func (p *pumps) stoodStill() time.Duration { return p.thread.StoodStill() }

// newRandom is a source of random numbers that nobody else has.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
