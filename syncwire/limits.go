package syncwire

import "joolctl/session"

const (
	// MinMTU is the smallest MTU of Limits, which is the minimum MTU of an IPv6 link. The longest NACK fits into
	// it, and so does a BEGIN for MaxAudience receivers.
	MinMTU = 1280
	// MaxMTU is the largest MTU of Limits. Receivers have buffers for datagrams of this length.
	MaxMTU = 9000
	// DefaultMTU is the MTU of Ethernet.
	DefaultMTU = 1500

	// SealedOverhead is the number of bytes that a sealed datagram is longer than its content: a head of 28
	// bytes and an authentication tag of 16.
	SealedOverhead = 28 + 16

	headers4 = 20 + 8 // of IPv4 and UDP
	headers6 = 40 + 8 // of IPv6 and UDP
)

// Limits is how much a host puts into a datagram, so that the IP packet fits an MTU.
type Limits struct {
	// MTU is the length in bytes of the longest IP packet.
	MTU    int
	ipv4   bool
	sealed bool
}

// NewLimits returns the Limits for an MTU, which it clamps to MinMTU and MaxMTU. ipv4 is true for IPv4 packets,
// sealed for sealed datagrams.
func NewLimits(mtu int, ipv4, sealed bool) Limits {
	return Limits{min(max(mtu, MinMTU), MaxMTU), ipv4, sealed}
}

// Datagram returns the length in bytes of the longest UDP payload.
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

// Message returns the length of the longest control message, as Append writes it. It does not bound BULKs of a
// host that seals: their sealed form is shorter than the message that Append writes.
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

// Shorten removes the last components of a HELLO's or BEGIN's vector if the message is longer than a datagram.
// In a HELLO it leaves room for the head of the padding field.
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

// Pad turns a HELLO into a padded one, as long as the longest control message.
func (l Limits) Pad(h *Hello) {
	h.Padded, h.Padding = true, 0
	l.Shorten(h)
	h.Padding = max(l.Message()-Message{Body: h}.length(), 0)
}

// length returns the length of the encoded message in bytes.
func (m Message) length() int { return len(m.Append(nil)) }
