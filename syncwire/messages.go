package syncwire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Bounds of the lists in messages. A receiver refuses longer ones.
const (
	MaxRanges   = 64 // in a NACK or GONE
	MaxAudience = 32 // in a BEGIN
	MaxHeard    = 16 // in a HELLO
	// MaxBulk is the largest number of sessions in a BULK, so that the message is at most MaxMessage bytes long.
	MaxBulk = (MaxMessage - TrailerLen - 2*7 - 3) / RecordLen
	// maxPadding bounds the padding of a HELLO in bytes. No datagram is longer.
	maxPadding = MaxMTU
)

// Settings are those settings of an instance that should be equal on all peers. A value of 0 means unknown,
// except for the TTLs and SSCapacity: the module has no such setting, or the peer's software does not send it.
type Settings struct {
	Pool6 netip.Prefix
	// TTLs are the timeouts tcp-est, tcp-trans, udp and icmp, in milliseconds.
	TTLs [4]uint32
	// SSCapacity and SSMaxSessions are ss-capacity and
	// ss-max-sessions-per-packet.
	SSCapacity, SSMaxSessions uint32
	// Pool4 is a digest of the pool4 table.
	Pool4 uint32
	// SSFlushDeadline is ss-flush-deadline in milliseconds, SSMaxPayload
	// ss-max-payload in bytes.
	SSFlushDeadline, SSMaxPayload uint32
	// SSFlushASAP is ss-flush-asap, or unknown for versions of the module in which it has no effect.
	SSFlushASAP Switch
	// Iterations is a digest of pool4's max-iterations.
	Iterations uint32
}

// Switch is a setting that is on, off or unknown.
type Switch uint8

const (
	SwitchUnknown Switch = 0
	SwitchOff     Switch = 1
	SwitchOn      Switch = 2
)

// SwitchOf returns SwitchOn or SwitchOff.
func SwitchOf(on bool) Switch {
	if on {
		return SwitchOn
	}
	return SwitchOff
}

// TTL returns the timeout of a session without packets, by protocol (0 to 2) and timer. The module fixes that of
// the timer SYN4.
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

// Longest returns the longest timeout of a session.
func (s Settings) Longest() time.Duration {
	return time.Duration(slices.Max(s.TTLs[:])) * time.Millisecond
}

// PoolIterations is the name of the setting max-iterations. It affects only the search for new mappings, as the
// settings whose names begin with ss- affect only the reports of sessions.
const PoolIterations = "pool4-max-iterations"

// Diff returns Jool's names of the settings that both peers have sent and that differ.
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
	if s.Pool4 == t.Pool4 { // with different pool4 tables, max-iterations differ anyway
		known(s.Iterations, t.Iterations, PoolIterations)
	}
	return names
}

// settingsLen is the length in bytes of the fields that all senders send. wholeSettings also covers the fields
// that were added later.
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

// Sync is a sender's verdict about its own table: does it contain the sessions of all peers?
type Sync uint8

const (
	SyncNo    Sync = 0
	SyncYes   Sync = 1
	SyncAlone Sync = 2
)

// String returns "yes", "no" or "alone".
func (s Sync) String() string {
	switch s {
	case SyncYes:
		return "yes"
	case SyncAlone:
		return "alone"
	}
	return "no"
}

// Hello announces its sender. A worker sends it at its start, every second while it is busy, and every ten
// seconds while it is idle.
type Hello struct {
	Asks     bool // asks the receivers for a HELLO in return
	Sync     Sync
	Sessions uint32 // number of sessions in the table of the sender's instance
	Module   uint32 // the sender's Jool version, encoded as in Jool's header
	Settings Settings
	Software string // at most 32 bytes
	// Dropping is true while the sender's module drops sessions that it should report.
	Dropping bool
	// NextIn is the number of seconds within which the sender's next HELLO follows; 0: unknown.
	NextIn uint8
	// Generation is the sender's own generation. Its sequence number is Last of the message.
	Generation uint32
	// Vector is the components of the other origins.
	Vector []Component
	// Security is how the sender seals datagrams.
	Security Security
	// Heard lists which padded HELLOs of live peers have arrived lately. It is nil if the sender's software is
	// too old to send it.
	Heard []Heard
	// Padded is true for a HELLO that tests whether a datagram of its length arrives. The sender sends the same
	// HELLO without padding first. Padding is the number of padding bytes.
	Padded  bool
	Padding int
}

// Heard is a peer and the length of the last padded HELLO that has completely arrived from it.
type Heard struct {
	ID ID
	// Len is the length in bytes as Message.Append encodes the HELLO; 0: none has arrived lately.
	Len uint16
}

// heardLen is the length of an encoded Heard: ID (4) and Len (2).
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

// Solicit requests a full sync from one sender.
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

// Range is a range of sequence numbers, or of the indexes of a full sync's BULKs, both ends included.
type Range struct{ From, To uint32 }

// Nack requests retransmissions from a sender: live datagrams by their sequence numbers or, if FullSync is not 0,
// BULKs of that full sync by their indexes.
type Nack struct {
	To       ID
	FullSync uint32
	Ranges   []Range
}

func (*Nack) messageType() Type                { return TypeNack }
func (n *Nack) appendFields(dst []byte) []byte { return appendRanges(dst, n.To, n.FullSync, n.Ranges) }
func (n *Nack) check() error                   { return checkRanges(n.To, n.Ranges) }

func (n *Nack) setField(tag uint8, v []byte) error {
	return setRanges(tag, v, &n.To, &n.FullSync, &n.Ranges)
}

// Gone is the reply to a Nack for ranges that the sender does not retransmit, because it no longer has them or,
// if Superseded is true, because later datagrams contain all their sessions. To is the sender of the Nack.
type Gone struct {
	To         ID
	FullSync   uint32
	Ranges     []Range
	Superseded bool
}

func (*Gone) messageType() Type { return TypeGone }
func (g *Gone) check() error    { return checkRanges(g.To, g.Ranges) }

func (g *Gone) appendFields(dst []byte) []byte {
	dst = appendRanges(dst, g.To, g.FullSync, g.Ranges)
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
	return setRanges(tag, v, &g.To, &g.FullSync, &g.Ranges)
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
