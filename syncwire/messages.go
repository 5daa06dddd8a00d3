package syncwire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Bounds of what a message may say.
const (
	MaxRanges   = 64 // in a NACK or GONE
	MaxAudience = 32 // in a BEGIN
	MaxHeard    = 16 // in a HELLO
	// MaxBulk is how many sessions a BULK holds at most: as many as fit MaxMessage.
	MaxBulk = (MaxMessage - TrailerLen - 2*7 - 3) / RecordLen
	// maxPadding bounds the padding of a HELLO: no datagram is longer.
	maxPadding = MaxMTU
)

// Settings are those of an instance that peers should agree on. What is 0, but for
// the TTLs and SSCapacity, is not known: the module has no such setting, or the peer's
// software does not tell.
type Settings struct {
	Pool6 netip.Prefix
	// TTLs are tcp-est, tcp-trans, udp and icmp, in milliseconds.
	TTLs [4]uint32
	// SSCapacity and SSMaxSessions are ss-capacity and
	// ss-max-sessions-per-packet.
	SSCapacity, SSMaxSessions uint32
	// Pool4 is a digest of the pool4 table.
	Pool4 uint32
	// SSFlushDeadline is ss-flush-deadline in milliseconds, SSMaxPayload
	// ss-max-payload in bytes.
	SSFlushDeadline, SSMaxPayload uint32
	// SSFlushASAP is ss-flush-asap, where that has an effect.
	SSFlushASAP Switch
	// Iterations is a digest of pool4's max-iterations.
	Iterations uint32
}

// Switch is a setting that is on or off.
type Switch uint8

const (
	SwitchUnknown Switch = 0
	SwitchOff     Switch = 1
	SwitchOn      Switch = 2
)

// SwitchOf is a known one.
func SwitchOf(on bool) Switch {
	if on {
		return SwitchOn
	}
	return SwitchOff
}

// TTL is how long a session lives without a packet, by protocol (0 to 2) and
// timer. SYN4's is fixed by the module.
func (s Settings) TTL(proto, timer uint8) time.Duration {
	i := 0
	switch {
	case timer == 2:
		return 6 * time.Second
	case proto == 0:
		i = int(timer)
	default:
		i = 1 + int(proto)
	}
	return time.Duration(s.TTLs[i]) * time.Millisecond
}

// Longest is how long a session lives at most without a packet.
func (s Settings) Longest() time.Duration {
	return time.Duration(slices.Max(s.TTLs[:])) * time.Millisecond
}

// PoolIterations is the name of a setting that concerns only how new mappings are
// found, as those in ss- concern only how sessions are reported.
const PoolIterations = "pool4-max-iterations"

// Diff names the settings that are known of both and differ, in Jool's words.
func (s Settings) Diff(t Settings) []string {
	var names []string
	add := func(differ bool, name string) {
		if differ {
			names = append(names, name)
		}
	}
	known := func(a, b uint32, name string) { add(a != b && a != 0 && b != 0, name) }
	add(s.Pool6 != t.Pool6, "pool6")
	for i, name := range []string{"tcp-est-timeout", "tcp-trans-timeout", "udp-timeout", "icmp-timeout"} {
		add(s.TTLs[i] != t.TTLs[i], name)
	}
	add(s.SSCapacity != t.SSCapacity, "ss-capacity")
	known(s.SSMaxSessions, t.SSMaxSessions, "ss-max-sessions-per-packet")
	known(s.SSFlushDeadline, t.SSFlushDeadline, "ss-flush-deadline")
	known(uint32(s.SSFlushASAP), uint32(t.SSFlushASAP), "ss-flush-asap")
	known(s.SSMaxPayload, t.SSMaxPayload, "ss-max-payload")
	known(s.Pool4, t.Pool4, "pool4")
	if s.Pool4 == t.Pool4 { // else its numbers are other ones anyway
		known(s.Iterations, t.Iterations, PoolIterations)
	}
	return names
}

// settingsLen is the length of what every sender tells, wholeSettings with what
// came later.
const (
	settingsLen   = 17 + 4*7
	wholeSettings = settingsLen + 4*3 + 1
)

func (s Settings) append(dst []byte) []byte {
	addr := [16]byte{}
	bits := byte(0)
	if s.Pool6.IsValid() {
		addr, bits = s.Pool6.Addr().As16(), byte(s.Pool6.Bits())
	}
	dst = append(append(dst, addr[:]...), bits)
	for _, v := range append(s.TTLs[:], s.SSCapacity, s.SSMaxSessions, s.Pool4, s.SSFlushDeadline, s.SSMaxPayload, s.Iterations) {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return append(dst, byte(s.SSFlushASAP))
}

func (s *Settings) parse(b []byte) error {
	if len(b) < settingsLen {
		return errLength
	}
	if b[16] > 128 {
		return errRange
	}
	*s = Settings{Pool6: netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), int(b[16]))}
	if b[16] == 0 {
		s.Pool6 = netip.Prefix{}
	}
	for i, to := range []*uint32{&s.TTLs[0], &s.TTLs[1], &s.TTLs[2], &s.TTLs[3], &s.SSCapacity, &s.SSMaxSessions, &s.Pool4} {
		*to = binary.BigEndian.Uint32(b[17+4*i:])
	}
	if len(b) < wholeSettings {
		return nil
	}
	for i, to := range []*uint32{&s.SSFlushDeadline, &s.SSMaxPayload, &s.Iterations} {
		*to = binary.BigEndian.Uint32(b[settingsLen+4*i:])
	}
	if s.SSFlushASAP = Switch(b[settingsLen+12]); s.SSFlushASAP > SwitchOn {
		return errRange
	}
	return nil
}

// Sync is how complete a sender holds its own table to be.
type Sync uint8

const (
	SyncNo    Sync = 0
	SyncYes   Sync = 1
	SyncAlone Sync = 2
)

// String is yes, no or alone.
func (s Sync) String() string {
	switch s {
	case SyncYes:
		return "yes"
	case SyncAlone:
		return "alone"
	}
	return "no"
}

// Hello says who lives: at the start, every second while busy, every ten when
// idle.
type Hello struct {
	Asks     bool // for a HELLO back
	Sync     Sync
	Sessions uint32 // that the sender's instance holds
	Module   uint32 // Jool's version, as in its messages
	Settings Settings
	Software string // at most 32 bytes
	// Dropping is true while the sender's module drops sessions that it should report.
	Dropping bool
	// NextIn is within how many seconds the sender's next HELLO follows; 0: the sender does not tell.
	NextIn uint8
	// Generation is the sender's own; its sequence number is the message's Last.
	Generation uint32
	// Vector has the other origins.
	Vector []Component
	// Security is how the sender seals datagrams.
	Security Security
	// Heard says which padded HELLOs of live peers arrived lately. It is nil if the sender does not tell, as older software.
	Heard []Heard
	// Padded is true for a HELLO that only shows whether a datagram of its length arrives. It follows the same HELLO without padding.
	// Padding is how many bytes are added for that.
	Padded  bool
	Padding int
}

// Heard is the length of the last padded HELLO of a sender that arrived whole.
type Heard struct {
	ID ID
	// Len is the length as Message.Append writes it; 0: none arrived lately.
	Len uint16
}

// heardLen is the length of a Heard: ID (4) and Len (2).
const heardLen = 6

func (*Hello) messageType() Type { return TypeHello }

func (h *Hello) appendFields(dst []byte) []byte {
	flags := byte(0)
	if h.Asks {
		flags |= 1
	}
	if h.Dropping {
		flags |= 2
	}
	dst = appendField(dst, 1, flags, byte(h.Sync), h.NextIn)
	dst = appendField32(dst, 2, h.Sessions, h.Module)
	dst = appendField(dst, 3, h.Settings.append(nil)...)
	dst = appendField(dst, 4, []byte(h.Software)...)
	dst = appendField32(dst, 5, h.Generation)
	dst = appendVector(dst, 6, h.Vector)
	if h.Security.Known {
		dst = appendField(dst, 7, h.Security.append(nil)...)
	}
	if h.Heard != nil {
		heard := h.Heard[:min(len(h.Heard), MaxHeard)]
		dst = append(dst, 8)
		dst = binary.BigEndian.AppendUint16(dst, uint16(heardLen*len(heard)))
		for _, e := range heard {
			dst = binary.BigEndian.AppendUint32(dst, uint32(e.ID))
			dst = binary.BigEndian.AppendUint16(dst, e.Len)
		}
	}
	if h.Padded {
		dst = appendField(dst, 9, make([]byte, h.Padding)...)
	}
	return dst
}

func (h *Hello) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
		if len(v) < 2 {
			return errLength
		}
		if v[1] > byte(SyncAlone) {
			return errRange
		}
		h.Asks, h.Dropping, h.Sync = v[0]&1 != 0, v[0]&2 != 0, Sync(v[1])
		if len(v) > 2 {
			h.NextIn = v[2]
		}
	case 2:
		if len(v) < 8 {
			return errLength
		}
		h.Sessions, h.Module = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case 3:
		return h.Settings.parse(v)
	case 4:
		if len(v) > 32 || slices.ContainsFunc(v, func(b byte) bool { return b < ' ' || b > '~' }) {
			return errRange
		}
		h.Software = string(v)
	case 5:
		return field32(v, &h.Generation)
	case 6:
		return setVector(&h.Vector, v)
	case 7:
		return h.Security.parse(v)
	case 8:
		return h.setHeard(v)
	case 9:
		if len(v) > maxPadding {
			return errLength
		}
		h.Padded, h.Padding = true, len(v)
	}
	return nil
}

func (h *Hello) setHeard(v []byte) error {
	if len(v)%heardLen != 0 || len(v)/heardLen > MaxHeard || h.Heard != nil {
		return errLength
	}
	h.Heard = make([]Heard, 0, len(v)/heardLen)
	for ; len(v) > 0; v = v[heardLen:] {
		h.Heard = append(h.Heard, Heard{ID(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint16(v[4:])})
	}
	return nil
}

func (h *Hello) check() error { return nil }

// Solicit asks one sender for a resync.
type Solicit struct{ To ID }

func (*Solicit) messageType() Type                { return TypeSolicit }
func (s *Solicit) appendFields(dst []byte) []byte { return appendField32(dst, 1, uint32(s.To)) }
func (s *Solicit) check() error                   { return needID(s.To) }

func (s *Solicit) setField(tag uint8, v []byte) error {
	if tag == 1 {
		return field32(v, &s.To)
	}
	return nil
}

func needID(id ID) error {
	if id == 0 {
		return errMissing
	}
	return nil
}

// Range is a run of sequences, or of a resync's BULKs, both ends included.
type Range struct{ From, To uint32 }

// Nack asks a sender to repeat: live datagrams by their sequence or, if Resync
// is not 0, BULKs of that resync by their index.
type Nack struct {
	To     ID
	Resync uint32
	Ranges []Range
}

func (*Nack) messageType() Type                { return TypeNack }
func (n *Nack) appendFields(dst []byte) []byte { return appendRanges(dst, n.To, n.Resync, n.Ranges) }
func (n *Nack) check() error                   { return checkRanges(n.To, n.Ranges) }

func (n *Nack) setField(tag uint8, v []byte) error {
	return setRanges(tag, v, &n.To, &n.Resync, &n.Ranges)
}

// Gone answers a Nack: these ranges can't be repeated or, if Superseded, need
// not be, because all that was in them has been sent again since. To is who
// asked.
type Gone struct {
	To         ID
	Resync     uint32
	Ranges     []Range
	Superseded bool
}

func (*Gone) messageType() Type { return TypeGone }
func (g *Gone) check() error    { return checkRanges(g.To, g.Ranges) }

func (g *Gone) appendFields(dst []byte) []byte {
	dst = appendRanges(dst, g.To, g.Resync, g.Ranges)
	if g.Superseded {
		dst = appendField(dst, 3, 1)
	}
	return dst
}

func (g *Gone) setField(tag uint8, v []byte) error {
	if tag == 3 {
		g.Superseded = len(v) > 0 && v[0]&1 != 0
		return nil
	}
	return setRanges(tag, v, &g.To, &g.Resync, &g.Ranges)
}

func appendRanges(dst []byte, to ID, resync uint32, ranges []Range) []byte {
	dst = appendField32(dst, 1, uint32(to), resync)
	values := make([]uint32, 0, 2*len(ranges))
	for _, r := range ranges {
		values = append(values, r.From, r.To)
	}
	return appendField32(dst, 2, values...)
}

func setRanges(tag uint8, v []byte, to *ID, resync *uint32, ranges *[]Range) error {
	switch tag {
	case 1:
		if len(v) < 8 {
			return errLength
		}
		*to, *resync = ID(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint32(v[4:])
	case 2:
		if len(v)%8 != 0 || len(v)/8 > MaxRanges || *ranges != nil {
			return errLength
		}
		for ; len(v) > 0; v = v[8:] {
			*ranges = append(*ranges, Range{binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])})
		}
	}
	return nil
}

func checkRanges(to ID, ranges []Range) error {
	if to == 0 || len(ranges) == 0 {
		return errMissing
	}
	for _, r := range ranges {
		if int32(r.To-r.From) < 0 {
			return errRange
		}
	}
	return nil
}

// Why is the reason for a resync.
type Why uint8

const (
	WhyAnswer    Why = 0 // to SOLICITs
	WhyReturn    Why = 1 // what the one who was answered has and the sender lacked
	WhyAdvertise Why = 2 // an operator wants it
)

// Begin announces a resync.
type Begin struct {
	Resync   uint32
	Why      Why
	Audience []ID // empty: everybody
	Sessions uint32
	Settings Settings // the sender's: idle times follow from its TTLs
	// Vector is the sender's from before it read its table, its own component first. A return's is from before the sender
	// read its table for the comparison, together with that of the table that it compared with.
	Vector []Component
	// PerBulk is how many sessions each BULK has but the last, at most MaxBulk; 0 stands for MaxBulk.
	PerBulk uint8
}

// SessionsPerBulk returns how many sessions each BULK has but the last.
func (b *Begin) SessionsPerBulk() int {
	if b.PerBulk == 0 {
		return MaxBulk
	}
	return int(b.PerBulk)
}

func (*Begin) messageType() Type { return TypeBegin }

func (b *Begin) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, b.Resync, b.Sessions)
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
		b.Resync, b.Sessions = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
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
	if b.Resync == 0 {
		return errMissing
	}
	for _, ttl := range b.Settings.TTLs {
		if ttl == 0 {
			return errMissing
		}
	}
	return nil
}

// For reports whether the resync is meant for this receiver.
func (b *Begin) For(id ID) bool { return len(b.Audience) == 0 || slices.Contains(b.Audience, id) }

// RecordLen is the length of a session in a BULK: the body of Jool's own
// 40-byte entry, whatever the version of the sender's module.
const RecordLen = 36

// Bulk is a piece of a resync.
type Bulk struct {
	Resync  uint32
	Index   uint32
	Records []byte // whole records, at least one
}

func (*Bulk) messageType() Type { return TypeBulk }

func (b *Bulk) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, b.Resync, b.Index)
	return appendField(dst, 2, b.Records...)
}

func (b *Bulk) setField(tag uint8, v []byte) error {
	switch tag {
	case 1:
		if len(v) < 8 {
			return errLength
		}
		b.Resync, b.Index = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case 2:
		if len(v)%RecordLen != 0 || len(v) > MaxBulk*RecordLen {
			return errLength
		}
		b.Records = v
	}
	return nil
}

func (b *Bulk) check() error {
	if b.Resync == 0 || len(b.Records) == 0 {
		return errMissing
	}
	return nil
}

// End closes a resync.
type End struct {
	Resync   uint32
	Sessions uint32
	Bulks    uint32
	// Doubtful is true if the sender's table may lack sessions of other origins that BEGIN's vector claims: since BEGIN, the
	// sender has learned that its module refused some. Then only the sender's own component holds.
	Doubtful bool
}

func (*End) messageType() Type { return TypeEnd }

func (e *End) appendFields(dst []byte) []byte {
	dst = appendField32(dst, 1, e.Resync, e.Sessions, e.Bulks)
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
	e.Resync, e.Sessions, e.Bulks = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]), binary.BigEndian.Uint32(v[8:])
	return nil
}

func (e *End) check() error {
	if e.Resync == 0 {
		return errMissing
	}
	if uint64(e.Sessions) > uint64(e.Bulks)*MaxBulk {
		return errRange
	}
	return nil
}
