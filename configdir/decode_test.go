package configdir

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/internal/golden"
)

// address compares values of netip.Addr, which has unexported fields, by ==.
var address = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// read decodes a text as one of a pair's files.
func read(of kind, text string) (Spec, []Problem) {
	spec := Defaults()
	r := report{path: of.fileName(), data: []byte(text)}
	decode(&r, of, &spec, make(places))
	slices.SortStableFunc(r.problems, byPlace)
	return spec, r.problems
}

// peersOf returns the Peers with these addresses.
func peersOf(peers ...string) Peers {
	var list []netip.AddrPort
	for _, p := range peers {
		list = append(list, netip.MustParseAddrPort(p))
	}
	return NewPeers(list...)
}

const group = `"multicast address": "ff08::db8:64:64", "multicast port": "6464"`

// full is a netsocket file with every advised key; %s is the place for others.
const full = `{` + group + `, "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1%s}`

func TestSpec(t *testing.T) {
	want := func(change func(*Spec)) Spec {
		spec := Defaults()
		spec.Group, spec.Port = netip.MustParseAddr("ff08::db8:64:64"), 6464
		spec.InInterface, spec.OutInterface, spec.ReuseAddr = "eth0", "eth0", true
		change(&spec)
		return spec
	}
	with := func(more string) string { return fmt.Sprintf(full, more) }
	for _, c := range []struct {
		name, text string
		want       Spec
	}{
		{"plain", with(""), want(func(*Spec) {})},
		{"ttl", with(`, "ttl": 255`), want(func(s *Spec) { s.TTL = 255 })},
		{"mtu, the smallest", with(`, "mtu": 1280`), want(func(s *Spec) { s.MTU = 1280 })},
		{"mtu, the largest", with(`, "mtu": 9000`), want(func(s *Spec) { s.MTU = 9000 })},
		{"buffer", with(`, "receive buffer": 4096`), want(func(s *Spec) { s.ReceiveBuffer = 4096 })},
		{"namespace", with(`, "namespace": "blue"`), want(func(s *Spec) { s.NetNamespace = "blue" })},
		{"namespace path", with(`, "namespace": "/srv/ns/blue"`), want(func(s *Spec) { s.NetNamespace = "/srv/ns/blue" })},
		{"the program's own namespace", with(`, "namespace": "/proc/self/ns/net"`), want(func(s *Spec) { s.NetNamespace = "/proc/self/ns/net" })},
		{"escapes", with(`, "n\u0061mespace": "bl\u00fce"`), want(func(s *Spec) { s.NetNamespace = "blüe" })},
		{"restricted", with(`, "peers": ["2001:db8::3", "2001:db8::2"]`), want(func(s *Spec) { s.Peers = peersOf("[2001:db8::2]:0", "[2001:db8::3]:0") })},
		{
			"unicast",
			`{"peers": ["192.0.2.3:9", "192.0.2.2", "192.0.2.2:syslog"], "port": 6464, "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1, "key file": "k"}`,
			want(func(s *Spec) {
				s.Group, s.TTL, s.KeyFile = netip.Addr{}, 64, "k"
				s.Peers = peersOf("192.0.2.2:514", "192.0.2.2:6464", "192.0.2.3:9")
			}),
		},
		{
			"unicast without interfaces",
			`{"port": "6464", "ttl": 3, "peers": ["[2001:db8::2]:7", "2001:db8::3"], "reuseaddr": 1, "key file": "k"}`,
			want(func(s *Spec) {
				s.Group, s.InInterface, s.OutInterface, s.TTL, s.KeyFile = netip.Addr{}, "", "", 3, "k"
				s.Peers = peersOf("[2001:db8::2]:7", "[2001:db8::3]:6464")
			}),
		},
		{
			"unicast, link-local",
			`{"peers": ["fe80::2"], "port": "6464", "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1, "key file": "k"}`,
			want(func(s *Spec) { s.Group, s.TTL, s.KeyFile, s.Peers = netip.Addr{}, 64, "k", peersOf("[fe80::2]:6464") }),
		},
		{
			"IPv4 by address",
			`{"multicast address":"233.252.0.64","multicast port":"06464","in interface":"192.0.2.1","out interface":"::ffff:192.0.2.2","reuseaddr":1}`,
			want(func(s *Spec) {
				s.Group, s.InInterface, s.OutInterface = netip.MustParseAddr("233.252.0.64"), "192.0.2.1", "192.0.2.2"
			}),
		},
		{
			"IPv6 by address, service name",
			`{"multicast address":"FF08:0::1","multicast port":"ntp","in interface":"FE80:0::1","out interface":"br-lan.100","reuseaddr":1}`,
			want(func(s *Spec) {
				s.Group, s.Port, s.InInterface, s.OutInterface = netip.MustParseAddr("ff08::1"), 123, "fe80::1", "br-lan.100"
			}),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problems := read(netsocket, c.text)
			if len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			if d := cmp.Diff(c.want, got, address); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestModsocketSpec(t *testing.T) {
	for _, c := range []struct {
		text string
		want func(*Spec)
	}{
		{`{}`, func(*Spec) {}},
		{`{"instance": "nat", "namespace": "/run/netns/blue"}`, func(s *Spec) { s.Instance, s.Namespace = "nat", "/run/netns/blue" }},
		{`{"stats port": 1, "stats address": "::"}`, func(s *Spec) { s.StatsPort, s.StatsAddress = 1, netip.IPv6Unspecified() }},
		{`{"stats port": "65535", "stats address": "::ffff:192.0.2.1"}`, func(s *Spec) {
			s.StatsPort, s.StatsAddress = 65535, netip.MustParseAddr("192.0.2.1")
		}},
	} {
		want := Defaults()
		c.want(&want)
		got, problems := read(modsocket, c.text)
		if len(problems) > 0 {
			t.Errorf("%s: problems: %v", c.text, problems)
		}
		if d := cmp.Diff(want, got, address); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
	}
}

// TestMessages compares the messages about each bad file with a golden file, which reviewers read. go test
// -update writes the file.
func TestMessages(t *testing.T) {
	var out bytes.Buffer
	for _, c := range badFiles {
		fmt.Fprintf(&out, "%s: %s\n", c.of, abridged(strconv.QuoteToASCII(c.text)))
		_, problems := read(c.of, c.text)
		for _, p := range problems {
			mark := "error"
			if p.Warning {
				mark = "warning"
			}
			fmt.Fprintf(&out, "\t%s: %s\n", mark, p)
			if strings.ContainsAny(p.Error(), "\n\r\x00") {
				t.Errorf("%q: not one line: %q", c.text, p)
			}
			if !strings.Contains(p.Message, "; ") {
				t.Errorf("%q: does not say what to write: %s", c.text, p)
			}
		}
		if len(problems) == 0 {
			t.Errorf("%q: no problem", c.text)
		}
	}
	golden.Compare(t, "messages", out.String())
}

func abridged(s string) string {
	if len(s) <= 300 {
		return s
	}
	return s[:300] + "[...]"
}

// TestProblemsAreBounded checks that a file with thousands of mistakes does not flood a log.
func TestProblemsAreBounded(t *testing.T) {
	text := "{" + strings.TrimSuffix(strings.Repeat(`"x":1,`, 10_000), ",") + "}"
	_, problems := read(netsocket, text)
	if len(problems) != maxProblems {
		t.Fatalf("%d problems", len(problems))
	}
	if got := problems[maxProblems-1].Message; !strings.HasPrefix(got, "many more") {
		t.Errorf("the last is %q", got)
	}
}
