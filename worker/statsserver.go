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

// StatsServer answers each datagram with upstream's six lines, until Close. It does not answer the reply of another stats
// server, and on each address it answers at most statsPerSecond datagrams a second.
type StatsServer struct {
	conns []*net.UDPConn
	done  sync.WaitGroup
	store *fdstore.Store
}

// OpenStats opens a stats server on the spec's port, which must not be 0, in the namespace of the process. It listens on the
// spec's address; if the spec has none, on 127.0.0.1 and, where the host has IPv6, on ::1. An error names the address and the
// port. OpenStats adopts the sockets that the previous process left in the store.
func OpenStats(spec configdir.Spec, stats func() Stats, store *fdstore.Store) (*StatsServer, error) {
	addrs := []netip.Addr{spec.StatsAddress}
	if !spec.StatsAddress.IsValid() {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	s := &StatsServer{store: store}
	for i, a := range addrs {
		c, err := openStatsSocket(netip.AddrPortFrom(a, spec.StatsPort), store)
		if i > 0 && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)) {
			continue // this host has no IPv6
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

// statsError explains why a stats server cannot listen, and names the command that helps.
func statsError(a netip.Addr, port uint16, err error) error {
	next := ""
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		next = fmt.Sprintf("; to find the process that uses it, type: ss -lunp 'sport = :%d'", port)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		next = fmt.Sprintf("; type: ip address add %v/… dev …", a)
	}
	return fmt.Errorf("stats server on %v port %d: %w%s", a, port, errors.Unwrap(err), next)
}

// statsPerSecond bounds how many datagrams a socket answers in a second. A reply is about a hundred times as long as the
// shortest request, so with forged source addresses an attacker could use the server to amplify traffic.
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
		// One datagram with a forged source address would make two stats servers answer each other without end.
		if string(b[:n]) != firstStat && limit.allow(time.Now()) {
			_, _ = c.WriteToUDPAddrPort([]byte(stats().String()), from) // an error concerns the requester only
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

// Close closes the sockets, or leaves them in the store, and waits until the server's goroutines have ended.
func (s *StatsServer) Close() {
	for _, c := range s.conns {
		leaveStatsSocket(c, s.store)
		c.Close()
	}
	s.done.Wait()
}
