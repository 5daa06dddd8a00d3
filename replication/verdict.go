package replication

import (
	"time"

	"joolctl/syncwire"
)

const (
	// PendingFor is how long live datagrams may be on their way, or be requested, before the host is not complete.
	PendingFor = 500 * time.Millisecond
	// MaxReasons bounds the reasons of a Verdict.
	MaxReasons = 8
)

// Verdict says whether the host's table contains everything that the live peers' tables contain.
type Verdict struct {
	Sync    syncwire.Sync
	Reasons []Reason // if Sync is SyncNo; at most MaxReasons
	// Next is when the verdict may change without an event; zero: it does not.
	Next time.Time
	// AskHello is true if a peer is to be asked for its HELLO.
	AskHello bool
}

// Verdict judges what Compare has found. live are the live peers. before are the reasons of the previous Verdict: a reason
// that lasts keeps its Since. A host that has been incomplete stays so until each live peer has greeted it: the host does not know whether
// it has the sessions of such a peer.
func (k *Knowledge) Verdict(live []*Peer, incomplete bool, before []Reason, now time.Time) Verdict {
	v := Verdict{Sync: syncwire.SyncYes}
	if len(live) == 0 {
		v.Sync = syncwire.SyncAlone
	}
	for i := range k.lacks {
		l := &k.lacks[i]
		if at := l.Since.Add(PendingFor); l.Pending && now.Before(at) && !(l.Reason.Code == NotGreeted && incomplete) {
			v.Next = Soonest(v.Next, at)
			continue
		}
		v.Sync = syncwire.SyncNo
		if !l.Peer.greeted && !l.Peer.asked {
			l.Peer.asked, v.AskHello = true, true
		}
	}
	for _, known := range live {
		v.Next = Soonest(v.Next, known.liveUntil().Add(1))
	}
	if v.Sync == syncwire.SyncNo {
		for _, l := range k.lacks[:min(len(k.lacks), MaxReasons)] {
			v.Reasons = append(v.Reasons, dated(l.Reason, before, now))
		}
	}
	return v
}

// dated returns a reason with the moment since when there has been this reason for this peer.
func dated(reason Reason, before []Reason, now time.Time) Reason {
	reason.Since = now
	for _, was := range before {
		if was.Code == reason.Code && was.Peer == reason.Peer && was.Since.Before(reason.Since) {
			reason.Since = was.Since
		}
	}
	return reason
}

// Soonest returns the earlier of two times, of which zero is none.
func Soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
