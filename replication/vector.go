// Package replication decides what a host sends, requests and stores, and whether its session table is complete. It does
// no I/O and has no clock.
package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// MaxOrigins is how many origins a vector stores, unless more are live. This number of components fits each message
// beside the host's own, at any MTU of the host. If a message had to leave out an origin, peers would not learn of that
// origin's sessions and would count as complete.
const MaxOrigins = 32

// Vector says, for each origin but the host itself, up to which position the host's table contains the origin's sessions.
// The zero value contains nothing.
type Vector struct {
	components []component // by origin
}

// component is a syncwire.Component whose age is a moment.
type component struct {
	origin            syncwire.ID
	known             bool
	complete, highest syncwire.Position
	dead              time.Time // since when; zero: the origin is live
	// gaveUp is the highest position that TakeOver has given up. Full syncs that began before the peer gave it up, too, still have it.
	gaveUp syncwire.Position
}

// tombstone reports whether the component only stores a position that was given up.
func (c *component) tombstone() bool {
	return !c.known && c.highest == (syncwire.Position{}) && c.gaveUp != (syncwire.Position{})
}

func (v *Vector) find(origin syncwire.ID) (i int, found bool) {
	return slices.BinarySearchFunc(v.components, origin, func(c component, id syncwire.ID) int {
		switch {
		case c.origin < id:
			return -1
		case c.origin > id:
			return 1
		}
		return 0
	})
}

// at returns the component of an origin, and inserts it first if need be.
func (v *Vector) at(origin syncwire.ID) *component {
	i, found := v.find(origin)
	if !found {
		v.components = slices.Insert(v.components, i, component{origin: origin})
	}
	return &v.components[i]
}

// Get returns an origin's component. Its Age is zero.
func (v *Vector) Get(origin syncwire.ID) (syncwire.Component, bool) {
	i, found := v.find(origin)
	if !found {
		return syncwire.Component{}, false
	}
	return v.components[i].wire(time.Time{}), true
}

// wire is the component as peers get it. Without now, its age is zero.
func (c *component) wire(now time.Time) syncwire.Component {
	w := syncwire.Component{Origin: c.origin, Known: c.known, Complete: c.complete, Highest: c.highest}
	if !c.dead.IsZero() && !now.IsZero() {
		w.Age = max(1, uint32(max(now.Sub(c.dead), 0)/time.Second))
	}
	return w
}

// Components returns the vector as peers get it, live origins first, then those that died last.
func (v *Vector) Components(now time.Time) []syncwire.Component {
	list := make([]syncwire.Component, 0, len(v.components))
	for i := range v.components {
		if c := &v.components[i]; !c.tombstone() {
			list = append(list, c.wire(now))
		}
	}
	slices.SortStableFunc(list, func(a, b syncwire.Component) int { return int(int64(a.Age) - int64(b.Age)) })
	return list
}

// Contains reports whether the table contains everything of an origin up to a position.
func (v *Vector) Contains(origin syncwire.ID, p syncwire.Position) bool {
	if p == (syncwire.Position{}) {
		return true
	}
	i, found := v.find(origin)
	return found && v.components[i].known && v.components[i].complete.Covers(p)
}

// Empty notes that the origin has had no session yet, so that nothing of it can be missing.
func (v *Vector) Empty(origin syncwire.ID) {
	if c := v.at(origin); !c.known && c.highest == (syncwire.Position{}) {
		c.known = true
	}
}

// Advance notes that all live datagrams of an origin from first to last have been received, and none after top.
func (v *Vector) Advance(origin syncwire.ID, first, last, top syncwire.Seq) {
	c := v.at(origin)
	if before := c.highest; top.After(before.Seq) || before == (syncwire.Position{}) {
		c.highest.Seq = top
		if c.highest == (syncwire.Position{}) && (before != c.highest || !first.After(top)) {
			c.highest.Generation = 1 // the origin's own, at least, when its sequence number has wrapped
		}
	}
	if c.known && last.After(c.complete.Seq) && !first.After(c.complete.Seq+1) {
		c.complete.Seq = last
	}
}

// Merge notes that the table contains everything that the table of a peer with the given vector contained. live reports
// whether an origin is heard by this host.
func (v *Vector) Merge(vector []syncwire.Component, now time.Time, live func(syncwire.ID) bool) {
	v.RaiseHighest(vector, now, live)
	for _, w := range vector {
		if !w.Known {
			continue
		}
		c := v.at(w.Origin)
		if !c.known {
			c.known, c.complete = true, w.Complete
		} else {
			c.complete = c.complete.Max(w.Complete)
		}
		c.highest = c.highest.Max(c.complete) // it may have been given up before a peer turned up that has it
	}
}

// RaiseHighest notes that the table contains, or is about to contain, some of the sessions that the table of a peer with the given vector
// contained.
func (v *Vector) RaiseHighest(vector []syncwire.Component, now time.Time, live func(syncwire.ID) bool) {
	for _, w := range vector {
		_, found := v.find(w.Origin)
		c := v.at(w.Origin)
		before := c.highest.Max(c.gaveUp)
		switch {
		case c.gaveUp.Covers(w.Highest) && c.gaveUp != (syncwire.Position{}):
		case c.highest == (syncwire.Position{}):
			c.highest = w.Highest
		default:
			c.highest = c.highest.Max(w.Highest)
		}
		if w.Age == 0 || live(w.Origin) {
			continue
		}
		dead := now.Add(-time.Duration(w.Age) * time.Second)
		// A host that knows a later position heard the origin later, too. Of one position, the higher age is right: each
		// component is dropped some day.
		later, earlier := !before.Covers(w.Highest), !w.Highest.Covers(before)
		if !found || c.dead.IsZero() || later && !earlier || later == earlier && dead.Before(c.dead) {
			c.dead = dead
		}
	}
}

// Forget notes that the table may lack any session of an origin.
func (v *Vector) Forget(origin syncwire.ID) {
	if i, found := v.find(origin); found {
		c := &v.components[i]
		c.known, c.complete = false, syncwire.Position{}
	}
}

// ForgetAll notes that the table may lack any session.
func (v *Vector) ForgetAll() {
	for i := range v.components {
		v.Forget(v.components[i].origin)
	}
}

// Restart forgets everything about an origin, because the origin counts from a lower sequence number again.
func (v *Vector) Restart(origin syncwire.ID) {
	if i, found := v.find(origin); found {
		v.components[i] = component{origin: origin}
	}
}

// Limit notes that an origin has sent no live datagram after last.
func (v *Vector) Limit(origin syncwire.ID, last syncwire.Seq) {
	if i, found := v.find(origin); found {
		c := &v.components[i]
		if c.highest.Seq.After(last) {
			c.highest.Seq = last
		}
		if c.complete.Seq.After(last) {
			c.complete.Seq = last
		}
	}
}

// Lives notes that an origin is heard.
func (v *Vector) Lives(origin syncwire.ID) {
	if i, found := v.find(origin); found {
		v.components[i].dead, v.components[i].gaveUp = time.Time{}, syncwire.Position{}
	}
}

// Age has the origins die that are not heard any more, and drops those that have been dead for longer than any session
// lives. It reports whether it dropped a younger one for lack of room.
func (v *Vector) Age(now time.Time, longest time.Duration, live func(syncwire.ID) bool) (evicted bool) {
	v.components = slices.DeleteFunc(v.components, func(c component) bool {
		return !c.dead.IsZero() && now.Sub(c.dead) > longest+time.Minute // peers drop it by then, too
	})
	for i := range v.components {
		if c := &v.components[i]; c.dead.IsZero() && !live(c.origin) {
			c.dead = now
		}
	}
	for len(v.components) > MaxOrigins {
		oldest := -1
		for i := range v.components {
			c := &v.components[i]
			if !c.dead.IsZero() && (oldest < 0 || c.before(&v.components[oldest])) {
				oldest = i
			}
		}
		if oldest < 0 {
			break // every origin is live
		}
		evicted = evicted || !v.components[oldest].tombstone()
		v.components = slices.Delete(v.components, oldest, oldest+1)
	}
	return evicted
}

// before reports whether a dead origin's component is dropped before another one's: tombstones first, then those that died first.
func (c *component) before(other *component) bool {
	if c.tombstone() != other.tombstone() {
		return c.tombstone()
	}
	return c.dead.Before(other.dead)
}

// TakeOver gives up the positions of dead origins behind what is complete, unless a live peer has more. The table may hold
// some sessions from there, which are the host's own from now on. peers are the vectors of all live peers. TakeOver returns
// how many live datagrams it gives up, and whether the host's generation has to rise.
func (v *Vector) TakeOver(peers [][]syncwire.Component) (datagrams uint64, took bool) {
	if len(peers) == 0 {
		return 0, false // no peer asks for the sessions
	}
	for i := range v.components {
		c := &v.components[i]
		if !c.abandoned(peers) {
			continue
		}
		took = true
		if c.known { // else nobody knows how many there were
			datagrams += uint64(uint32(c.highest.Seq - c.complete.Seq))
		}
		c.gaveUp, c.highest = c.gaveUp.Max(c.highest), c.complete
	}
	v.components = slices.DeleteFunc(v.components, func(c component) bool {
		return !c.dead.IsZero() && !c.known && c.highest == (syncwire.Position{}) && c.gaveUp == (syncwire.Position{})
	})
	return datagrams, took
}

// abandoned reports whether positions of a dead origin can't be reached any more.
func (c *component) abandoned(peers [][]syncwire.Component) bool {
	return !c.dead.IsZero() && !c.tombstone() && !(c.known && c.complete.Covers(c.highest)) && c.agreed(peers)
}

// agreed reports whether every peer considers the origin dead, and none has a higher complete position of it.
func (c *component) agreed(peers [][]syncwire.Component) bool {
	for _, vector := range peers {
		for _, w := range vector {
			if w.Origin != c.origin {
				continue
			}
			if w.Age == 0 || w.Known && !(c.known && c.complete.Covers(w.Complete)) {
				return false
			}
		}
	}
	return true
}
