package replication

import "joolctl/syncwire"

// Gap describes which sessions of one origin a table may lack, compared with a position that another table has reached.
type Gap struct {
	Origin syncwire.ID
	// Unknown is true if the host does not know how much of the origin's sessions it has.
	Unknown bool
	// Generations is by how many generations the table is behind, Datagrams by how many live datagrams.
	Generations, Datagrams uint32
}

// Gap compares the vector with a position of an origin. It returns false if the table contains everything up to there.
func (v *Vector) Gap(origin syncwire.ID, p syncwire.Position) (Gap, bool) {
	if v.Contains(origin, p) {
		return Gap{}, false
	}
	g := Gap{Origin: origin}
	i, found := v.find(origin)
	if !found || !v.components[i].known {
		g.Unknown = true
		return g, true
	}
	c := &v.components[i]
	if p.Generation > c.complete.Generation {
		g.Generations = p.Generation - c.complete.Generation
	}
	if p.Seq.After(c.complete.Seq) {
		g.Datagrams = uint32(p.Seq - c.complete.Seq)
	}
	return g, true
}
