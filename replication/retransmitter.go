package replication

import (
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

const (
	// In a RetransmitWindow, each live datagram is retransmitted once at most, MaxRetransmitted of them together, and
	// MaxReplies control messages are sent because of those of peers.
	RetransmitWindow = 40 * time.Millisecond
	MaxRetransmitted = 256
	MaxReplies       = 64
)

// Retransmitter retransmits the host's live datagrams to peers that request them, and bounds the datagrams that messages of
// peers cause.
type Retransmitter struct {
	RetransmitBuffer
	began         time.Time // the current window
	retransmitted int       // in this window
	replies       int       // likewise
}

// Expire begins the next window if the current one is over.
func (r *Retransmitter) Expire(now time.Time) {
	if now.Sub(r.began) > RetransmitWindow {
		r.began, r.retransmitted, r.replies = now, 0, 0
		r.ForgetIndex()
	}
}

// MayReply reports whether a control message may be sent because of a peer's, and counts it.
func (r *Retransmitter) MayReply(now time.Time) bool {
	if r.Expire(now); r.replies >= MaxReplies {
		return false
	}
	r.replies++
	return true
}

// Requested takes the ranges of sequence numbers of a NACK, and calls send for each datagram to retransmit. It uses the memory
// of buf, and returns it. gone are requested datagrams that are not kept any more, superseded those whose sessions have all
// been sent again since.
func (r *Retransmitter) Requested(ranges []syncwire.Range, f session.Format, buf []byte, now time.Time, send func(entries []byte, seq syncwire.Seq)) (out []byte, gone, superseded []syncwire.Range) {
	r.Expire(now)
	looked := 0 // no receiver requests more than MaxMissing
	for _, requested := range ranges {
		for seq := syncwire.Seq(requested.From); !seq.After(syncwire.Seq(requested.To)) && r.retransmitted < MaxRetransmitted && looked < MaxMissing; seq++ {
			looked++
			if !r.Has(seq) {
				gone = AppendRange(gone, uint32(seq))
				continue
			}
			if r.RetransmittedWithin(seq, RetransmitWindow, now) {
				continue
			}
			r.retransmitted++
			buf = r.Append(buf[:0], seq, f, now)
			if len(buf) == 0 {
				superseded = AppendRange(superseded, uint32(seq))
				continue
			}
			send(buf, seq)
		}
	}
	return buf, gone, superseded
}
