package worker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/fdstore"
)

// StatsServer answers datagrams with upstream's six lines, until Close. It does not answer another stats server's answer,
// and no more than statsPerSecond datagrams a second on each address.
type StatsServer struct {
	conns []*net.UDPConn
	done  sync.WaitGroup
	store *fdstore.Store
}

// OpenStats opens a stats server on the spec's port, which must not be 0, in
// the namespace of the process: on the spec's address, or else on both loopback
// addresses (on one, where the host has no other). An error names address and
// port. Sockets that the process before has left in the store are adopted.
func OpenStats(spec configdir.Spec, stats func() Stats, store *fdstore.Store) (*StatsServer, error) {
	addrs := []netip.Addr{spec.StatsAddress}
	if !spec.StatsAddress.IsValid() {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	s := &StatsServer{store: store}
	for i, a := range addrs {
		c, err := openStatsSocket(netip.AddrPortFrom(a, spec.StatsPort), store)
		if i > 0 && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)) {
			continue // no IPv6 here
		}
		if err != nil {
			s.Close()
			return nil, statsError(a, spec.StatsPort, err)
		}
		s.conns = append(s.conns, c)
		s.done.Go(func() { serveStats(c, stats) })
	}
	return s, nil
}

// statsError says what keeps a stats server from its port, and what to type.
func statsError(a netip.Addr, port uint16, err error) error {
	next := ""
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		next = fmt.Sprintf("; to see who has it, type: ss -lunp 'sport = :%d'", port)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		next = fmt.Sprintf("; type: ip address add %v/… dev …", a)
	}
	return fmt.Errorf("stats server on %v port %d: %w%s", a, port, errors.Unwrap(err), next)
}

// statsPerSecond bounds how many datagrams a socket answers in a second. An answer is some hundred times as long as a
// question needs to be, and a forged source address sends it to somebody else.
const statsPerSecond = 100

// serveStats serves one socket until it is closed.
func serveStats(c *net.UDPConn, stats func() Stats) {
	var limit statsLimit
	var b [len(firstStat)]byte
	for {
		n, from, err := c.ReadFromUDPAddrPort(b[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil && !errors.Is(err, unix.EMSGSIZE) {
			continue
		}
		// Two stats servers would answer each other's answers for ever, after one datagram with a forged source.
		if string(b[:n]) != firstStat && limit.allow(time.Now()) {
			_, _ = c.WriteToUDPAddrPort([]byte(stats().String()), from) // who asked may have gone
		}
	}
}

// statsLimit allows statsPerSecond answers in each second.
type statsLimit struct {
	began time.Time
	n     int
}

func (l *statsLimit) allow(now time.Time) bool {
	if now.Sub(l.began) >= time.Second {
		l.began, l.n = now, 0
	}
	l.n++
	return l.n <= statsPerSecond
}

// Close stops the server and waits for its end.
func (s *StatsServer) Close() {
	for _, c := range s.conns {
		leaveStatsSocket(c, s.store)
		c.Close()
	}
	s.done.Wait()
}
