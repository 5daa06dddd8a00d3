package worker

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/syncwire"
)

// peer is an ordinary UDP socket in a namespace, or a port of a simulated network. The test writes its datagrams: those of upstream's joold,
// forged ones, or the messages of another host, with the peer's sender ID and sequence number.
type peer struct {
	*net.UDPConn
	t    testing.TB
	wire *virtual     // nil: the peer has a socket
	to   *net.UDPAddr // nil: the socket is connected
	p4   *ipv4.PacketConn
	p6   *ipv6.PacketConn
	id   syncwire.ID
	last syncwire.Seq
}

// peer adds a peer that is a member of the group on "sync", and sends through this interface.
func (b *testbed) peer(i int) *peer {
	b.t.Helper()
	return b.peerAt(i, b.group, port, "sync")
}

// peerAt adds a peer in another group, or on another interface.
func (b *testbed) peerAt(i int, group netip.Addr, port uint16, ifname string) *peer {
	b.t.Helper()
	p := &peer{t: b.t, to: &net.UDPAddr{IP: group.AsSlice(), Port: int(port)}, id: 77}
	insideOf(b.t, b.ns[i], func() error { return p.join(group, ifname) })
	b.t.Cleanup(func() { p.Close() })
	return p
}

// dial adds a peer without a group, which sends to an address.
func (b *testbed) dial(i int, from, to netip.AddrPort) *peer {
	b.t.Helper()
	p := &peer{t: b.t, id: 77}
	insideOf(b.t, b.ns[i], func() (err error) {
		if p.UDPConn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to)); err != nil {
			return err
		}
		return p.buffer(16 << 20)
	})
	b.t.Cleanup(func() { p.Close() })
	return p
}

func (p *peer) join(group netip.Addr, ifname string) error {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return err
	}
	network := "udp6"
	if group.Is4() {
		network = "udp4"
	}
	if p.UDPConn, err = net.ListenUDP(network, &net.UDPAddr{Port: p.to.Port}); err != nil {
		return err
	}
	if group.Is4() {
		p.p4 = ipv4.NewPacketConn(p.UDPConn)
		return errors.Join(p.buffer(16<<20), p.p4.SetControlMessage(ipv4.FlagTTL, true), p.p4.SetMulticastLoopback(false),
			p.p4.SetMulticastInterface(ifi), p.p4.JoinGroup(ifi, p.to))
	}
	p.p6 = ipv6.NewPacketConn(p.UDPConn)
	return errors.Join(p.buffer(16<<20), p.p6.SetControlMessage(ipv6.FlagHopLimit, true), p.p6.SetMulticastLoopback(false),
		p.p6.SetMulticastInterface(ifi), p.p6.JoinGroup(ifi, p.to))
}

// buffer sets the socket's receive buffer. On a busy host the test may read a table more slowly than it arrives, and must not
// lose END, which is sent only once.
func (p *peer) buffer(bytes int) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	})
	return errors.Join(err, set)
}

// send sends a datagram to the group, or to the address of dial.
func (p *peer) send(b []byte) {
	p.t.Helper()
	var err error
	switch {
	case p.wire != nil:
		p.wire.Network.Send(p.wire.port, b)
	case p.to == nil:
		_, err = p.Write(b)
	default:
		_, err = p.WriteToUDP(b, p.to)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next datagram and, in a group, its time to live.
func (p *peer) receive() (_ []byte, ttl int) {
	p.t.Helper()
	if p.wire != nil {
		return p.wire.receive(), 0
	}
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	var n int
	var err error
	switch {
	case p.p4 != nil:
		var cm *ipv4.ControlMessage
		if n, cm, _, err = p.p4.ReadFrom(b); cm != nil {
			ttl = cm.TTL
		}
	case p.p6 != nil:
		var cm *ipv6.ControlMessage
		if n, cm, _, err = p.p6.ReadFrom(b); cm != nil {
			ttl = cm.HopLimit
		}
	default:
		n, err = p.Read(b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return b[:n], ttl
}

// message returns the next datagram, which must be a control message.
func (p *peer) message() syncwire.Message {
	p.t.Helper()
	b, _ := p.receive()
	m, err := syncwire.Parse(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// control reads datagrams until it receives a control message of type T, and returns its body and the message.
func control[T syncwire.Body](p *peer) (T, syncwire.Message) {
	p.t.Helper()
	return controlThat(p, func(T) bool { return true })
}

// controlThat is control for a message with a property.
func controlThat[T syncwire.Body](p *peer, holds func(T) bool) (T, syncwire.Message) {
	p.t.Helper()
	for {
		b, _ := p.receive()
		if m, err := syncwire.Parse(slices.Clone(b)); err == nil {
			if body, ok := m.Body.(T); ok && holds(body) {
				return body, m
			}
		}
	}
}

// record reads datagrams until the returned function is called. This function returns them, with those that wait in the socket then.
func (p *peer) record() func() [][]byte {
	done := make(chan [][]byte)
	go func() {
		var all [][]byte
		buf := make([]byte, 64<<10)
		for {
			n, _, err := p.ReadFromUDP(buf)
			if err != nil {
				done <- all
				return
			}
			all = append(all, bytes.Clone(buf[:n]))
		}
	}()
	return func() [][]byte {
		p.t.Helper()
		_ = p.SetReadDeadline(time.Unix(1, 0))
		all := <-done // a read past its deadline fails even if datagrams wait
		fd, buf := fdOf(p.t, p.UDPConn), make([]byte, 64<<10)
		for {
			n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			all = append(all, bytes.Clone(buf[:n]))
		}
		if err := p.SetDeadline(time.Time{}); err != nil {
			p.t.Fatal(err)
		}
		return all
	}
}

// The messages of a peer.

func (p *peer) say(body syncwire.Body) {
	p.t.Helper()
	p.send(syncwire.Message{Sender: p.id, Last: p.last, Body: body}.Append(nil))
}

// live sends records in the peer's next live datagram.
func (p *peer) live(records ...session.Record) {
	p.t.Helper()
	p.last++
	p.send(syncwire.Trailer{Kind: syncwire.Live, Sender: p.id, Seq: p.last}.Append(packed(p.t, records...)))
}

// asked sends a HELLO whose generation says that the peer has sessions which it has not sent in live datagrams. It waits for the
// SOLICIT, and returns its sender.
func (p *peer) asked(sessions int) (by syncwire.ID) {
	p.t.Helper()
	p.say(&syncwire.Hello{Sync: syncwire.SyncYes, Sessions: uint32(sessions), Settings: ttl, Generation: 1})
	_, m := controlThat(p, func(s *syncwire.Solicit) bool { return s.To == p.id })
	return m.Sender
}

func (p *peer) begin(to syncwire.ID, id uint32, sessions int) {
	p.t.Helper()
	p.say(&syncwire.Begin{FullSync: id, Audience: []syncwire.ID{to}, Sessions: uint32(sessions), Settings: ttl, Vector: p.whole()})
}

// whole returns the vector of the peer's table.
func (p *peer) whole() []syncwire.Component {
	at := syncwire.Position{Generation: 1, Seq: p.last}
	return []syncwire.Component{{Origin: p.id, Known: true, Complete: at, Highest: at}}
}

func (p *peer) bulk(id uint32, index int, records []session.Record) {
	p.t.Helper()
	records = records[index*syncwire.MaxBulk:]
	var b []byte
	for _, r := range records[:min(syncwire.MaxBulk, len(records))] {
		b = append(b, r[:]...)
	}
	p.say(&syncwire.Bulk{FullSync: id, Index: uint32(index), Records: b})
}

// bulks sends all BULKs of a full sync.
func (p *peer) bulks(id uint32, records []session.Record) {
	p.t.Helper()
	for i := range bulksOf(len(records)) {
		p.bulk(id, i, records)
	}
}

func (p *peer) end(id uint32, sessions int) {
	p.t.Helper()
	p.say(&syncwire.End{FullSync: id, Sessions: uint32(sessions), Bulks: uint32(bulksOf(sessions))})
}

func bulksOf(sessions int) int { return (sessions + syncwire.MaxBulk - 1) / syncwire.MaxBulk }

// fullSync sends the BULKs and END of a full sync.
func (p *peer) fullSync(id uint32, records []session.Record) {
	p.t.Helper()
	p.bulks(id, records)
	p.end(id, len(records))
}

// nacked waits for a NACK for BULKs of a full sync, and returns its ranges.
func (p *peer) nacked(id uint32) []syncwire.Range {
	p.t.Helper()
	n, _ := controlThat(p, func(n *syncwire.Nack) bool { return n.FullSync == id })
	return n.Ranges
}
