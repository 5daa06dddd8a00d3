package guest

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forwardMeter notes when UDP packets reach n4. Nobody reads its socket until the end: the kernel stamps the packets, and
// no thread wakes up for them.
type forwardMeter struct{ socket int }

// startForwardMeter starts a meter.
func (top *topology) startForwardMeter(t testing.TB) forwardMeter {
	t.Helper()
	m := forwardMeter{-1}
	top.n4.do(t, func() (err error) {
		if m.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP); err != nil {
			return err
		}
		const buffer = 16 << 20
		if err := unix.SetsockoptInt(m.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
			return err
		}
		return unix.SetsockoptInt(m.socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return m
}

// stop returns when packets to firstPort and above arrived, in order.
func (m forwardMeter) stop(t testing.TB) (arrived []time.Time) {
	t.Helper()
	defer unix.Close(m.socket)
	packet, control := make([]byte, 64), make([]byte, 64)
	for {
		n, oobn, _, _, err := unix.Recvmsg(m.socket, packet, control, 0)
		if err == unix.EAGAIN {
			return arrived
		}
		if err != nil {
			t.Fatal(err)
		}
		const ip, udp = 20, 8 // lengths of headers
		if n < ip+udp || binary.BigEndian.Uint16(packet[ip+2:]) < firstPort {
			continue
		}
		at, err := timestamp(control[:oobn])
		if err != nil {
			t.Fatal(err)
		}
		arrived = append(arrived, at)
	}
}

// timestamp reads a packet's SCM_TIMESTAMPNS.
func timestamp(control []byte) (at time.Time, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return at, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
	}
	return at, fmt.Errorf("a packet without a timestamp")
}
