package syncwire

import "joolctl/session"

const (
	// MinMTU is the smallest MTU that Limits can have: that of an IPv6 link. The longest NACK, and a BEGIN for MaxAudience receivers,
	// fit it.
	MinMTU = 1280
	// MaxMTU is the largest one. Receivers have room for its datagrams.
	MaxMTU = 9000
	// DefaultMTU is that of Ethernet.
	DefaultMTU = 1500

	// SealedOverhead is how much longer a sealed datagram is than its content: a head of 28 bytes and a tag of 16.
	SealedOverhead = 28 + 16

	headers4 = 20 + 8 // of IPv4 and UDP
	headers6 = 40 + 8 // of IPv6 and UDP
)

// Limits says how much a host puts into a datagram, so that its IP packet fits an MTU.
type Limits struct {
	// MTU is the length of the longest IP packet.
	MTU    int
	ipv4   bool
	sealed bool
}

// NewLimits returns the Limits for an MTU. An MTU that is out of range counts as the nearest one in range. ipv4 says that the packets
// are those of IPv4, sealed that the datagrams are sealed.
func NewLimits(mtu int, ipv4, sealed bool) Limits {
	return Limits{min(max(mtu, MinMTU), MaxMTU), ipv4, sealed}
}

// Datagram returns the length of the longest datagram.
func (l Limits) Datagram() int {
	if l.ipv4 {
		return l.MTU - headers4
	}
	return l.MTU - headers6
}

// content returns the length of the longest datagram before it is sealed.
func (l Limits) content() int {
	if l.sealed {
		return l.Datagram() - SealedOverhead
	}
	return l.Datagram()
}

// Sessions returns how many sessions in a module's format fit a datagram with a trailer.
func (l Limits) Sessions(f session.Format) int {
	if l.sealed {
		return min((l.content()-1-TrailerLen)/session.ShortLen, session.MaxPerMessage)
	}
	return f.PerDatagram(l.content() - TrailerLen)
}

// Bulk returns how many sessions fit a BULK, at most MaxBulk.
func (l Limits) Bulk() int {
	if l.sealed {
		return min((l.content()-sealedBulkLen)/session.ShortLen, MaxBulk)
	}
	return min((l.content()-bulkRecords)/RecordLen, MaxBulk)
}

// Message returns the length of the longest control message, as Append writes it. BULKs are shorter when they are sealed, and may be
// longer.
func (l Limits) Message() int {
	if l.sealed {
		return l.content() - 1
	}
	return l.content()
}

// Within returns the Limits for a smaller MTU.
func (l Limits) Within(mtu int) Limits {
	l.MTU = mtu
	return l
}

// Shorten removes the last components of a HELLO or BEGIN that do not fit a datagram. A HELLO keeps room for the head of its padding.
func (l Limits) Shorten(b Body) {
	var vector *[]Component
	room := l.Message()
	switch b := b.(type) {
	case *Hello:
		if vector = &b.Vector; !b.Padded {
			room -= fieldHead
		}
	case *Begin:
		vector = &b.Vector
	default:
		return
	}
	if len(*vector) == 0 {
		return
	}
	all := *vector
	*vector = nil
	room -= Message{Body: b}.length() + fieldHead
	*vector = all[:min(len(all), MaxComponents, max(room, 0)/componentLen)]
}

// Pad makes a HELLO a padded one, as long as the longest control message.
func (l Limits) Pad(h *Hello) {
	h.Padded, h.Padding = true, 0
	l.Shorten(h)
	h.Padding = max(l.Message()-Message{Body: h}.length(), 0)
}

// length returns the length of the message.
func (m Message) length() int { return len(m.Append(nil)) }
