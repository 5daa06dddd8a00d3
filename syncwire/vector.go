package syncwire

import "encoding/binary"

// MaxComponents is the largest number of components in a vector. Limits.Shorten reduces it to as many as fit
// into the datagram with the other fields.
const MaxComponents = 48

// Position is how far a table contains the sessions of an origin.
type Position struct {
	// Generation is how many times the origin's table may have gained sessions that none of its live datagrams
	// contains.
	Generation uint32
	// Seq is the sequence number of one of the origin's live datagrams.
	Seq Seq
}

// Covers reports whether neither the generation nor the sequence number of p is lower than that of q.
func (p Position) Covers(q Position) bool { return p.Generation >= q.Generation && !q.Seq.After(p.Seq) }

// Max returns the higher generation and the later sequence number of p and q.
func (p Position) Max(q Position) Position {
	if q.Seq.After(p.Seq) {
		p.Seq = q.Seq
	}
	p.Generation = max(p.Generation, q.Generation)
	return p
}

// Component is how far a host's table contains one origin's sessions.
type Component struct {
	Origin ID
	// Known is false if the host cannot say up to which position its table is complete; then Complete is zero.
	Known bool
	// Complete is the position up to which the table contains all sessions.
	Complete Position
	// Highest is the last position from which the table contains some sessions.
	Highest Position
	// Age is the time in seconds since the origin died; 0: it is live.
	Age uint32
}

// componentLen is the length in bytes of an encoded component: origin (4), flags (1), complete (8), highest (8),
// age (4), all big endian.
const componentLen = 25

const flagKnown = 1

// appendVector appends a field with components.
func appendVector(dst []byte, tag uint8, components []Component) []byte {
	if len(components) == 0 {
		return dst
	}
	components = components[:min(len(components), MaxComponents)]
	dst = append(dst, tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(componentLen*len(components)))
	for _, c := range components {
		flags := byte(0)
		if c.Known {
			flags |= flagKnown
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(c.Origin))
		dst = append(dst, flags)
		for _, n := range []uint32{c.Complete.Generation, uint32(c.Complete.Seq), c.Highest.Generation, uint32(c.Highest.Seq), c.Age} {
			dst = binary.BigEndian.AppendUint32(dst, n)
		}
	}
	return dst
}

// setVector decodes a field with components. It refuses a second field, and two components of one origin.
func setVector(to *[]Component, v []byte) error {
	if len(v)%componentLen != 0 || len(v)/componentLen > MaxComponents || *to != nil {
		return errLength
	}
	if len(v) == 0 {
		return nil
	}
	components := make([]Component, 0, len(v)/componentLen)
	for ; len(v) > 0; v = v[componentLen:] {
		at := func(i int) uint32 { return binary.BigEndian.Uint32(v[i:]) }
		c := Component{
			Origin: ID(at(0)), Known: v[4]&flagKnown != 0,
			Complete: Position{at(5), Seq(at(9))}, Highest: Position{at(13), Seq(at(17))}, Age: at(21),
		}
		if c.Origin == 0 || !c.Known && c.Complete != (Position{}) {
			return errRange
		}
		for _, other := range components {
			if other.Origin == c.Origin {
				return errRange
			}
		}
		components = append(components, c)
	}
	*to = components
	return nil
}
