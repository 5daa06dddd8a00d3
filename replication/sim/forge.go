package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Forger makes a forged datagram, from random numbers and the datagrams that hosts have sent lately. It may not forge
// sessions: those that arrive without a trailer go to the module by design, as with upstream's joold.
type Forger func(r *rand.Rand, lately [][]byte) []byte

// ForgeHeads is the default Forger. It changes the head of a control message (version, type, sender, last number), cuts
// or repeats a control message, or invents bytes.
func ForgeHeads(r *rand.Rand, lately [][]byte) []byte {
	if len(lately) == 0 || r.IntN(4) == 0 {
		noise := make([]byte, r.IntN(64))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		if len(noise) > 3 && r.IntN(2) == 0 {
			copy(noise, []byte{0, 0, 1, byte(r.IntN(9))})
		}
		return noise
	}
	b := slices.Clone(lately[r.IntN(len(lately))])
	if len(b) < 12 {
		return b
	}
	switch r.IntN(5) {
	case 0:
		b[2] = byte(r.IntN(4)) // an older or a newer version
	case 1:
		b[3] = byte(r.IntN(10))
	case 2:
		binary.BigEndian.PutUint32(b[4:], r.Uint32())
	case 3:
		last := binary.BigEndian.Uint32(b[8:])
		binary.BigEndian.PutUint32(b[8:], last+1+r.Uint32N(1<<30))
	case 4:
		b = b[:r.IntN(len(b))]
	}
	return b
}

// controlMessage reports whether a datagram holds no sessions: it begins with 00 00.
func controlMessage(b []byte) bool { return len(b) >= 4 && b[0] == 0 && b[1] == 0 }

// stranger is the source of forged datagrams that do not take a host's.
var stranger = netip.MustParseAddrPort("[fe80::666]:6464")
