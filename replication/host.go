package replication

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// HelloBusy is the interval between a host's HELLOs under traffic.
const HelloBusy = time.Second

// Effects has the functions that a Host calls: they carry out what the Host decides.
type Effects interface {
	Thread
	Module
	// Store queues sessions of any format for the module. It may change entries.
	Store(entries []byte)
	// Lookup returns the module's record of a session.
	Lookup(r *session.Record) (own session.Record, there bool, err error)
	// Transmit sends sessions to all peers with a trailer, which it may write behind them. Message sends a control message to some
	// peers; none: to all. If the network is a multicast group, it reaches the others, too. Neither keeps its arguments.
	Transmit(entries []byte, t syncwire.Trailer)
	Message(m syncwire.Message, to []syncwire.ID)
	// OpenBatch queues datagrams and messages until Flush, which sends them together. Pairs of both may be nested. Push sends the queued
	// ones.
	OpenBatch()
	Flush()
	Push()
	// Waiting reports whether datagrams wait in the network socket.
	Waiting() bool
	// Scratch returns memory that is lent to the Host until it returns to its caller.
	Scratch() *Scratch
	// Wake has Tick called not later than at.
	Wake(at time.Time)
	// Count adds n to a counter.
	Count(c Counter, n uint64)
	// Progressed notes that Receiver.Progress returns something else.
	Progressed(now time.Time)
	// Emit reports an event.
	Emit(Event)
}

// Scratch is memory that hosts of one thread use in turn.
type Scratch struct{ Out []byte }

// Counter identifies a counter of sessions, datagrams or messages.
type Counter uint8

// The counters of a Host.
const (
	CountCoalesced     Counter = iota // reported sessions that are sent later, or not at all because peers need no report of them
	CountRefreshed                    // sessions that are sent although they were not reported just now
	CountIgnored                      // received sessions that the module does not get
	CountLost                         // live datagrams of peers that are lost for good
	CountRepaired                     // those that a retransmission has brought or made unnecessary
	CountMalformed                    // messages that make no sense
	CountNotUnderstood                // messages and trailers of an unknown version
	CountFound                        // sessions that only the table-size check or a verification has found missing
	CountIgnoredClaims                // claims of peers to have sessions of dead hosts that full syncs from there have not brought
)

// Config configures a Host.
type Config struct {
	// Sequence is true if live datagrams have sequence numbers, so that peers can request retransmissions and full syncs.
	Sequence bool
	// Refresh is the period of NewCoalescer, Verify that of Receiver.
	Refresh, Verify time.Duration
	// Explains reports whether SessionIgnored is to be emitted; nil: never.
	Explains func() bool
	// Format is that of the module's sessions.
	Format session.Format
	// Software and Module are those of HELLO.
	Software string
	Module   uint32
	// Limits bounds the datagrams.
	Limits syncwire.Limits
	Beats  Beats
	Random *rand.Rand
}

// Host synchronises the table of one instance with those of its peers. All of its methods are called on one thread.
type Host struct {
	Peers         *Peers
	Knowledge     *Knowledge
	Sender        *Sender
	Receiver      *Receiver
	Coalescer     *Coalescer
	Retransmitter Retransmitter
	SentLog       SentLog
	Stalls        Stalls
	// Sealed is true while the datagram that is received was sealed, and so is authentic. The caller of Message sets it.
	Sealed bool

	Config
	do        Effects
	settings  syncwire.Settings
	security  syncwire.Security
	counters  ModuleCounters // as last read
	counted   bool           // they have been read
	polled    time.Time      // when they were last read
	dropped   time.Time      // when the module was last seen to have dropped sessions
	hello     time.Time      // when the next HELLO is due
	asks      bool           // it asks for HELLOs
	active    time.Time      // when sessions were last sent or received
	reported  time.Time      // when the module last reported sessions
	began     time.Time      // when the incarnation began; zero: the table has been complete since (see withoutStale)
	lookups   lookups
	advertise advertiser
	path      path
	pathTold  PathTrouble    // as last emitted
	bulk      syncwire.Bulk  // the one that is received
	to        [1]syncwire.ID // memory for the only peer of a message
	// Method values, made once because each costs an allocation.
	refreshFn    func(*session.Record)
	retransmitFn func([]byte, syncwire.Seq)
}

// NewHost returns a Host that knows nothing of its table.
func NewHost(do Effects, c Config, now time.Time) *Host {
	h := &Host{Config: c, do: do, hello: now, active: now}
	h.Peers = NewPeers(PeersConfig{
		Expected: func(origin syncwire.ID) (syncwire.Seq, time.Time, bool) { return h.Knowledge.Expected(origin) },
		Jitter:   func() time.Duration { return time.Duration(c.Random.Int64N(int64(10 * time.Millisecond))) },
		Dropped:  func(entries []byte) { h.ignore(ignoredForgotten, entries) },
	})
	h.Knowledge = NewKnowledge(h.newID(), h.Peers)
	h.Coalescer = NewCoalescer(c.Refresh, c.Random.Uint64())
	in := inner{do, h}
	h.Sender = NewSender(in, h.Peers, h.Knowledge, c.Random)
	h.Receiver = NewReceiver(in, h.Peers, h.Knowledge, h.Sender)
	h.Receiver.Beats = c.Beats
	h.Receiver.Verify, h.Receiver.Tolerance = c.Verify, 2*c.Refresh
	h.refreshFn, h.retransmitFn = h.takeRefresh, h.retransmit
	return h
}

func (h *Host) newID() syncwire.ID { return syncwire.ID(h.Random.Uint32() | 1) }

// Settings returns the settings of the instance.
func (h *Host) Settings() *syncwire.Settings { return &h.settings }

// SetSettings takes the settings of the instance. HELLO has them.
func (h *Host) SetSettings(s syncwire.Settings) {
	h.settings = s
	h.Knowledge.Longest = s.Longest()
}

// Active returns when sessions were last sent or received.
func (h *Host) Active() time.Time { return h.active }

// Idle reports whether no sessions were sent or received for HelloIdle.
func (h *Host) Idle(now time.Time) bool { return now.Sub(h.active) >= HelloIdle }

// Sessions returns how many sessions the instance had when its counters were last read.
func (h *Host) Sessions() int { return int(h.counters.Sessions) }

// Pending returns how many sessions have been received and will be given to the module later.
func (h *Host) Pending() (n uint64) {
	for _, from := range h.Peers.All() {
		n += from.Stream.BufferedSessions()
	}
	return n + h.Receiver.Queued()
}

// Doubt notes that the table may lack sessions of any origin: the module had no memory for some.
func (h *Host) Doubt(now time.Time) { h.Receiver.Doubt(now) }

// Progress returns the verdict, and the progress of the full sync under way.
func (h *Host) Progress() Progress { return h.Receiver.Progress() }

// Listen has peers say what they have, and has the table compared with theirs.
func (h *Host) Listen(cause string, now time.Time) {
	if h.Sequence {
		h.Receiver.Listen(cause, now)
	}
}

// Moved forgets the peers, because the host is in another group now.
func (h *Host) Moved(now time.Time) {
	h.Knowledge.Advance(now)
	h.Peers.ForgetAll()
	h.do.Emit(PeersChanged{})
	h.Listen(CauseMoved, now)
}

// SetPeriods changes Config.Refresh and Config.Verify.
func (h *Host) SetPeriods(refresh, verify time.Duration, now time.Time) {
	if refresh <= 0 { // every report is sent from now on; a refresh must not follow it
		h.Drain(now)
	}
	h.Coalescer.SetPeriod(refresh) // refreshes that wait are sent when they would have been
	h.Receiver.Verify, h.Receiver.Tolerance = verify, 2*refresh
}

// SetLimits changes Config.Limits. Retransmissions of earlier datagrams and full syncs under way keep the old lengths.
func (h *Host) SetLimits(l syncwire.Limits) {
	h.Limits = l
	h.path.restart()
	h.publishPath()
}

// SetSequence changes Config.Sequence.
func (h *Host) SetSequence(on bool, now time.Time) {
	if on == h.Sequence {
		return
	}
	if h.Sequence = on; !on {
		h.Receiver.Stop(now)
		h.Sender.Stop()
		for _, from := range h.Peers.All() {
			from.Stream.Stop(now, h.delivers(from))
			h.Knowledge.Forget(from.ID)
		}
		h.do.FlushStored()
	}
	if on {
		h.do.ReadCounters(now) // which say whether the table is empty
		h.incarnate()          // no position counts the sessions that were reported or sent meanwhile
	}
	h.Listen(CauseStart, now)
}

// Tick does what is due, and returns when to call it again; zero: no need.
func (h *Host) Tick(now time.Time) (next time.Time) {
	next = Soonest(h.SendRefreshes(now), h.tickAdvertise(now))
	if !h.Sequence {
		return next
	}
	for _, from := range h.Peers.All() {
		lost, repaired := from.TakeLosses()
		h.do.Count(CountLost, lost)
		h.do.Count(CountRepaired, repaired)
	}
	for _, from := range h.Peers.All() {
		next = Soonest(next, h.tickStream(from, now))
	}
	h.do.FlushStored()
	next = Soonest(next, h.Receiver.Tick(now))
	next = Soonest(next, h.Sender.Tick(now))
	if !now.Before(h.hello) {
		h.sendHello(now)
	}
	h.freeIdle(now)
	return Soonest(next, h.hello)
}

// freeIdle frees the memory that only traffic needs, once there is none.
func (h *Host) freeIdle(now time.Time) {
	if h.Retransmitter.Indexed() {
		h.Retransmitter.Expire(now)
	}
	if now.Sub(h.active) > time.Minute {
		h.Retransmitter.Free()
		h.SentLog.Free()
		if h.Coalescer.Idle() {
			h.Coalescer.Free()
		}
	}
}

// inner has the functions of a Host that its Sender and its Receiver call.
type inner struct {
	Effects
	h *Host
}

func (i inner) Sessions() int                { return i.h.Sessions() }
func (i inner) Settings() *syncwire.Settings { return &i.h.settings }
func (i inner) Limits() syncwire.Limits      { return i.h.Limits }
func (i inner) Active() time.Time            { return i.h.active }
func (i inner) HelloSoon(now time.Time)      { i.h.helloSoon(now) }
func (i inner) SendRefreshes()               { i.h.hasten(i.Now()) }

func (i inner) Send(body syncwire.Body, audience []syncwire.ID) { i.h.send(body, audience) }

func (i inner) Reply(body syncwire.Body, now time.Time)   { i.h.reply(body, now) }
func (i inner) RemoveBIB(masks []Mask)                    { i.h.removeBIB(masks) }
func (i inner) AskHellos(d time.Duration, now time.Time)  { i.h.askHellos(d, now) }
func (i inner) Ignore(why string, b []byte)               { i.h.ignore(why, b) }
func (i inner) Deliver(b []byte, again bool, t time.Time) { i.h.deliverQueued(b, again, t) }

// removeBIB removes BIB entries of the module, and drops what waits to be sent of their sessions, which have lost against a
// peer's.
func (h *Host) removeBIB(masks []Mask) {
	if len(masks) == 0 {
		return
	}
	h.do.RemoveBIB(masks)
	set := make(map[Mask]struct{}, len(masks))
	for _, m := range masks {
		set[m] = struct{}{}
	}
	h.Coalescer.Remove(set)
	h.Retransmitter.Remove(set, h.Format)
}

// Restrict has the peers whose addresses are not listed any more count as dead until they are heard again.
func (h *Host) Restrict(listed func(netip.Addr) bool, now time.Time) {
	changed := false
	for _, known := range h.Peers.All() {
		if !known.replaced && !listed(known.Address) {
			known.replaced, changed = true, true
		}
	}
	if changed {
		h.do.Emit(PeersChanged{})
		h.do.Wake(now)
	}
}

// Garbled records a datagram that does not identify its sender.
func (h *Host) Garbled(from netip.Addr, now time.Time) { h.Peers.Garbled(from, now) }
