package guest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

const (
	// updates is the number of updates that are measured, and updateGap the pause before each.
	updates   = 5
	updateGap = 300 * time.Millisecond
	// tunePool4 is a prefix of pool4 that has room for the made-up BIB entries.
	tunePool4  = "198.18.0.0/24"
	firstMask  = 61001
	masksEach  = 65535 - firstMask + 1
	updatePort = 9000 // n6's and n4's
)

// ownEntry is a made-up session with a BIB entry of its own inside tunePool4.
func ownEntry(place int, left time.Duration) session.Session {
	host, mask := netip.MustParseAddr(addr6).As16(), netip.MustParsePrefix(tunePool4).Addr().As4()
	host[11], host[12], host[13], host[14] = 1, byte(place>>16), byte(place>>8), byte(place)
	mask[3] = byte(place / masksEach)
	const port = 10000
	return session.Session{
		Proto:   session.UDP,
		Src6:    netip.AddrPortFrom(netip.AddrFrom16(host), port),
		Dst6:    dst6(port),
		Src4:    netip.AddrPortFrom(netip.AddrFrom4(mask), uint16(firstMask+place%masksEach)),
		Dst4:    netip.AddrPortFrom(netip.MustParseAddr(addr4), port),
		Expires: left,
	}
}

// measureUpdates measures updates of J's settings while J has more and more BIB entries.
func (top *topology) measureUpdates(t testing.TB, entries ...int) (all []TuneUpdate) {
	t.Helper()
	top.j.exec(t, "jool", "-i", "nat", "global", "update", "udp-timeout", "2:00:00")
	top.j.exec(t, "jool", "-i", "nat", "pool4", "add", "--udp", tunePool4, pool4Port)
	top.n4.ip(t, fmt.Sprintf("route add %s via %s", tunePool4, pool4)) // the client's mask may be of this prefix
	top.echoUDP(t)
	client := top.sources(t, []uint16{updatePort})[0]
	has := 0
	for _, n := range entries {
		more := n - has
		top.j.fillWith(t, "nat", more, func(i int) session.Session {
			const prime = 7919 // divides no number of entries here
			return ownEntry(has+i*prime%more, time.Hour+time.Duration(has+i)*time.Millisecond)
		})
		has = n
		m := TuneUpdate{Entries: top.j.stats(t, "nat")[joolnl.StatBIBEntries.String()]}
		if m.Entries < uint64(n) {
			t.Fatalf("J has %d BIB entries, want %d", m.Entries, n)
		}
		idle := make(chan struct{})
		time.AfterFunc(updates*updateGap, func() { close(idle) })
		m.Before = longestRoundTrip(t, client, idle)
		done := make(chan struct{})
		go func() { defer close(done); m.Took = top.j.update(t) }()
		m.During = longestRoundTrip(t, client, done)
		<-done
		t.Logf("%+v", m)
		all = append(all, m)
	}
	return all
}

// update changes the settings that "tune ss" changes, again and again, and returns the time of each update.
func (n *namespace) update(t testing.TB) (took []time.Duration) {
	n.onInstance(t, "nat", func(c *joolnl.Conn) error {
		for range updates {
			<-time.After(updateGap)
			began := time.Now()
			err := c.AskUpdate(joolnl.Change{Setting: joolnl.SSFlushDeadline, Value: TuneDeadline}, joolnl.Change{Setting: joolnl.SSCapacity, Value: TuneCapacity})
			if err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		return nil
	})
	return took
}

// echoUDP starts a UDP echo server in n4.
func (top *topology) echoUDP(t testing.TB) {
	t.Helper()
	var c *net.UDPConn
	top.n4.do(t, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr4), updatePort)))
		return err
	})
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(b[:n], from) // the client times out
		}
	}()
}

// longestRoundTrip sends UDP packets through J to the echo server until stop is closed, one after the other. A
// ping would not do: the module locks the BIB of one protocol at a time, and the made-up entries are in that of UDP.
func longestRoundTrip(t testing.TB, c *net.UDPConn, stop <-chan struct{}) (longest time.Duration) {
	t.Helper()
	b := make([]byte, 1500)
	for first := true; ; first = false {
		select {
		case <-stop:
			return longest
		default:
		}
		began := time.Now()
		if _, err := c.WriteToUDPAddrPort([]byte("x"), dst6(updatePort)); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(began.Add(replyWithin)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
		if !first { // the first packet waits for the neighbours' addresses
			longest = max(longest, time.Since(began))
		}
	}
}
