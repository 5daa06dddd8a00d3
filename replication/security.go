package replication

import (
	"net/netip"
	"time"

	"joolctl/syncwire"
)

// PeerSecured says that a peer has another mode or other keys than before.
type PeerSecured struct {
	From    netip.Addr
	Was, Is syncwire.Security
}

func (PeerSecured) event() {}

// Security returns what HELLO says of the mode and the keys.
func (h *Host) Security() syncwire.Security { return h.security }

// SetSecurity takes the mode and the keys that HELLO names. If they are others than before, it sends a HELLO at once and another one
// soon. The caller must call it before it seals datagrams in another way: peers that the next datagrams do not reach then know why.
func (h *Host) SetSecurity(s syncwire.Security, now time.Time) {
	was := h.security
	if h.security = s; s == was || !was.Known || !h.Sequence {
		return
	}
	h.sendHello(now)
	h.helloSoon(now)
	h.do.Wake(now)
}

// secured records the mode and the keys in a peer's HELLO.
func (h *Host) secured(from *Peer, s syncwire.Security, now time.Time) {
	was := from.Security
	from.Security, from.Authentic = s, h.Sealed
	if s == was {
		return
	}
	from.SecuritySince = now
	if was.Known {
		h.do.Emit(PeerSecured{from.Address, was, s})
	}
}
