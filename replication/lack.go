package replication

import (
	"fmt"
	"slices"
	"time"

	"joolctl/syncwire"
)

// Lack describes sessions of a live peer's table that the host's table may lack.
type Lack struct {
	Peer *Peer
	// Gap is the missing part of an origin's sessions; its Origin is 0 before the peer's first HELLO.
	Gap Gap
	// Pending is true if the missing live datagrams may still arrive. They have been missing since Since.
	Pending bool
	Since   time.Time
	Reason  Reason
}

// Lacks returns what Compare has found. The caller must not change it.
func (k *Knowledge) Lacks() []Lack { return k.lacks }

// Lost returns the peers of Lacks that no retransmission brings.
func (k *Knowledge) Lost() (peers []*Peer) {
	for i := range k.lacks {
		if l := &k.lacks[i]; !l.Pending && !slices.Contains(peers, l.Peer) {
			peers = append(peers, l.Peer)
		}
	}
	return peers
}

// Compare finds what the table lacks of the live peers' tables.
func (k *Knowledge) Compare(live []*Peer, now time.Time) {
	k.lacks = nil
	for _, known := range live {
		if known.noteAhead(live, now); known.deniesAhead() {
			k.vector.Limit(known.ID, known.Stream.Next()-1)
		}
	}
	for _, known := range live {
		if lack, is := k.lackOf(known); is {
			k.lacks = append(k.lacks, lack)
		}
		for _, c := range known.vector {
			if c.Origin == k.self || time.Duration(c.Age)*time.Second > k.Longest || known.ignored(c) {
				continue
			}
			if origin := k.peers.WithID(c.Origin); origin != nil && origin.Live(now) {
				continue // its own HELLO says what it has
			}
			if gap, is := k.vector.Gap(c.Origin, c.Highest); is {
				k.lacks = append(k.lacks, Lack{Peer: known, Gap: gap, Reason: gap.Orphaned(known.Address)})
			}
		}
	}
}

// noteAhead notes since when another live peer has received more of the peer's live datagrams than this host. A claim is kept until
// all datagrams that it covers have arrived.
func (k *Peer) noteAhead(live []*Peer, now time.Time) {
	last, ahead := k.lastClaimed(live)
	switch {
	case !ahead:
		k.ahead = time.Time{}
	case k.ahead.IsZero():
		k.ahead = now
		if !k.claims(k.firstMissing()) {
			k.claimed, k.claimedAt = last, now
		}
	}
}

// lastClaimed returns the last of the peer's live datagrams that another live peer has received. It returns false if this host has
// received as many.
func (k *Peer) lastClaimed(live []*Peer) (last syncwire.Seq, ahead bool) {
	if !k.Stream.Started() {
		return 0, false
	}
	last = k.Stream.Next() - 1
	for _, other := range live {
		for _, c := range other.vector {
			if c.Origin == k.ID && c.Highest.Seq.After(last) {
				last, ahead = c.Highest.Seq, true
			}
		}
	}
	return last, ahead
}

// firstMissing returns the first of the peer's live datagrams that this host has not received.
func (k *Peer) firstMissing() syncwire.Seq {
	_, last, _ := k.Stream.Complete()
	return last + 1
}

// claims reports whether another peer had received a live datagram of the peer at the time claimedAt.
func (k *Peer) claims(seq syncwire.Seq) bool { return !k.claimedAt.IsZero() && !seq.After(k.claimed) }

// deniesAhead reports whether the peer itself has sent its last number after all claims of other peers that they have received more
// of its datagrams could arrive. Such claims stem from a forged message, or from before the peer's numbers fell: the others would
// repeat them to each other for ever.
func (k *Peer) deniesAhead() bool {
	return !k.ahead.IsZero() && k.Stream.Confirmed().Sub(k.ahead) > PendingFor
}

// lackOf compares the vector with a peer's own position. It returns false if the vector covers that position.
func (k *Knowledge) lackOf(known *Peer) (Lack, bool) {
	s := &known.Stream
	lack := Lack{Peer: known}
	if !known.greeted || !s.Started() {
		lack.Pending, lack.Since = true, known.Since
		lack.Reason = Reason{Code: NotGreeted, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v has sent no HELLO yet, so this host does not know which sessions it has", known.Address)}
		return lack, true
	}
	gap, is := k.vector.Gap(known.ID, syncwire.Position{Generation: known.generation, Seq: s.Next() - 1})
	c, _ := k.vector.Get(known.ID)
	switch {
	case is:
		first, _, _ := s.Complete()
		waits := s.MissingSince()
		lack.Pending = !gap.Unknown && gap.Generations == 0 && !first.After(c.Complete.Seq+1) && !waits.IsZero()
		lack.Gap, lack.Since = gap, waits
		if known.claims(known.firstMissing()) { // that datagram has been missing since the claim, before it was known here
			lack.Since = Earliest(waits, known.claimedAt)
		}
		lack.Reason = gap.Reason(known.Address)
		if _, dropping := known.Dropping(); dropping {
			lack.Reason.Remedy = fmt.Sprintf("its module drops sessions; type on that host: jool -i INSTANCE global update ss-capacity %d "+
				"(`joolctl ready` names the instance there)", MoreCapacity(known.capacity))
		}
	case s.MayHaveRestarted():
		lack.Pending, lack.Gap.Origin = true, known.ID
		lack.Reason = Reason{Code: NumbersFall, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v counts from a lower sequence number again", known.Address)}
	case !known.ahead.IsZero() && !known.deniesAhead():
		lack.Pending, lack.Since, lack.Gap.Origin = true, known.ahead, known.ID
		lack.Reason = Reason{Code: BehindOther, Peer: known.Address.String(),
			Text: fmt.Sprintf("peer %v: another peer has received more of its live datagrams", known.Address)}
	default:
		known.claimedAt = time.Time{}
		return lack, false
	}
	return lack, true
}
