package guest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attacker sends datagrams to the IPv6 group from a namespace on the link "sync", at a high rate.
type attacker struct {
	fds     []int // sockets, each with another source address
	to      unix.SockaddrInet6
	volleys []volley
	next    int
}

// volley has datagrams of one length, which one system call sends: the kernel divides the bytes (UDP_SEGMENT).
type volley struct {
	bytes, control []byte
	datagrams      int
}

// segments is how many datagrams the kernel makes of one volley at most.
const segments = 44

// newAttacker opens a socket for each source address, which may be another host's.
func (n *namespace) newAttacker(t testing.TB, sources ...string) *attacker {
	t.Helper()
	a := &attacker{to: unix.SockaddrInet6{Port: groupPort, Addr: netip.MustParseAddr(group6).As16()}}
	for _, source := range sources {
		n.ip(t, fmt.Sprintf("address replace %s/128 dev %s nodad", source, syncLink))
		n.do(t, func() error {
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			a.fds = append(a.fds, fd)
			if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, syncLink); err != nil {
				return err
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0); err != nil {
				return err
			}
			return unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr(source).As16()})
		})
	}
	return a
}

// load replaces what the attacker sends. It sends datagrams of one length together. Of a length that few have, it sends them repeatedly.
func (a *attacker) load(datagrams [][]byte) {
	byLength := make(map[int][][]byte)
	for _, d := range datagrams {
		byLength[len(d)] = append(byLength[len(d)], d)
	}
	a.volleys = nil
	for length, all := range byLength {
		for i := 0; len(all) < segments; i++ {
			all = append(all, all[i])
		}
		for chunk := range slices.Chunk(all, segments) {
			v := volley{bytes: slices.Concat(chunk...), control: make([]byte, unix.CmsgSpace(2)), datagrams: len(chunk)}
			binary.NativeEndian.PutUint64(v.control, uint64(unix.CmsgLen(2)))
			binary.NativeEndian.PutUint32(v.control[8:], unix.SOL_UDP)
			binary.NativeEndian.PutUint32(v.control[12:], unix.UDP_SEGMENT)
			binary.NativeEndian.PutUint16(v.control[unix.CmsgLen(0):], uint16(length))
			a.volleys = append(a.volleys, v)
		}
	}
}

// assault is an attack that has begun.
type assault struct {
	quit, ended chan struct{}
	sent        int
	took        time.Duration
	err         error
}

// start begins to send so many datagrams a second, the volleys in turn. The assault ends when it is stopped, or with the test.
func (a *attacker) start(t testing.TB, perSecond int) *assault {
	s := &assault{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); s.err == nil; {
			select {
			case <-s.quit:
				s.took = time.Since(began)
				return
			case <-tick.C:
			}
			for s.err == nil && s.sent < int(time.Since(began).Seconds()*float64(perSecond)) {
				v := a.volleys[a.next%len(a.volleys)]
				s.err = unix.Sendmsg(a.fds[a.next%len(a.fds)], v.bytes, v.control, &a.to, 0)
				s.sent += v.datagrams
				a.next++
			}
		}
	}()
	t.Cleanup(s.end)
	return s
}

func (s *assault) end() {
	select {
	case <-s.quit:
	default:
		close(s.quit)
	}
	<-s.ended
}

// stop ends the assault, which must not have failed, and returns how many datagrams it has sent, and how many a second.
func (s *assault) stop(t testing.TB) (sent int, perSecond float64) {
	t.Helper()
	s.end()
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.sent, float64(s.sent) / s.took.Seconds()
}
