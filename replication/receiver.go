package replication

import (
	"net/netip"
	"slices"
	"time"

	"joolctl/syncwire"
)

const (
	// ListenFor is how long a host waits for a HELLO that answers its first one before it counts as alone.
	ListenFor = 3 * time.Second
	// ListenForMore is how long it waits for other peers' HELLOs after the first one.
	ListenForMore = 150 * time.Millisecond
	// BeginWithin is how soon a peer must send BEGIN after SOLICIT, before the next peer is asked.
	BeginWithin = time.Second
	// MaxStalls is how many pauses of StallFor a NACK is sent in before the next peer is asked.
	MaxStalls = 6
	// MaxSessions is how many sessions a full sync transfers at most. Both hosts need 36 bytes for each, and as many for
	// their own tables; the receiver needs them for those that have arrived.
	MaxSessions = 64 << 20
	// MaxUnasked bounds how many full syncs that it has not requested a host receives in UnaskedIn: it reads its own table for each.
	// Once they have taken UnaskedIn in a row, the host receives no further one for CostFactor times as long as each has taken, but
	// for LongestWait at most.
	MaxUnasked = 16
	UnaskedIn  = 10 * time.Second
	// ReadWithin is how long a sender may announce a full sync before the first BULK, because it reads its table meanwhile, and
	// ReadSession how much longer for each session.
	ReadWithin  = 10 * time.Second
	ReadSession = 20 * time.Microsecond
	// KeepStopped is how long the BULKs of a stopped full sync are kept.
	KeepStopped = 30 * time.Second
	// InheritWithin is how soon retransmissions must bring what a worker has missed that continues the incarnation before.
	InheritWithin = 2 * time.Second
	// LeastPiece is how many sessions of a peer's table are compared at a time, at least, unless they are the last.
	LeastPiece = 200 * syncwire.MaxBulk
)

// Phase is a step of a full sync at its receiver.
type Phase uint8

// The phases of a full sync.
const (
	PhaseSettled    Phase = iota // none is under way
	PhaseListening               // for HELLOs
	PhaseAsking                  // SOLICIT was sent
	PhaseCollecting              // BULKs
	PhaseComparing               // the rest with the own table
	PhaseInjecting               // the rest
	PhaseChecking                // the own table is read back
)

func (p Phase) String() string {
	return [...]string{"settled", "listening for peers", "asking a peer", "receiving", "comparing", "injecting", "reading back"}[p]
}

// ReceiverHost has the functions of the host that a Receiver calls.
type ReceiverHost interface {
	Thread
	Table
	Module
	Network
	// Deliver queues live sessions for the module that were held. It may change entries.
	Deliver(entries []byte, retransmitted bool, now time.Time)
	// Settings returns the settings of the host's module. The caller must not change them.
	Settings() *syncwire.Settings
	// Waiting reports whether datagrams wait in the network socket.
	Waiting() bool
	// AskHellos sends a HELLO that asks for others within a time. HelloSoon sends one soon, because what it says has changed.
	AskHellos(within time.Duration, now time.Time)
	HelloSoon(now time.Time)
	// Wake has Tick called soon.
	Wake(now time.Time)
	// Active returns when sessions were last sent or received.
	Active() time.Time
	// Count adds n to a counter.
	Count(c Counter, n uint64)
	// Ignore counts sessions of a peer that the module does not get.
	Ignore(why string, entries []byte)
	// Progressed notes that Progress returns something else.
	Progressed(now time.Time)
	// Emit reports an event.
	Emit(Event)
}

// Receiver judges whether the host's table contains everything that the live peers' tables contain, requests full syncs and
// receives them.
type Receiver struct {
	Schedule
	// Verify is the period of verifications; 0: there are none.
	Verify time.Duration
	// Tolerance is that of Compare.
	Tolerance time.Duration
	// Piece is how many sessions of a peer's table are compared at a time, at least.
	Piece int
	// Beats are the moments at which a verification may begin.
	Beats Beats

	host      ReceiverHost
	peers     *Peers
	knowledge *Knowledge
	sender    *Sender

	phase Phase
	sync  syncwire.Sync
	since time.Time // when the phase began
	due   time.Time // when tick continues, unless the phase is PhaseSettled
	// reasons are those of the last verdict, and inherited is true while the host continues the incarnation before, and has not
	// heard whether it missed anything.
	reasons   []Reason
	inherited bool
	complete  bool      // the verdict has been other than no in this incarnation
	verified  time.Time // when the whole table was last compared with a peer's
	blocked   []blockedSessions

	tried  []syncwire.ID // since the last full sync that was completed
	target syncwire.ID
	// ignored is a full sync whose BEGINs are ignored: the own table could not be read, or no BULK followed for too long.
	ignored uint32

	unasked [MaxUnasked]time.Time // when full syncs began that were not requested
	// unaskedUntil is when the pauses after full syncs that were not requested will be over.
	unaskedUntil time.Time
	removals     RemovalLimit // of BIB entries
	in           *incoming
	stopped      *incoming // it can be resumed
	reported     Reported  // by the own module, or by peers while backlog is full
	backlog      Backlog   // live datagrams that wait
	full         bool      // backlog was full: later updates do not wait
	base         time.Time // of the full sync that they wait for
}

// NewReceiver returns the Receiver of a host.
func NewReceiver(host ReceiverHost, peers *Peers, knowledge *Knowledge, sender *Sender) *Receiver {
	return &Receiver{host: host, peers: peers, knowledge: knowledge, sender: sender, Piece: LeastPiece}
}

// Progress describes what a Receiver does, for display.
type Progress struct {
	Sync  syncwire.Sync // the verdict
	Phase Phase
	Cause string
	// Done and Total are sessions: received, or injected, and of how many.
	Done, Total int
	Since       time.Time // when the phase began
	Reasons     []Reason  // of the verdict
	// Blocked is how many sessions of the peer BlockedBy are not stored because too many older mappings are in their way, since
	// BlockedSince.
	Blocked      int
	BlockedBy    netip.Addr
	BlockedSince time.Time
}

// Progress returns what the Receiver does.
func (r *Receiver) Progress() Progress {
	p := Progress{Sync: r.sync, Phase: r.phase, Cause: r.Cause, Since: r.since, Reasons: r.reasons}
	for i, b := range r.blocked {
		p.Blocked += b.sessions
		if i == 0 || b.since.Before(p.BlockedSince) {
			p.BlockedBy, p.BlockedSince = b.by.Address, b.since
		}
	}
	switch r.phase {
	case PhaseCollecting:
		got, expected := r.in.Sessions()
		p.Done, p.Total = int(got), int(expected)
	case PhaseInjecting:
		p.Done, p.Total = r.in.injection.Progress()
	}
	return p
}

// Phase returns the phase of the full sync under way.
func (r *Receiver) Phase() Phase { return r.phase }

// Sync returns the last verdict.
func (r *Receiver) Sync() syncwire.Sync { return r.sync }

func (r *Receiver) enter(ph Phase, now, due time.Time) {
	r.phase, r.since, r.due, r.Running = ph, now, due, ph != PhaseSettled
	r.host.Progressed(now)
}

// Listen has peers say what they have. Until then this host is not complete. The full sync under way ends.
func (r *Receiver) Listen(cause string, now time.Time) {
	if r.phase != PhaseSettled {
		r.finish(now)
	}
	r.sync = syncwire.SyncNo
	r.Set(cause)
	r.enter(PhaseListening, now, now.Add(ListenFor))
	r.host.Emit(MayLackMore{})
	r.host.AskHellos(0, now)
	r.host.Wake(now)
}

// Inherit notes that the host continues the incarnation before, Incarnated that it has begun another one.
func (r *Receiver) Inherit() { r.inherited = true }
func (r *Receiver) Incarnated() {
	r.reasons, r.inherited, r.complete = nil, false, false
	r.forgetBlocked(nil)
}

// Stop ends the full sync under way. The host is not complete, and requests no full sync until Listen.
func (r *Receiver) Stop(now time.Time) {
	r.finish(now)
	r.sync = syncwire.SyncNo
	r.forgetBlocked(nil)
	r.host.Progressed(now)
}

// Stores reports whether the table has got some of the sessions of a full sync, or live datagrams wait for it, so that the
// vector does not say what the table contains.
func (r *Receiver) Stores() bool { return r.in != nil && r.in.began || r.backlog.Len() > 0 }

// Tick does what is due, and returns when to call it again; zero: no need.
func (r *Receiver) Tick(now time.Time) time.Time {
	again := r.Judge(now)
	again = Soonest(again, r.verify(now))
	return Soonest(again, r.tick(now))
}

// tick continues the full sync that is wanted or under way.
func (r *Receiver) tick(now time.Time) time.Time {
	if r.stopped != nil && now.Sub(r.stopped.stopped) > KeepStopped {
		r.stopped = nil
	}
	switch {
	case r.phase == PhaseSettled && r.Cause == "", r.phase == PhaseComparing, r.phase == PhaseInjecting, r.phase == PhaseChecking:
		return time.Time{}
	case r.phase == PhaseSettled && now.Before(r.Due()):
		return r.Due()
	case r.phase != PhaseSettled && now.Before(r.due):
		return r.due
	}
	switch r.phase {
	case PhaseSettled:
		if r.Cause == CauseLacks && r.sender.Serves(r.About, now) {
			r.Postpone(now.Add(AskFirst)) // the peer returns what this host lacks
			return r.Due()
		}
		r.tried = nil
		r.ask(now)
	case PhaseListening:
		r.heardEnough(now)
	case PhaseAsking:
		if now.Sub(r.since) < BeginWithin {
			r.solicit(now)
		} else {
			r.ask(now)
		}
	case PhaseCollecting:
		r.stalled(now)
	}
	if r.phase == PhaseSettled && r.Cause != "" {
		return r.Due()
	}
	return r.due
}

// heardEnough ends the time in which peers say what they have.
func (r *Receiver) heardEnough(now time.Time) {
	live := r.Look(now)
	lost := slices.ContainsFunc(r.knowledge.Lacks(), func(l Lack) bool { return !l.Pending })
	switch {
	case len(live) == 0 && now.Sub(r.since) < ListenFor:
		r.due = r.since.Add(ListenFor)
	case len(r.knowledge.Lacks()) == 0:
		r.settle(now)
	case !lost && now.Sub(r.since) < InheritWithin: // retransmissions are expected
		r.due = now.Add(ReorderFor)
	default:
		r.tried = nil
		r.ask(now)
	}
}

// settle ends the start without a full sync, because no peer has more than this host.
func (r *Receiver) settle(now time.Time) {
	if live := r.peers.Live(now); r.inherited && len(live) > 0 {
		r.host.Emit(SyncEnded{SyncReport{From: live[0].Address.String(), Why: CauseInherited, Had: r.host.Sessions(), At: now, Took: now.Sub(r.since)}})
	}
	r.verified = now
	r.finish(now)
}

// ask sends SOLICIT to the best peer that was not asked yet.
func (r *Receiver) ask(now time.Time) {
	best := r.knowledge.Best(r.tried, r.About, now)
	switch {
	case best != nil:
		r.target = best.ID
		r.tried = append(r.tried, r.target)
		r.enter(PhaseAsking, now, now)
		r.solicit(now)
	case len(r.tried) > 0:
		r.host.Emit(NoPeerSends{Cause: r.Cause})
		r.giveUp(now)
	default:
		r.Count(false, now)
		r.finish(now)
	}
}

// solicit asks the target.
func (r *Receiver) solicit(now time.Time) {
	r.host.Send(&syncwire.Solicit{To: r.target}, nil)
	r.due = now.Add(SolicitEvery)
}

// giveUp ends the full sync, and wants another one for the same cause after a pause, unless this host did not need it.
func (r *Receiver) giveUp(now time.Time) {
	cause, about, earliest := r.Cause, r.About, now
	r.Count(false, now)
	r.finish(now)
	switch {
	case cause == CauseVerification: // the only cause that has no pause otherwise
		earliest = now.Add(r.pausesOf(about)[cause].Next(now))
	case !Withholds(cause):
		return
	}
	r.WantAfter(cause, about, earliest, now)
}

// finish ends the full sync.
func (r *Receiver) finish(now time.Time) {
	n := 0
	if r.in != nil {
		got, _ := r.in.Sessions()
		n = int(got)
		r.gained(now)
		r.charge(now)
	}
	r.inherited = false
	r.in, r.target, r.full = nil, 0, false
	r.reported.Stop()
	r.Finish(now)
	r.enter(PhaseSettled, now, time.Time{})
	r.release()
	r.host.Emit(TableReleased{n})
	r.host.HelloSoon(now)
}
