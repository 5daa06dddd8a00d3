package guest

import (
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/session"
)

// TestMTU has two NAT64s whose packets may have 1280 bytes exchange a table and live sessions, with clear datagrams and with sealed
// ones. No packet between them is longer, none is a fragment, and the longest ones have nearly that length.
func TestMTU(t *testing.T) {
	enter(t, "test")
	const n, mtu = 5000, 1280
	for _, c := range []struct {
		name, group string
		sealed      bool
	}{{"clear", group6, false}, {"sealed", group4, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := newTopology(t)
			top.serveEcho(t)
			pairJ, pairK := top.pairs(c.group)
			pairJ.mtu, pairK.mtu = mtu, mtu
			start := startPair
			if c.sealed {
				keys := genkey(t, "1")
				start = func(t *testing.T, p pair) supervisor { return startSealed(t, p, keys) }
			}
			captureJ, captureK := top.j.capture(t, syncLink), top.k.capture(t, syncLink)
			top.keep(map[session.Proto]int{session.UDP: n}, func() {})
			top.j.fill(t, "nat", n)
			j, k := start(t, pairJ.in(top.j)), start(t, pairK.in(top.k))
			j.awaitRunning(t, 1, listensWithin)
			k.awaitRunning(t, 1, listensWithin)
			top.awaitSynced(t)
			for range 3 {
				top.mixedTraffic(t)
			}
			top.awaitSynced(t)
			for name, capture := range map[string]func() captured{"J": captureJ, "K": captureK} {
				got := capture()
				if got.longest > mtu || got.fragments > 0 || got.packets == 0 {
					t.Errorf("%s: %+v, want packets of %d bytes at most", name, got, mtu)
				}
				if name == "J" && got.longest < mtu-36 {
					t.Errorf("J: %+v, want packets of nearly %d bytes", got, mtu)
				}
			}
		})
	}
}

// startPair starts a supervisor of a pair.
func startPair(t *testing.T, p pair) supervisor {
	t.Helper()
	s := supervisor{dir: t.TempDir(), socket: filepath.Join(t.TempDir(), "control.sock")}
	p.write(t, s.dir)
	s.process = start(t, nil, joolctl, "up", s.dir, "--socket", s.socket)
	return s
}

// captured describes the IP packets that have left a namespace by a link.
type captured struct{ packets, fragments, longest int }

// capture returns a function that returns which packets have left the namespace by a link since.
func (n *namespace) capture(t testing.TB, link string) func() captured {
	t.Helper()
	fd := -1
	n.do(t, func() (err error) {
		ifi, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		const all = 0x0300 // ETH_P_ALL in network byte order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func() (c captured) {
		t.Helper()
		buf := make([]byte, 64<<10)
		for {
			size, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return c
			}
			if err != nil {
				t.Fatal(err)
			}
			if from, is := from.(*unix.SockaddrLinklayer); !is || from.Pkttype != unix.PACKET_OUTGOING || size < 20 {
				continue
			}
			c.packets++
			c.longest = max(c.longest, size)
			if buf[0]>>4 == 4 && (buf[6]&0x3f != 0 || buf[7] != 0) || buf[0]>>4 == 6 && buf[6] == unix.IPPROTO_FRAGMENT {
				c.fragments++
			}
		}
	}
}
