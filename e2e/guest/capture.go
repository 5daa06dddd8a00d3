package guest

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/session"
)

// capture keeps the frames that arrive at a namespace's link "sync".
type capture struct {
	file   *os.File
	ended  chan struct{}
	frames [][]byte // may be read once the capture has ended
}

// startCapture starts a capture. A host on a switch receives all multicast frames of the others.
func (n *namespace) startCapture(t testing.TB) *capture {
	t.Helper()
	const room = 64 << 20
	c := &capture{ended: make(chan struct{})}
	n.do(t, func() error {
		link, err := net.InterfaceByName(syncLink)
		if err != nil {
			return err
		}
		everything := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(everything))
		if err != nil {
			return err
		}
		c.file = os.NewFile(uintptr(fd), "capture")
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room); err != nil {
			return err
		}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_ALLMULTI}); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: link.Index})
	})
	t.Cleanup(func() { c.file.Close() })
	go func() {
		defer close(c.ended)
		buf := make([]byte, 1<<16)
		for {
			n, err := c.file.Read(buf)
			if err != nil {
				return
			}
			c.frames = append(c.frames, bytes.Clone(buf[:n]))
		}
	}()
	return c
}

// stop ends the capture, which must be complete, and returns the datagrams to the group's port among its frames.
func (c *capture) stop(t testing.TB) (datagrams [][]byte) {
	t.Helper()
	conn, err := c.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var lost uint32
	if err := conn.Control(func(fd uintptr) {
		stats, failed := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err = failed; err == nil {
			lost = stats.Drops
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || lost > 0 {
		t.Errorf("the capture lacks %d frames: %v", lost, err)
	}
	c.file.Close()
	<-c.ended
	for _, f := range c.frames {
		if d, ok := groupDatagram(f); ok {
			datagrams = append(datagrams, d)
		}
	}
	return datagrams
}

// groupDatagram returns the content of a UDP datagram over IPv6 to the group's port.
func groupDatagram(frame []byte) ([]byte, bool) {
	const (
		ip      = 14
		udp     = ip + 40
		content = udp + 8
	)
	if len(frame) < content || binary.BigEndian.Uint16(frame[ip-2:]) != unix.ETH_P_IPV6 || frame[ip+6] != unix.IPPROTO_UDP ||
		binary.BigEndian.Uint16(frame[udp+2:]) != groupPort {
		return nil, false
	}
	return frame[content:], true
}

// traces counts the frames with an address of one of the sessions: the IPv6 host's, or those of the IPv4 side next to each other.
func traces(frames [][]byte, sessions []session.Session) (n int) {
	needles := make(map[string]bool)
	for _, s := range sessions {
		src6, src4, dst4 := s.Src6.Addr().As16(), s.Src4.Addr().As4(), s.Dst4.Addr().As4()
		needles[string(src6[:])] = true
		needles[string(src4[:])+string(dst4[:])] = true
		needles[string(dst4[:])+string(src4[:])] = true
	}
	for _, f := range frames {
		for needle := range needles {
			if bytes.Contains(f, []byte(needle)) {
				n++
				break
			}
		}
	}
	return n
}
