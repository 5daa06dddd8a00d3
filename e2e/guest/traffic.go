package guest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// dst6 returns a port of n4, as n6 sees it.
func dst6(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr4in6), port)
}

// firstPort is the first destination port of UDP flows.
const firstPort = 20000

// sendUDP sends a datagram from each source port to each of ports destination ports, and so opens that many UDP
// sessions. No program receives the datagrams.
func (top *topology) sendUDP(t testing.TB, sources []uint16, ports int, p pace) {
	t.Helper()
	top.n6.do(t, func() error {
		for _, source := range sources {
			c, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr6), source)))
			if err != nil {
				return err
			}
			defer c.Close()
			for i := range ports {
				p.wait()
				if _, err := c.WriteToUDPAddrPort([]byte("x"), dst6(uint16(firstPort+i))); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// portRange returns n ports from first on.
func portRange(first uint16, n int) []uint16 {
	ports := make([]uint16, n)
	for i := range ports {
		ports[i] = first + uint16(i)
	}
	return ports
}

// replyWithin bounds the wait for any answer through a NAT64.
const replyWithin = 10 * time.Second

// ping sends one ICMP echo request for each identifier and waits for its reply.
func (top *topology) ping(t testing.TB, ids []uint16, p pace) {
	t.Helper()
	top.n6.do(t, func() error {
		c, err := icmp.ListenPacket("ip6:ipv6-icmp", addr6)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, id := range ids {
			p.wait()
			if err := pingOnce(c, id); err != nil {
				return fmt.Errorf("ping %s, identifier %d: %w", addr4in6, id, err)
			}
		}
		return nil
	})
}

func pingOnce(c *icmp.PacketConn, id uint16) error {
	request := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: int(id), Seq: 1}}
	b, err := request.Marshal(nil) // the kernel fills in the checksum
	if err != nil {
		return err
	}
	to := &net.IPAddr{IP: net.ParseIP(addr4in6)}
	if _, err := c.WriteTo(b, to); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(replyWithin)); err != nil {
		return err
	}
	reply := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(reply)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(int(ipv6.ICMPTypeEchoReply.Protocol()), reply[:n])
		if err != nil || m.Type != ipv6.ICMPTypeEchoReply {
			continue
		}
		if echo, ok := m.Body.(*icmp.Echo); ok && echo.ID == int(id) {
			return nil
		}
	}
}
