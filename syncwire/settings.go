package syncwire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
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
