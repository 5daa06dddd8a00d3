package replication

import (
	"encoding/binary"

	"joolctl/session"
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
