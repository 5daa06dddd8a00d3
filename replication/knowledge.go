package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// ReportedWithin is how soon a new session of a host is in one of its live datagrams, or in its generation: the module
// sends a report within its timer's 2 s and its deadline, and its counters are read every 5 s at the latest.
const ReportedWithin = 10 * time.Second

// Knowledge keeps a host's position and vector, and finds the sessions that its table lacks of the live peers' tables.
type Knowledge struct {
	// Longest is the longest timeout of a session in the host's settings.
	Longest time.Duration

	peers    *Peers
	self     syncwire.ID
	position syncwire.Position
	vector   Vector
	// stored is the vector from before live datagrams began to wait for a full sync; nil: none wait.
	stored []syncwire.Component
	// blocked is true while sessions of a full sync are not stored although the vector covers them (see Receiver.blocked).
	blocked bool
	// evicted is true if an origin's component was dropped while live datagrams waited.
	evicted bool
	doubts  int
	// unclaimed has the peers whose sessions a full sync stored here, and when; see ClaimOrphans.
	unclaimed map[syncwire.ID]time.Time
	// bereaved is when a peer was last found to be gone, or the host began: the peer's sessions may be in other peers' tables
	// without a position.
	bereaved time.Time
	lacks    []Lack
}

// NewKnowledge returns the Knowledge of a host that knows nothing of its table. self is its sender ID.
func NewKnowledge(self syncwire.ID, peers *Peers) *Knowledge {
	return &Knowledge{self: self, peers: peers}
}

// Incarnate begins a new incarnation with a sender ID. Its table may lack any session, and has sessions of its own unless
// empty is true.
func (k *Knowledge) Incarnate(self syncwire.ID, empty bool, now time.Time) {
	*k = Knowledge{Longest: k.Longest, peers: k.peers, self: self, doubts: k.doubts + 1, bereaved: now}
	if !empty {
		k.position.Generation = 1
	}
	for _, known := range k.peers.All() {
		known.Stream.Doubt()
	}
}

// Checkpoint is the Knowledge that a worker leaves to the next one of the same instance.
type Checkpoint struct {
	Self      syncwire.ID
	Position  syncwire.Position
	Vector    []syncwire.Component
	Unclaimed map[syncwire.ID]time.Time // peers whose sessions a full sync has stored, and when
	Written   time.Time                 // the ages in Vector are from then
	Counters  ModuleCounters            // the module's
}

// Checkpoint returns what the next worker needs to continue this incarnation.
func (k *Knowledge) Checkpoint(now time.Time) Checkpoint {
	k.Advance(now)
	return Checkpoint{Self: k.self, Position: k.position, Vector: k.vector.Components(now), Unclaimed: k.unclaimed, Written: now}
}

// Continue continues the incarnation of a Checkpoint.
func (k *Knowledge) Continue(c *Checkpoint, now time.Time) {
	k.bereaved = now
	k.self, k.position, k.unclaimed = c.Self, c.Position, c.Unclaimed
	k.vector.Merge(c.Vector, c.Written, func(syncwire.ID) bool { return false })
	k.peers.Stored(0, c.Written)
}

// Self returns the host's sender ID.
func (k *Knowledge) Self() syncwire.ID { return k.self }

// Position returns the host's own position.
func (k *Knowledge) Position() syncwire.Position { return k.position }

// Doubts returns how often the vector was forgotten. A vector that a peer sent before must not be merged any more.
func (k *Knowledge) Doubts() int { return k.doubts }

// NextSeq returns the sequence number of the host's next live datagram, and moves the host's position there.
func (k *Knowledge) NextSeq() syncwire.Seq {
	if k.position.Seq++; k.position.Seq == 0 {
		k.position.Generation++ // the zero position means that there was no session yet
	}
	return k.position.Seq
}

// Gain notes that the table has got sessions, or may have, that are in no live datagram: peers need a full sync for them.
func (k *Knowledge) Gain() { k.position.Generation++ }

// Advance takes the peers' live datagrams that have arrived into the vector.
func (k *Knowledge) Advance(now time.Time) {
	for _, known := range k.peers.All() {
		s := &known.Stream
		if known.ID == 0 || !s.Started() {
			continue
		}
		if known.restarts != s.Restarts() {
			known.restarts = s.Restarts()
			k.vector.Restart(known.ID)
		}
		live := known.Live(now)
		if live {
			k.vector.Lives(known.ID)
		}
		if live || known.lived { // a dead origin once more: datagrams may have arrived just before it died
			first, last, top := s.Complete()
			k.vector.Advance(known.ID, first, last, top)
		}
		if known.lived && !live {
			k.bereaved = now
		}
		known.lived = live
	}
	if k.vector.Age(now, k.Longest, k.peers.isLive(now)) {
		k.Gain() // the sessions of the evicted origin are this host's from now on
		k.evicted = k.evicted || k.stored != nil
	}
}

// Expected returns the first live datagram of an origin that the table lacks, if that is known, and since when the origin has
// been dead; zero: it is not dead.
func (k *Knowledge) Expected(origin syncwire.ID) (seq syncwire.Seq, dead time.Time, known bool) {
	i, found := k.vector.find(origin)
	if !found {
		return 0, time.Time{}, false
	}
	c := &k.vector.components[i]
	return c.complete.Seq + 1, c.dead, c.known
}

// Empty notes that an origin has had no session yet.
func (k *Knowledge) Empty(origin syncwire.ID) { k.vector.Empty(origin) }

// Forget notes that the table may lack any session of an origin.
func (k *Knowledge) Forget(origin syncwire.ID) {
	k.vector.Forget(origin)
	for i := range k.stored {
		if c := &k.stored[i]; c.Origin == origin {
			c.Known, c.Complete = false, syncwire.Position{}
		}
	}
}

// Block notes whether sessions of a full sync are not stored although the vector covers them. Meanwhile peers are not told that
// anything is complete: a full sync from this host does not bring them these sessions, which may be of any origin.
func (k *Knowledge) Block(blocked bool) { k.blocked = blocked }

// Components returns the vector as HELLO carries it. Sessions that wait for a full sync are not in the table yet.
func (k *Knowledge) Components(now time.Time) []syncwire.Component {
	k.Advance(now)
	if k.blocked {
		return k.vector.Advertise([]syncwire.Component{}, now)
	}
	return k.vector.Advertise(k.stored, now)
}

// Whole returns the vector as BEGIN carries it: the own component first.
func (k *Knowledge) Whole(now time.Time) []syncwire.Component {
	return Whole(k.self, k.position, k.Components(now))
}

// Wait notes that live datagrams wait for a full sync from now on.
func (k *Knowledge) Wait(now time.Time) { k.stored = k.Components(now) }

// Stored notes that no live datagrams wait any more. It returns true if the host's generation has risen: an origin was evicted
// meanwhile, so no component counts its updates.
func (k *Knowledge) Stored() (risen bool) {
	risen = k.evicted
	if risen {
		k.Gain()
	}
	k.stored, k.evicted = nil, false
	return risen
}

// Doubt notes that the table may lack sessions of any origin.
func (k *Knowledge) Doubt(now time.Time) {
	k.Advance(now)
	k.doubts++
	k.vector.ForgetAll()
	if k.stored != nil {
		k.stored = []syncwire.Component{} // the table may lack any session
	}
	for _, known := range k.peers.All() {
		known.Stream.Doubt()
	}
}

// Merge notes that the table contains everything that a peer's table with that vector contained when Doubts returned doubts.
// If the vector was forgotten since, nothing is merged.
func (k *Knowledge) Merge(vector []syncwire.Component, doubts int, now time.Time) {
	if doubts != k.doubts {
		return
	}
	k.Advance(now)
	k.vector.Merge(Others(vector, k.self), now, k.peers.isLive(now))
}

// RaiseHighest notes that the table may contain some of the sessions of a peer's table with that vector.
func (k *Knowledge) RaiseHighest(vector []syncwire.Component, now time.Time) {
	k.vector.RaiseHighest(Others(vector, k.self), now, k.peers.isLive(now))
}

// Stores notes that a full sync stores sessions of a peer's table.
func (k *Knowledge) Stores(of syncwire.ID, now time.Time) {
	if k.unclaimed == nil {
		k.unclaimed = make(map[syncwire.ID]time.Time)
	}
	k.unclaimed[of] = now
}

// ClaimOrphans considers the peers whose sessions a full sync stored lately. Their tables had sessions that no vector
// claimed yet: the module had not reported them, or they were in live datagrams that this host has not received. If such a
// peer is gone, no other host claims these sessions, so this host does: its generation rises, and ClaimOrphans returns true.
// Compare has to be called before. Like TakeOver, ClaimOrphans must not be called while a full sync stores sessions.
func (k *Knowledge) ClaimOrphans(now time.Time) (risen bool) {
	for id, stored := range k.unclaimed {
		known := k.peers.WithID(id)
		switch {
		case known == nil || !known.Live(now):
			delete(k.unclaimed, id)
			k.Gain()
			risen = true
		case len(k.lacks) == 0 && known.hello.Sub(stored) > ReportedWithin && known.hello.Sub(k.bereaved) > ReportedWithin:
			delete(k.unclaimed, id)
		}
	}
	return risen
}

// TakeOver gives up the positions of dead origins that no live peer reaches, once all of these have said HELLO. It returns
// how many live datagrams it gives up, and whether the host's generation has risen. While a full sync stores sessions,
// TakeOver must not be called: the table may get some of the given up ones after the generation has risen.
func (k *Knowledge) TakeOver(live []*Peer) (datagrams uint64, risen bool) {
	vectors := make([][]syncwire.Component, len(live))
	for i, known := range live {
		if !known.greeted {
			return 0, false
		}
		vectors[i] = known.vector
	}
	if datagrams, risen = k.vector.TakeOver(vectors); risen {
		k.Gain()
	}
	return datagrams, risen
}

// uncovered is a claim of a peer that it has the sessions of a dead origin, up to a position, which that many full syncs in a row did
// not bring.
type uncovered struct {
	position syncwire.Position
	syncs    int
}

// ignored reports whether the peer's table does not have what it claims of a dead origin.
func (k *Peer) ignored(c syncwire.Component) bool {
	u := k.uncovered[c.Origin]
	return u.syncs >= 2 && u.position.Covers(c.Highest)
}

// JudgeClaims notes whether a full sync that the host had requested from a peer has brought what the peer had claimed of dead origins.
// A claim that fails twice in a row is ignored. JudgeClaims returns how many claims are ignored from now on. live are the live peers.
func (k *Knowledge) JudgeClaims(from *Peer, claimed []syncwire.Component, live []*Peer) (ignored uint64) {
	before := from.uncovered
	from.uncovered = nil
	for _, c := range claimed {
		if slices.ContainsFunc(live, func(known *Peer) bool { return known.ID == c.Origin }) || c.Origin == k.self || k.vector.Contains(c.Origin, c.Highest) {
			continue
		}
		u := before[c.Origin]
		if !u.position.Covers(c.Highest) {
			u = uncovered{position: c.Highest} // it claims more than before
		}
		if u.syncs++; u.syncs == 2 {
			ignored++
		}
		if from.uncovered == nil {
			from.uncovered = make(map[syncwire.ID]uncovered)
		}
		from.uncovered[c.Origin] = u
	}
	return ignored
}

// Best returns the peer to request a full sync from: the live one that has most of the missing sessions and is not among
// tried; nil: none. about is the peer that the reason for the full sync concerns; nil: none. The pause after the full sync
// counts for about, so of incomplete peers that have as much, about is asked. Another one whose module drops sessions is the last.
func (k *Knowledge) Best(tried []syncwire.ID, about *Peer, now time.Time) *Peer {
	var best *Peer
	most := -1
	for _, known := range k.peers.Live(now) {
		if slices.Contains(tried, known.ID) {
			continue
		}
		n := 0
		for _, l := range k.lacks {
			if l.Peer == known || l.Gap.Origin == known.ID {
				n++
			}
		}
		if _, dropping := known.Dropping(); dropping && about != nil && known != about {
			n = -1
		}
		if best == nil || n > most || n == most && better(known, best, about) {
			best, most = known, n
		}
	}
	return best
}
