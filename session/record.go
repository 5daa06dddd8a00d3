package session

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"

	"joolctl/session/attr"
)

// RecordLen is the length of a Record in bytes.
const RecordLen = 36

// Record is a session in one form for all versions: the body of Packed40's
// entry, big endian: src6 (16), src4 (4), dst4 (4), time left in ms (4),
// src6's port (2), src4's (2), dst4's (2), bits (2). dst6 follows from pool6.
type Record [RecordLen]byte

// ShortLen is the length of a Record without byte 34, which is always 0.
const ShortLen = RecordLen - 1

// AppendShort appends the record, which must have passed Check, without its byte that is always 0.
func (r *Record) AppendShort(dst []byte) []byte {
	return append(append(dst, r[:RecordLen-2]...), r[RecordLen-1])
}

// FromShort returns the record that begins b in the form of AppendShort. It may not pass Check.
func FromShort(b []byte) (r Record) {
	copy(r[:], b[:RecordLen-2])
	r[RecordLen-1] = b[ShortLen-1]
	return r
}

// Key identifies a session regardless of its mask: src6 and its port, dst4 and
// its port, protocol. An ICMP session's Key has no dst4 port, because that is
// the mask's identifier.
type Key [25]byte

// Key returns the session's Key.
func (r *Record) Key() (k Key) {
	copy(k[:16], r[:16])
	copy(k[16:18], r[28:30])
	copy(k[18:22], r[20:24])
	if k[24] = byte(r.Proto()); r.Proto() != ICMP {
		copy(k[22:24], r[32:34])
	}
	return k
}

// Hash returns a hash of the session's Key. A random seed prevents a host that
// chooses its addresses from choosing collisions.
func (r *Record) Hash(seed uint64) uint64 {
	ports := uint64(binary.LittleEndian.Uint16(r[28:])) << 16
	if r.Proto() != ICMP {
		ports |= uint64(binary.LittleEndian.Uint16(r[32:]))
	}
	dst := uint64(binary.LittleEndian.Uint32(r[20:]))<<32 | ports
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(r[:])^seed, binary.LittleEndian.Uint64(r[8:])^0x9e3779b97f4a7c15)
	hi, lo = bits.Mul64(hi^lo^dst, seed^uint64(r.Proto())^0xe7037ed1a0b428db)
	return hi ^ lo
}

func (r *Record) bits() uint16 { return binary.BigEndian.Uint16(r[34:]) }

// Proto is the session's protocol.
func (r *Record) Proto() Proto { return Proto(r.bits() >> 5) }

// State is the session's state.
func (r *Record) State() State { return State(r.bits() >> 2 & 7) }

// Timer is the session's timer.
func (r *Record) Timer() Timer { return Timer(r.bits() & 3) }

// Expires is the time left in milliseconds.
func (r *Record) Expires() uint32 { return binary.BigEndian.Uint32(r[24:]) }

// SetExpires sets the time left in milliseconds.
func (r *Record) SetExpires(ms uint32) { binary.BigEndian.PutUint32(r[24:], ms) }

// Age subtracts the time that has passed from the time left, which does not fall below 0.
func (r *Record) Age(passed time.Duration) {
	ms := uint32(max(passed.Milliseconds(), 0))
	r.SetExpires(r.Expires() - min(ms, r.Expires()))
}

// Src4 is the mask: address and port.
func (r *Record) Src4() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(r[16:])), port(r[30:]))
}

// Same reports whether two records differ at most in their time left.
func (r *Record) Same(o *Record) bool {
	at := func(of *Record, i int) uint64 { return binary.NativeEndian.Uint64(of[i:]) }
	return at(r, 28) == at(o, 28) && // the ports, most often the only difference
		at(r, 16) == at(o, 16) && at(r, 8) == at(o, 8) && at(r, 0) == at(o, 0)
}

// SameSession reports whether two records have the same Key.
func (r *Record) SameSession(o *Record) bool { return r.Key() == o.Key() }

// Check says whether protocol, state and timer belong together.
func (r *Record) Check() error {
	if r.bits()>>7 != 0 {
		return ErrReserved
	}
	return checkKind(r.Proto(), r.State(), r.Timer())
}

// Record turns an entry, which must have passed Check, into a Record.
func (f Format) Record(b []byte) (r Record) {
	switch f {
	case Packed40:
		copy(r[:], b[attr.HeaderLen:])
	case Packed52:
		copy(r[:16], b[4:20])    // src6
		copy(r[16:20], b[36:40]) // src4
		copy(r[20:24], b[32:36]) // dst4: dst6's end
		copy(r[24:28], b[40:44]) // time left
		copy(r[28:30], b[44:46]) // src6's port
		copy(r[30:32], b[48:50]) // src4's
		copy(r[32:34], b[46:48]) // dst6's, or for ICMP src4's
		copy(r[34:36], b[50:52]) // bits
		if r.Proto() == ICMP {
			copy(r[32:34], b[48:50])
		}
	case Nested:
		r = decodeNested(b).Record()
	}
	return r
}

// RecordIn returns an entry's Record without a copy if the format allows it:
// the Record then lies in b. Otherwise RecordIn writes it to to, and returns to.
func (f Format) RecordIn(b []byte, to *Record) *Record {
	if f == Packed40 {
		return (*Record)(b[attr.HeaderLen:])
	}
	*to = f.Record(b)
	return to
}

// Record returns the session as a Record. Its time left must fit 32 bits of
// milliseconds.
func (s Session) Record() (r Record) {
	src6, src4, dst4 := s.Src6.Addr().As16(), s.Src4.Addr().As4(), s.Dst4.Addr().As4()
	copy(r[:16], src6[:])
	copy(r[16:20], src4[:])
	copy(r[20:24], dst4[:])
	r.SetExpires(uint32(s.Expires.Milliseconds()))
	binary.BigEndian.PutUint16(r[28:], s.Src6.Port())
	binary.BigEndian.PutUint16(r[30:], s.Src4.Port())
	binary.BigEndian.PutUint16(r[32:], s.Dst4.Port())
	binary.BigEndian.PutUint16(r[34:], uint16(s.Proto)<<5|uint16(s.State)<<2|uint16(s.Timer))
	return r
}

// AppendRecord writes the record as an entry of this format. pool6 is the
// instance's; Packed40 does without. Errors are Append's and Embed's.
func (f Format) AppendRecord(dst []byte, r *Record, pool6 netip.Prefix) ([]byte, error) {
	if err := r.Check(); err != nil {
		return dst, err
	}
	if f == Packed40 {
		dst = attr.AppendHeader(dst, f.EntryLen(), attr.ListEntry)
		return append(dst, r[:]...), nil
	}
	var entry [40]byte
	attr.PutHeader(entry[:], len(entry), attr.ListEntry)
	copy(entry[attr.HeaderLen:], r[:])
	s, err := Packed40.Decode(entry[:], pool6)
	if err != nil {
		return dst, err
	}
	return f.Append(dst, s)
}

// PerDatagram is how many entries fit a datagram of size bytes, at most
// MaxPerMessage.
func (f Format) PerDatagram(size int) int { return min(size/f.EntryLen(), MaxPerMessage) }

// Expires is an entry's time left in milliseconds. The entry must have passed
// Check.
func (f Format) Expires(b []byte) uint32 {
	switch f {
	case Nested:
		return binary.NativeEndian.Uint32(b[136:])
	case Packed52:
		return binary.BigEndian.Uint32(b[40:])
	}
	return binary.BigEndian.Uint32(b[28:])
}

// SetExpires changes an entry's time left, in milliseconds, in place.
func (f Format) SetExpires(b []byte, ms uint32) {
	switch f {
	case Nested:
		binary.NativeEndian.PutUint32(b[136:], ms)
	case Packed52:
		binary.BigEndian.PutUint32(b[40:], ms)
	default:
		binary.BigEndian.PutUint32(b[28:], ms)
	}
}

// Kind is an entry's protocol and timer. The entry must have passed Check.
func (f Format) Kind(b []byte) (Proto, Timer) {
	if f == Nested {
		return Proto(b[112]), Timer(b[128])
	}
	bits := binary.BigEndian.Uint16(b[f.EntryLen()-2:])
	return Proto(bits >> 5), Timer(bits & 3)
}
