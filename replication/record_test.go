package replication

import (
	"encoding/binary"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// tcpRecord is session n, established, with so many ms left.
func tcpRecord(n int, ms uint32) session.Record {
	var r session.Record
	copy(r[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	binary.BigEndian.PutUint32(r[12:], uint32(n))
	copy(r[16:], []byte{198, 51, 100, 1, 192, 0, 2, 1})
	binary.BigEndian.PutUint16(r[28:], uint16(n))
	binary.BigEndian.PutUint16(r[30:], uint16(n))
	binary.BigEndian.PutUint16(r[32:], 80)
	r.SetExpires(ms)
	return r
}

// ttl has the settings of the instances that sessionAt and kind make sessions for.
var ttl = syncwire.Settings{TTLs: [4]uint32{7_200_000, 240_000, 300_000, 60_000}}

// sessionAt is session n: of a protocol and kind that follow from its number, and
// idle for so long.
func sessionAt(n int, idleFor time.Duration) session.Record {
	kinds := []struct {
		proto session.Proto
		state session.State
		timer session.Timer
	}{{session.TCP, session.Established, session.TimerEstablished}, {session.TCP, session.Trans, session.TimerTransitory},
		{session.UDP, 0, 0}, {session.ICMP, 0, 0}}
	k := kinds[n%len(kinds)]
	var r session.Record
	copy(r[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	binary.BigEndian.PutUint32(r[12:], uint32(n))
	copy(r[16:], []byte{198, 51, 100, byte(n >> 16), 192, 0, 2, byte(n)})
	for at, v := range map[int]uint16{28: uint16(n), 30: uint16(n), 32: 53} {
		binary.BigEndian.PutUint16(r[at:], v)
	}
	if k.proto == session.ICMP {
		copy(r[32:34], r[30:32])
	}
	return kind(r, k.proto, k.state, k.timer, idleFor)
}

// kind gives a record a protocol, a state, a timer and a time without packets.
func kind(r session.Record, p session.Proto, s session.State, timer session.Timer, idleFor time.Duration) session.Record {
	binary.BigEndian.PutUint16(r[34:], uint16(p)<<5|uint16(s)<<2|uint16(timer))
	r.SetExpires(uint32((ttl.TTL(uint8(p), uint8(timer)) - idleFor).Milliseconds()))
	return r
}

// sessionsAt returns n sessions from number first on.
func sessionsAt(first, n int) []session.Record {
	list := make([]session.Record, n)
	for i := range list {
		list[i] = sessionAt(first+i, 0)
	}
	return list
}
