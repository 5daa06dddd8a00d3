package guest

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv6"
)

// flood opens UDP sessions as fast as the machine can: one for each of the
// source ports and each of ports destination ports, a packet each.
func (top *topology) flood(t testing.TB, sources []uint16, ports int) {
	t.Helper()
	messages := messagesTo(ports)
	top.n6.do(t, func() error {
		for _, source := range sources {
			if err := floodFrom(source, messages); err != nil {
				return err
			}
		}
		return nil
	})
}

func floodFrom(source uint16, messages []ipv6.Message) error {
	c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr6), source)))
	if err != nil {
		return err
	}
	defer c.Close()
	return writeAll(c, messages)
}

// messagesTo returns a datagram to each of that many destination ports.
func messagesTo(ports int) []ipv6.Message {
	messages := make([]ipv6.Message, ports)
	for i := range messages {
		messages[i] = ipv6.Message{
			Buffers: [][]byte{[]byte("x")},
			Addr:    net.UDPAddrFromAddrPort(dst6(uint16(firstPort + i))),
		}
	}
	return messages
}

// writeAll sends messages in as few system calls as the kernel allows.
func writeAll(c *net.UDPConn, messages []ipv6.Message) error {
	for rest := messages; len(rest) > 0; {
		n, err := ipv6.NewPacketConn(c).WriteBatch(rest, 0)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
