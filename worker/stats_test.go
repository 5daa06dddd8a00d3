package worker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"joolctl/configdir"
)

// ask sends a datagram and returns the reply.
func ask(t *testing.T, to netip.AddrPort, question []byte) string {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(question); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("%v: %v", to, err)
	}
	return string(b[:n])
}

// freePort returns a UDP port that was free when it was called.
func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func TestStatsServer(t *testing.T) {
	var c Counters
	c.kernelSentPackets.Store(1)
	c.kernelSentBytes.Store(40)
	c.netRcvdPackets.Store(2)
	c.netRcvdBytes.Store(80)
	c.netSentPackets.Store(1 << 40)
	c.netSentBytes.Store(1<<64 - 1)
	const want = "KERNEL_SENT_PKTS,1\nKERNEL_SENT_BYTES,40\nNET_RCVD_PKTS,2\nNET_RCVD_BYTES,80\n" +
		"NET_SENT_PKTS,1099511627776\nNET_SENT_BYTES,18446744073709551615\n"
	spec := configdir.Spec{StatsPort: freePort(t)}
	s, err := OpenStats(spec, c.Stats, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, addr := range []string{"127.0.0.1", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(addr), spec.StatsPort)
		for _, question := range [][]byte{nil, {}, []byte("stats\n"), make([]byte, 20_000)} {
			if got := ask(t, to, question); got != want {
				t.Errorf("%v, %d bytes: %q", to, len(question), got)
			}
		}
	}
	c.netRcvdPackets.Add(5)
	to := netip.AddrPortFrom(netip.MustParseAddr("::1"), spec.StatsPort)
	if got := ask(t, to, nil); !strings.Contains(got, "NET_RCVD_PKTS,7\n") {
		t.Errorf("later: %q", got)
	}

	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
		second := spec
		second.StatsAddress = addr
		if _, err := OpenStats(second, c.Stats, nil); err == nil {
			t.Errorf("%v: opened twice", addr)
		} else {
			text := "127.0.0.1"
			if addr.IsValid() {
				text = addr.String()
			}
			wantError(t, err, false, "stats server on "+text+" port "+fmt.Sprint(spec.StatsPort), "address already in use")
		}
	}
	nowhere := spec
	nowhere.StatsAddress = netip.MustParseAddr("2001:db8::1")
	_, err = OpenStats(nowhere, c.Stats, nil)
	wantError(t, err, false, "stats server on 2001:db8::1 port "+fmt.Sprint(spec.StatsPort), "assign")

	s.Close()
	again, err := OpenStats(spec, c.Stats, nil)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close()
}

// TestStatsServerInUse opens a stats server while another socket is bound to the second of the two loopback addresses.
func TestStatsServerInUse(t *testing.T) {
	fds := countDir(t, "/proc/self/fd")
	taken, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip(err)
	}
	port := taken.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	_, err = OpenStats(configdir.Spec{StatsPort: port}, func() Stats { return Stats{} }, nil)
	wantError(t, err, false, "stats server on ::1 port "+fmt.Sprint(port))
	taken.Close()
	eventually(t, "all descriptors are closed", func() bool { return countDir(t, "/proc/self/fd") <= fds })
}

func TestStatsAdd(t *testing.T) {
	got := Stats{1, 2, 3, 4, 5, 6}.Add(Stats{10, 20, 30, 40, 50, 60})
	if want := (Stats{11, 22, 33, 44, 55, 66}); got != want {
		t.Errorf("%+v", got)
	}
}

// TestStatsServerAnswersNoAnswer sends replies of stats servers to a stats server. If it answered them, two servers could
// answer each other without end.
func TestStatsServerAnswersNoAnswer(t *testing.T) {
	var answers uint64
	stats := func() Stats {
		answers++
		return Stats{NetSentBytes: answers}
	}
	spec := configdir.Spec{StatsPort: freePort(t), StatsAddress: netip.MustParseAddr("127.0.0.1")}
	s, err := OpenStats(spec, stats, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := netip.AddrPortFrom(spec.StatsAddress, spec.StatsPort)
	other, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, b := range []string{Stats{}.String(), firstStat} { // the server reads them before the request below
		if _, err := other.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := ask(t, to, []byte("a question")), (Stats{NetSentBytes: 1}).String(); got != want {
		t.Errorf("the first answer is %q, want %q", got, want)
	}
}

func TestStatsPerSecond(t *testing.T) {
	var l statsLimit
	now := time.Unix(1_000_000, 0)
	for second := range 3 {
		allowed := 0
		for range 1000 {
			if l.allow(now) {
				allowed++
			}
			now = now.Add(time.Millisecond)
		}
		if allowed != statsPerSecond {
			t.Errorf("second %d: %d answers, want %d", second, allowed, statsPerSecond)
		}
	}
}
