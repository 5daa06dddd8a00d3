package worker

import (
	"slices"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// forget drops a resync whose BULKs can still be repeated.
func (a *answers) forget(i int) {
	a.p.freeLater(len(a.kept[i].table.records))
	a.kept = slices.Delete(a.kept, i, i+1)
}

// repeatKept repeats BULKs of resyncs that have ended, and returns when it has to be called again. While repeats is
// true, the current resync pauses, so that both together do not exceed the rate of one.
func (a *answers) repeatKept(now time.Time) (again time.Time, repeats bool) {
	for i := 0; i < len(a.kept); i++ {
		c := a.kept[i]
		switch {
		case c.Pending():
			if !repeats {
				a.sendSome(c, now)
				a.spend(replication.TransferTick, now)
			}
			again, repeats = now.Add(replication.TransferTick), true
		case now.Sub(c.Ended()) > keepAnswer:
			a.forget(i)
			i--
		default:
			again = soonest(again, c.Ended().Add(keepAnswer+1))
		}
	}
	return again, repeats
}

// missed queues BULKs again that a peer asks for. Those that have not been sent yet come anyway.
func (a *answers) missed(n *syncwire.Nack, by syncwire.ID, now time.Time) {
	c := a.withID(n.Resync)
	if c == nil || c.Exhausted() {
		a.p.answer(&syncwire.Gone{To: by, Resync: n.Resync, Ranges: n.Ranges}, now)
		return
	}
	if c.reading {
		return // BEGIN is said again before long
	}
	c.Request(n.Ranges, c == a.current, now)
}

// withID finds a resync that is being sent, or whose BULKs can still be repeated.
func (a *answers) withID(id uint32) *answer {
	if a.current != nil && a.current.id == id {
		return a.current
	}
	for _, c := range a.kept {
		if c.id == id {
			return c
		}
	}
	return nil
}
