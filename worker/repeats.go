package worker

import (
	"slices"
	"time"

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
		case len(c.again) > 0 || c.ended.IsZero():
			if !repeats {
				a.sendSome(c, now)
				a.spend(bulkTick, now)
			}
			again, repeats = now.Add(bulkTick), true
		case now.Sub(c.ended) > keepAnswer:
			a.forget(i)
			i--
		default:
			again = soonest(again, c.ended.Add(keepAnswer+1))
		}
	}
	return again, repeats
}

// missed queues BULKs again that a peer asks for. Those that have not been sent yet come anyway.
func (a *answers) missed(n *syncwire.Nack, by syncwire.ID, now time.Time) {
	c := a.withID(n.Resync)
	if c == nil || c.repeats > maxRepeats*uint64(c.bulks+32) {
		a.p.answer(&syncwire.Gone{To: by, Resync: n.Resync, Ranges: n.Ranges}, now)
		return
	}
	if c.reading {
		return // BEGIN is said again before long
	}
	c.repeats++
	if some := c.queue(n.Ranges); !some && c == a.current {
		return
	}
	if now.Sub(c.slow) > 20*time.Millisecond {
		c.rate, c.slow = max(c.rate/2, minRate), now
	}
	c.ended = time.Time{} // and END once more, behind them
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

// queue has BULKs repeated that have been sent. false: none of these.
func (c *answer) queue(ranges []syncwire.Range) (some bool) {
	if c.queued == nil {
		c.queued = make([]uint64, (c.bulks+63)/64)
	}
	looked := uint32(0) // overlapping ranges must not cost more than the whole table
	for _, r := range ranges {
		for i := r.From; i <= r.To && i < c.next && looked < c.bulks; i++ {
			looked++
			some = true
			if c.queued[i/64]&(1<<(i%64)) == 0 {
				c.queued[i/64] |= 1 << (i % 64)
				c.again = append(c.again, i)
				c.repeats++
			}
		}
	}
	return some
}
