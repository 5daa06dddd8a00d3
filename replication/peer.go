package replication

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"joolctl/syncwire"
)

const (
	// HelloIdle is the interval between a host's HELLOs without traffic, and the longest one.
	HelloIdle = 10 * time.Second
	// LateHello is how late a peer's next datagram may be before the peer is not live any more.
	LateHello = 2 * time.Second
	// AbsentAfter is how long a peer must be silent for its missing datagrams not to be requested any more: two HELLOs
	// without traffic may get lost.
	AbsentAfter = 25 * time.Second
)

// PeerInfo describes a peer for display.
type PeerInfo struct {
	// Address is the source of the last datagram, without a zone.
	Address netip.Addr
	// LastHeard is when the last datagram arrived.
	LastHeard time.Time
	// LiveUntil is until when the peer is live if it is not heard again.
	LiveUntil time.Time
	// ID is the sender ID; 0 is an upstream joold, whose other fields are unknown.
	ID syncwire.ID
	// Software, Module (the version of the peer's Jool as HELLO encodes it), Sync and Sessions (the size of the peer's
	// table) are from the peer's last HELLO.
	Software string
	Module   uint32
	Sync     syncwire.Sync
	Sessions uint32
	// Lag is how far the peer is behind the host's live datagrams.
	Lag Lag
	// Lost and Repaired count datagrams of the peer: those lost for good, and those that a retransmission brought.
	Lost, Repaired uint64
	// Differs names the settings that differ from the host's, and DiffersSince says since when those of them differ that matter
	// (see Matters); zero: none does.
	Differs      []string
	DiffersSince time.Time
	// Security is the peer's mode and keys, from its last HELLO, and SecuritySince is since when they have been these. Authentic is
	// true if that HELLO was sealed. Otherwise anybody may have sent it.
	Security      syncwire.Security
	SecuritySince time.Time
	Authentic     bool
	// TooLargeSince is since when Sessions has been above MaxSessions; zero: it is not.
	TooLargeSince time.Time
}

// Peer is a peer with the state that receiving from it takes.
type Peer struct {
	PeerInfo           // Lost and Repaired are those of Stream
	Stream      Stream // the peer's live datagrams
	LargerTable LargerTable
	// Pauses are those after full syncs for reasons that concern the peer.
	Pauses Pauses
	Since  time.Time // when it was first heard
	// Served is when END of the host's whole table was last sent to the peer, if the peer has not returned anything since;
	// zero: never. ServedDoubts is Knowledge.Doubts when that table was read.
	Served       time.Time
	ServedDoubts int
	// WasComplete is when it last said that it does not lack sessions; zero: never.
	WasComplete time.Time

	// sendsHeard is true if its last HELLO had Hello.Heard. passes is the length of the last padded HELLO of this host that had arrived
	// there lately; -1: the HELLO does not say.
	sendsHeard bool
	passes     int
	// padded is the length of the last padded HELLO that arrived from the peer, at the time paddedAt.
	padded   int
	paddedAt time.Time
	searched bool // the host has looked for the longest packet that arrives there

	replaced   bool // another sender was heard from its address, and it was not heard since
	greeted    bool // it has sent a HELLO since it was last absent
	asked      bool // it was asked for a HELLO
	hello      time.Time
	nextIn     time.Duration // until the HELLO after that
	generation uint32        // of its position, from its last HELLO
	said       syncwire.Seq  // the number of its last live datagram, from its last HELLO
	saidIn     int           // the restarts of Stream before that HELLO
	outdated   int           // HELLOs in a row with a lower position
	capacity   uint32        // its ss-capacity, from its last HELLO
	vector     []syncwire.Component
	// droppingSince is when it began to say that its module drops sessions; zero: it does not.
	droppingSince time.Time
	restarts      int // those of Stream that the vector takes into account
	lagging       lagging
	lived         bool         // it was live when Stream was last taken into the vector, or it is new
	lateUntil     time.Time    // until then, its datagrams are delivered that have waited in the socket
	deliver       func([]byte) // see Host.delivers
	// ahead is since when another peer has received more of its live datagrams than this host; zero: none has.
	ahead time.Time
	// claimed is the last live datagram that another peer had received at the time claimedAt, when this host lacked it. Both
	// are kept after ahead, until the host lacks nothing of the peer. claimedAt is zero if there was no such claim.
	claimed   syncwire.Seq
	claimedAt time.Time
	// uncovered has the dead origins that it has in its vector, and that full syncs did not bring.
	uncovered                    map[syncwire.ID]uncovered
	countedLost, countedRepaired uint64 // those that TakeLosses has returned
}

// heard records that the peer was heard. After a long absence its datagrams in between count as lost: retransmissions of
// them don't show which of the host's mappings are out of date, and the module refuses a session whose mapping belongs to
// another host in silence. After a shorter absence they count as lost if the table has received sessions of other senders
// meanwhile, last at others: these may be newer states of the same sessions, which a retransmission would overwrite. A full
// sync compares the two. A datagram that waited in the socket while the process was stopped arrived at an earlier time.
func (k *Peer) heard(others, arrived time.Time) {
	switch {
	case k.LastHeard.IsZero():
	case arrived.Sub(k.LastHeard) > AbsentAfter:
		k.greeted, k.Served = false, time.Time{}
		k.Stream.Absent()
	case arrived.After(k.liveUntil()) && others.After(k.LastHeard):
		k.Stream.Absent()
	}
	k.LastHeard = Latest(k.LastHeard, arrived)
}

// Live reports whether the peer has an ID and is live.
func (k *Peer) Live(now time.Time) bool {
	return k.ID != 0 && !k.replaced && !now.After(k.liveUntil())
}

// liveUntil returns until when the peer is live if it is not heard again: LateHello after its next HELLO is expected.
func (k *Peer) liveUntil() time.Time {
	nextIn := HelloIdle
	if k.greeted && k.nextIn > 0 {
		nextIn = min(k.nextIn, HelloIdle)
	}
	return k.LastHeard.Add(nextIn + LateHello)
}

// Greeted reports whether the peer has sent a HELLO since it was last absent.
func (k *Peer) Greeted() bool { return k.greeted }

// Vector returns the vector of the peer's last HELLO. The caller must not change it.
func (k *Peer) Vector() []syncwire.Component { return k.vector }

// OutdatedHellos is how many HELLOs in a row must have a lower position than the one before them until they count: a forged HELLO may
// have set the position too high.
const OutdatedHellos = 3

// Outdated reports whether a HELLO is older than the one before: a duplicate, or overtaken in the network. The position of a sender
// never falls, unless it counts from a lower number again. last is the number in the HELLO's head.
func (k *Peer) Outdated(h *syncwire.Hello, last syncwire.Seq) bool {
	if k.greeted && k.saidIn == k.Stream.Restarts() && (h.Generation < k.generation || h.Generation == k.generation && k.said.After(last)) {
		if k.outdated++; k.outdated < OutdatedHellos {
			return true
		}
	}
	k.outdated, k.said, k.saidIn = 0, last, k.Stream.Restarts()
	return false
}

// Greet takes a HELLO of the peer, which arrived at a given time. own are the host's settings.
func (k *Peer) Greet(h *syncwire.Hello, own *syncwire.Settings, arrived time.Time) {
	k.Software, k.Module, k.Sync, k.Sessions = h.Software, h.Module, h.Sync, h.Sessions
	k.Differs = own.Diff(h.Settings)
	k.sendsHeard = h.Heard != nil
	k.DiffersSince = while(len(Matters(k.Differs)) > 0, k.DiffersSince, arrived)
	k.TooLargeSince = while(k.Sessions > MaxSessions, k.TooLargeSince, arrived)
	k.greeted, k.hello, k.nextIn = true, arrived, time.Duration(h.NextIn)*time.Second
	k.generation, k.vector, k.capacity = h.Generation, h.Vector, h.Settings.SSCapacity
	if h.Sync != syncwire.SyncNo {
		k.WasComplete = arrived
	}
	k.droppingSince = while(h.Dropping, k.droppingSince, arrived)
}

// while returns since when a condition holds that has held since a moment before; zero: it did not, or does not.
func while(holds bool, since, now time.Time) time.Time {
	switch {
	case !holds:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// Matters returns those of different settings without which sessions mean something else on the other host. Settings that concern
// how a host's own module reports sessions, or searches for new mappings, may differ.
func Matters(differs []string) (names []string) {
	for _, name := range differs {
		if !strings.HasPrefix(name, "ss-") && name != syncwire.PoolIterations {
			names = append(names, name)
		}
	}
	return names
}

// Dropping reports whether the peer says that its module drops sessions, and since when.
func (k *Peer) Dropping() (since time.Time, dropping bool) {
	return k.droppingSince, !k.droppingSince.IsZero()
}

// TunedCapacity is the ss-capacity that "tune ss" sets.
const TunedCapacity = 16384

// MoreCapacity returns the ss-capacity to set while a module with an ss-capacity drops sessions: twice as much, or TunedCapacity
// if that is more.
func MoreCapacity(capacity uint32) uint32 {
	return max(TunedCapacity, uint32(min(2*uint64(capacity), math.MaxUint32)))
}

// TakeLosses returns how many datagrams of the peer were lost for good, and how many a retransmission brought, since the
// last call.
func (k *Peer) TakeLosses() (lost, repaired uint64) {
	lost, repaired = k.Stream.Lost()-k.countedLost, k.Stream.Repaired()-k.countedRepaired
	k.countedLost, k.countedRepaired = k.Stream.Lost(), k.Stream.Repaired()
	return lost, repaired
}

// better reports whether peer a is a better source of a full sync than peer b if both have as many of the missing sessions: a
// complete peer is better, then about, then the one with more sessions.
func better(a, b, about *Peer) bool {
	if as, bs := a.Sync == syncwire.SyncYes, b.Sync == syncwire.SyncYes; as != bs {
		return as
	}
	if a == about || b == about {
		return a == about
	}
	return a.Sessions > b.Sessions
}
