package joolnl

import (
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
	"joolctl/session/attr"
)

// The tests in this file compare parsed replies with the output of Jool's own tool for the same replies.

func TestSessionsVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		got := make(map[session.Proto][]session.Session)
		for _, x := range exchanges(t, v, "SESSION_FOREACH") {
			for _, m := range x.replies {
				page, more, err := ParseSessions(nil, m)
				if err != nil {
					t.Fatal(err)
				}
				if want := len(page) == 26; more != want {
					t.Errorf("a page of %d sessions: more = %v", len(page), more)
				}
				checkEntries(t, session.Nested, m.Attrs)
				got[page[0].Proto] = append(got[page[0].Proto], page...)
			}
		}
		for p := range session.ICMP + 1 {
			want := readCSV(t, captureFile(t, v, "sessions-"+strings.ToLower(p.String())+".csv"))
			for i := range got[p] {
				got[p][i].Timer = 0 // the tool does not print the timer
			}
			if diff := cmp.Diff(want, got[p], equal); diff != "" {
				t.Errorf("%v sessions (-printed +decoded):\n%s", p, diff)
			}
		}
	})
}

func readCSV(t *testing.T, text string) []session.Session {
	t.Helper()
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1 // sessions without a state have one field fewer
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []session.Session
	for _, row := range rows[1:] {
		addrs := make([]netip.AddrPort, 4)
		for i := range addrs {
			addrs[i] = mustAddrPort(t, row[1+2*i], row[2+2*i])
		}
		list = append(list, session.Session{
			Proto: byName(t, row[0], session.ICMP+1), State: byName(t, stateOf(row), session.Trans+1),
			Src6: addrs[0], Dst6: addrs[1], Src4: addrs[2], Dst4: addrs[3],
			Expires: clockTime(t, row[9]),
		})
	}
	return list
}

// stateOf returns the state in the last column, which only TCP sessions have.
func stateOf(row []string) string {
	if len(row) < 11 {
		return session.Established.String()
	}
	return row[10]
}

func mustAddrPort(t *testing.T, addr, port string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, uint16(n))
}

func byName[T interface {
	~uint8
	fmt.Stringer
}](t *testing.T, name string, end T) T {
	t.Helper()
	for v := range end {
		if v.String() == name {
			return v
		}
	}
	t.Fatalf("no %T is called %q", end, name)
	return end
}

// clockTime parses hours:minutes:seconds with an optional fraction.
func clockTime(t *testing.T, s string) time.Duration {
	t.Helper()
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		t.Fatalf("time %q", s)
	}
	d, err := time.ParseDuration(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// printedStats returns the counters that jool printed, and their names in its order.
func printedStats(t *testing.T, v Version) (counters map[string]uint64, names []string) {
	t.Helper()
	counters = make(map[string]uint64)
	for _, line := range dataLines(captureFile(t, v, "stats.txt")) {
		name, value, _ := strings.Cut(line, ": ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		counters[name] = n
		names = append(names, name)
	}
	return counters, names
}

func TestStatsVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		printed, names := printedStats(t, v)
		order := append([]string{""}, names...) // the IDs count from 1
		attrs := only(t, v, "STATS_FOREACH").Attrs
		counters, want := 0, make(map[string]uint64)
		err := attr.Each(attrs, func(id int, p []byte) error {
			counters++
			n := binary.NativeEndian.Uint64(p)
			if n != printed[order[id]] {
				t.Errorf("%s is %d, printed as %d", order[id], n, printed[order[id]])
			}
			if id <= 5 || strings.HasPrefix(order[id], "JSTAT_JOOLD_") {
				want[order[id]] = n
			}
			return nil
		})
		if err != nil || counters != len(order)-1 {
			t.Errorf("%d counters, %d printed, %v", counters, len(order)-1, err)
		}
		stats, err := v.ParseStats(attrs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, stats.Named()); diff != "" {
			t.Errorf("counters (-printed +decoded):\n%s", diff)
		}
	})
}

func TestGlobalsVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		rows, err := csv.NewReader(strings.NewReader(captureFile(t, v, "global.txt"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		printed := make(map[string]string)
		for _, row := range rows {
			printed[row[0]] = row[1]
		}
		number := func(name string) uint32 {
			if printed[name] == "" {
				return 0
			}
			n, err := strconv.ParseUint(printed[name], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(n)
		}
		want := Globals{
			Pool6:           netip.MustParsePrefix(printed["pool6"]),
			TCPEstablished:  clockTime(t, printed["tcp-est-timeout"]),
			TCPTransitory:   clockTime(t, printed["tcp-trans-timeout"]),
			UDP:             clockTime(t, printed["udp-timeout"]),
			ICMP:            clockTime(t, printed["icmp-timeout"]),
			SSEnabled:       printed["ss-enabled"] == "TRUE",
			SSFlushASAP:     printed["ss-flush-asap"] == "TRUE",
			SSFlushDeadline: time.Duration(number("ss-flush-deadline")) * time.Millisecond,
			SSCapacity:      number("ss-capacity"),
			SSMaxPayload:    number("ss-max-payload"),
			SSMaxSessions:   number("ss-max-sessions-per-packet"),
		}
		got, err := ParseGlobals(only(t, v, "GLOBAL_FOREACH").Attrs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Errorf("settings (-printed +decoded):\n%s", diff)
		}
	})
}

func TestInstancesVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		var want []Instance
		for _, line := range dataLines(captureFile(t, v, "instance.txt"))[1:] {
			row := strings.Split(line, ",")
			handle, err := strconv.ParseUint(row[0], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, Instance{uint32(handle), row[1], row[2] == "iptables"})
		}
		got, err := ParseInstances(only(t, v, "INSTANCE_FOREACH").Attrs)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("instances (-printed +decoded):\n%s", diff)
		}
	})
}

func TestHelloVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		got := make(map[string]bool)
		for _, x := range exchanges(t, v, "INSTANCE_HELLO") {
			alive, err := ParseHello(x.replies[0].Attrs)
			if err != nil {
				t.Fatal(err)
			}
			got[x.replies[0].Header.Instance] = alive
		}
		if diff := cmp.Diff(map[string]bool{"nat": true, "nope": false}, got); diff != "" {
			t.Errorf("alive (-want +got):\n%s", diff)
		}
	})
}
