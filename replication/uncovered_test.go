package replication

import (
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestUncovered has a peer's HELLO claim sessions of a dead origin. The host is incomplete until two full syncs from that
// peer in a row have not brought them. Then it ignores the claim, but not a higher one.
func TestUncovered(t *testing.T) {
	type step struct {
		name    string
		claims  syncwire.Seq // in the peer's HELLO
		brings  syncwire.Seq // in the BEGIN of the full sync that follows; 0: nothing of the dead origin
		unasked bool         // the host has not requested the full sync
		sync    syncwire.Sync
	}
	const none = 1 << 31 // no full sync follows
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"two full syncs without it", []step{
			{"the claim", 5, none, false, syncwire.SyncNo},
			{"the first full sync", 5, 0, false, syncwire.SyncNo},
			{"the second full sync", 5, 0, false, syncwire.SyncYes},
			{"the same claim", 5, none, false, syncwire.SyncYes},
			{"a higher claim", 9, none, false, syncwire.SyncNo},
			{"a full sync that covers less", 9, 7, false, syncwire.SyncNo},
			{"a full sync that covers the claim", 9, 9, false, syncwire.SyncYes},
			{"a claim that is believed again", 12, none, false, syncwire.SyncNo},
			{"the first full sync again", 12, 9, false, syncwire.SyncNo},
			{"the second full sync again", 12, 9, false, syncwire.SyncYes},
		}},
		{"one full sync covers it", []step{
			{"the first full sync", 5, 0, false, syncwire.SyncNo},
			{"a full sync that covers the claim", 5, 5, false, syncwire.SyncYes},
			{"a higher claim", 6, none, false, syncwire.SyncNo},
			{"the first full sync after it", 6, 5, false, syncwire.SyncNo},
		}},
		{"full syncs that nobody requested", []step{
			{"the first", 5, 0, true, syncwire.SyncNo},
			{"the second", 5, 0, true, syncwire.SyncNo},
			{"the third", 5, 0, true, syncwire.SyncNo},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const gone = 0x99
			h := newReceiverHost()
			h.peer.Stream.Start(6)
			own := syncwire.Position{Generation: 1, Seq: 5}
			covers := syncwire.Component{Origin: h.peer.ID, Known: true, Complete: own, Highest: own}
			claim := func(seq syncwire.Seq) syncwire.Component {
				at := syncwire.Position{Generation: 1, Seq: seq}
				return syncwire.Component{Origin: gone, Known: true, Complete: at, Highest: at, Age: 60}
			}
			for _, s := range c.steps {
				h.now = h.now.Add(time.Second)
				h.hello(syncwire.Hello{Sync: syncwire.SyncYes, Generation: own.Generation, NextIn: 1, Vector: []syncwire.Component{claim(s.claims)}}, own.Seq)
				if s.brings != none {
					vector := []syncwire.Component{covers}
					if s.brings > 0 {
						vector = append(vector, claim(s.brings))
					}
					h.in = &incoming{id: 5, from: h.peer, asked: !s.unasked, vector: vector, merges: true, claimed: h.peer.Vector(), doubts: h.knowledge.Doubts(), base: h.now}
					h.enter(PhaseChecking, h.now, time.Time{})
					h.done(h.now)
				}
				if !h.knowledge.vector.Contains(h.peer.ID, own) { // only the claim is in question
					h.knowledge.Merge([]syncwire.Component{covers}, h.knowledge.Doubts(), h.now)
				}
				h.Judge(h.now)
				if h.sync != s.sync {
					t.Errorf("%s: the host says %v, want %v; it lacks %+v", s.name, h.sync, s.sync, h.knowledge.Lacks())
				}
			}
		})
	}
}
