package syncwire

import (
	"encoding/binary"
	"slices"
)

// Why is the reason for a full sync.
type Why uint8

const (
	WhyAnswer    Why = 0 // requested by SOLICITs
	WhyReturn    Why = 1 // the sessions that the receiver of a full sync has and its sender lacks
	WhyAdvertise Why = 2 // an operator's command
)

// Begin announces a full sync.
type Begin struct {
	FullSync uint32
	Why      Why
	Audience []ID // empty: all receivers
	Sessions uint32
	Settings Settings // the sender's. Receivers compute idle times from its TTLs
	// Vector is the sender's vector from before it read its table; its own component is first. With WhyReturn,
	// the vector is from before the sender read its table for the comparison, merged with the vector of the full
	// sync that it compared with.
	Vector []Component
	// PerBulk is the number of sessions in each BULK but the last, at most MaxBulk; 0 means MaxBulk.
	PerBulk uint8
}

// SessionsPerBulk returns the number of sessions in each BULK but the last.
func (b *Begin) SessionsPerBulk() int {
	if b.PerBulk == 0 {
		return MaxBulk
	}
	return int(b.PerBulk)
}

func (*Begin) messageType() Type { return TypeBegin }

func (b *Begin) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, b.FullSync, b.Sessions)
	dst = appendField(dst, 2, byte(b.Why))
	ids := make([]uint32, len(b.Audience))
	for i, id := range b.Audience {
		ids[i] = uint32(id)
	}
	dst = appendField32(dst, 3, ids...)
	dst = appendField(dst, 4, b.Settings.append(nil)...)
	dst = appendVector(dst, 5, b.Vector)
	if b.PerBulk != 0 {
		dst = appendField(dst, 6, b.PerBulk)
	}
	return dst
}

func (b *Begin) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
		if len(v) < 8 {
			return errLength
		}
		b.FullSync, b.Sessions = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case 2:
		if len(v) < 1 {
			return errLength
		}
		if v[0] > byte(WhyAdvertise) {
			return errRange
		}
		b.Why = Why(v[0])
	case 3:
		if len(v)%4 != 0 || len(v)/4 > MaxAudience || b.Audience != nil {
			return errLength
		}
		for ; len(v) > 0; v = v[4:] {
			b.Audience = append(b.Audience, ID(binary.BigEndian.Uint32(v)))
		}
	case 4:
		return b.Settings.parse(v)
	case 5:
		return setVector(&b.Vector, v)
	case 6:
		if len(v) < 1 {
			return errLength
		}
		if v[0] == 0 || v[0] > MaxBulk {
			return errRange
		}
		b.PerBulk = v[0]
	}
	return nil
}

func (b *Begin) check() error {
	if b.FullSync == 0 {
		return errMissing
	}
	for _, ttl := range b.Settings.TTLs {
		if ttl == 0 {
			return errMissing
		}
	}
	return nil
}

// For reports whether the full sync is meant for this receiver.
func (b *Begin) For(id ID) bool { return len(b.Audience) == 0 || slices.Contains(b.Audience, id) }

// RecordLen is the length in bytes of a session in a BULK, for all versions of the sender's module. A record is
// the body of Jool's own 40-byte entry.
const RecordLen = 36

// Bulk is a part of a full sync.
type Bulk struct {
	FullSync uint32
	Index    uint32
	Records  []byte // complete records, at least one
}

func (*Bulk) messageType() Type { return TypeBulk }

func (b *Bulk) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, b.FullSync, b.Index)
	return appendField(dst, 2, b.Records...)
}

func (b *Bulk) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
		if len(v) < 8 {
			return errLength
		}
		b.FullSync, b.Index = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case 2:
		if len(v)%RecordLen != 0 || len(v) > MaxBulk*RecordLen {
			return errLength
		}
		b.Records = v
	}
	return nil
}

func (b *Bulk) check() error {
	if b.FullSync == 0 || len(b.Records) == 0 {
		return errMissing
	}
	return nil
}

// End ends a full sync.
type End struct {
	FullSync uint32
	Sessions uint32
	Bulks    uint32
	// Doubtful is true if the sender's table may lack sessions of other origins that BEGIN's vector claims,
	// because the sender has learned since BEGIN that its module refused some. Then only the sender's own
	// component is valid.
	Doubtful bool
}

func (*End) messageType() Type { return TypeEnd }

func (e *End) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, e.FullSync, e.Sessions, e.Bulks)
	if e.Doubtful {
		dst = appendField(dst, 2, 1)
	}
	return dst
}

func (e *End) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
	case 2:
		e.Doubtful = len(v) > 0 && v[0]&1 != 0
		return nil
	default:
		return nil
	}
	if len(v) < 12 {
		return errLength
	}
	e.FullSync, e.Sessions, e.Bulks = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint32(v[8:])
	return nil
}

func (e *End) check() error {
	if e.FullSync == 0 {
		return errMissing
	}
	if uint64(e.Sessions) > uint64(e.Bulks)*MaxBulk {
		return errRange
	}
	return nil
}
