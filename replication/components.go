package replication

import (
	"slices"
	"time"

	"joolctl/syncwire"
)

// Advertise returns the vector for peers, in the order of Components. While live sessions wait for the end of a full sync,
// the table does not contain them. stored is the result of Advertise from before the first of them waited; its complete
// positions are returned instead. stored is nil if no session waits, and empty if nothing is known to be complete.
func (v *Vector) Advertise(stored []syncwire.Component, now time.Time) []syncwire.Component {
	list := v.Components(now)
	if stored == nil {
		return list
	}
	for i := range list {
		c := &list[i]
		c.Known, c.Complete = false, syncwire.Position{}
		for _, s := range stored {
			if s.Origin == c.Origin {
				c.Known, c.Complete = s.Known, s.Complete
			}
		}
	}
	return list
}

// Whole returns the vector of a BEGIN: self's own component first, then others, as many as a message may have.
func Whole(self syncwire.ID, at syncwire.Position, others []syncwire.Component) []syncwire.Component {
	own := syncwire.Component{Origin: self, Known: true, Complete: at, Highest: at}
	list := append([]syncwire.Component{own}, others...)
	return list[:min(len(list), syncwire.MaxComponents)]
}

// Others returns a copy of a vector without self's component.
func Others(vector []syncwire.Component, self syncwire.ID) []syncwire.Component {
	return slices.DeleteFunc(slices.Clone(vector), func(c syncwire.Component) bool { return c.Origin == self })
}

// Covered reports whether a table with the vector by contains everything that a table with the vector of contains.
func Covered(by, of []syncwire.Component) bool {
	var v Vector
	v.Merge(by, time.Time{}, func(syncwire.ID) bool { return true })
	for _, c := range of {
		if !v.Contains(c.Origin, c.Highest) {
			return false
		}
	}
	return true
}

// Union returns the vector of a table that contains everything that tables with the vectors a and b contain, as much of it
// as a message may have.
func Union(a, b []syncwire.Component) []syncwire.Component {
	var v Vector
	now := time.Unix(1<<40, 0) // any moment: ages are relative to it
	dead := func(syncwire.ID) bool { return false }
	v.Merge(a, now, dead)
	v.Merge(b, now, dead)
	list := v.Components(now)
	return list[:min(len(list), syncwire.MaxComponents)]
}

// OnlyOf returns a copy of a vector with an origin's component only.
func OnlyOf(origin syncwire.ID, vector []syncwire.Component) []syncwire.Component {
	return slices.DeleteFunc(slices.Clone(vector), func(c syncwire.Component) bool { return c.Origin != origin })
}
