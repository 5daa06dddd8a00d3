package configdir

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzDecode checks for arbitrary files that each problem has one line and a place in the file, and that a spec
// without errors is the same after it is written to files and read again.
func FuzzDecode(f *testing.F) {
	for _, c := range badFiles {
		f.Add(c.of == modsocket, []byte(c.text))
	}
	f.Add(false, []byte(`{`+group+`, "ttl": 3, "receive buffer": 65536, "namespace": "/run/netns/blue"}`))
	f.Add(false, []byte(`{`+group+`, "key file": "blue.key", "security": "send"}`))
	f.Add(false, []byte(`{`+group+`, "peers": ["2001:db8::2", "2001:db8::1"]}`))
	f.Add(false, []byte(`{"peers": ["192.0.2.2:7", "192.0.2.2", "192.0.2.1:syslog"], "port": 6464, "in interface": "192.0.2.3"}`))
	f.Add(false, []byte(`{"peers": ["[fe80::2]:7", "2001:db8::2"], "port": "syslog", "out interface": "eth0"}`))
	f.Add(true, []byte(`{"instance": "nat", "namespace": "blue", "stats port": "4000", "stats address": "::1"}`))
	f.Add(true, []byte(`{"instance": "nat", "enable ss": true}`))
	f.Fuzz(func(t *testing.T, mod bool, text []byte) {
		of := netsocket
		if mod {
			of = modsocket
		}
		spec, problems := read(of, string(text))
		for _, p := range problems {
			checkPlace(t, p, string(text))
		}
		if !(Pair{Problems: problems}).OK() {
			return
		}
		again, problems := read(of, marshal(t, of, spec))
		if !(Pair{Problems: problems}).OK() || again != spec {
			t.Errorf("%q\nwas %+v\nis  %+v\n%v", text, spec, again, problems)
		}
	})
}

func checkPlace(t *testing.T, p Problem, text string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
		t.Errorf("%q: no such place: %s", text, p)
	}
	if !isPlain(p.Error()) || !strings.Contains(p.Message, "; ") || len(p.Error()) > 1000 {
		t.Errorf("%q: not a readable line: %q", text, p)
	}
}

// FuzzPeers checks that an accepted list of peers has addresses of one family, each once, and that their order
// does not matter.
func FuzzPeers(f *testing.F) {
	for _, seed := range []string{
		"192.0.2.2|192.0.2.3:9", "2001:db8::2|[2001:db8::2]:6464|[fe80::1%eth0]:1", "::ffff:192.0.2.1", "0.0.0.0|::|255.255.255.255", "ff02::1|233.252.0.1",
		"[192.0.2.1]:5|[::1]|::1]:5|:5|[]:5|1.2.3.4:", "192.0.2.1:0|192.0.2.1:65536|192.0.2.1:+1|192.0.2.1:syslog", "|\x00|é",
	} {
		f.Add(seed, uint16(6464))
	}
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		names := strings.Split(text, "|")
		file := func(names []string) (Spec, bool) {
			list, err := json.Marshal(names)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf(`{"peers": %s, "port": "%d", "out interface": "eth0"}`, list, port)
			spec, problems := read(netsocket, text)
			for _, p := range problems {
				checkPlace(t, p, text)
			}
			return spec, (Pair{Problems: problems}).OK()
		}
		spec, ok := file(names)
		if !ok {
			return
		}
		if spec.Peers.Len() != len(names) || spec.Peers.Len() > MaxPeers {
			t.Errorf("%q: %d peers", names, spec.Peers.Len())
		}
		seen := make(map[netip.AddrPort]bool)
		for peer := range spec.Peers.All() {
			a := peer.Addr()
			if seen[peer] || peer.Port() == 0 || a.Is4() != spec.Is4() || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" || !spec.Peers.Has(a) {
				t.Errorf("%q: peer %v", names, peer)
			}
			seen[peer] = true
		}
		slices.Reverse(names)
		if again, ok := file(names); !ok || again != spec {
			t.Errorf("%q: in the opposite order %v", names, again.Peers)
		}
		if again, ok := file(spec.Peers.Names()); !ok || again != spec {
			t.Errorf("%q: written again %v", names, again.Peers)
		}
	})
}

// marshal encodes a spec as a file of a kind.
func marshal(t *testing.T, of kind, s Spec) string {
	t.Helper()
	file := map[string]any{"instance": s.Instance}
	optional := map[string]any{"namespace": s.Namespace}
	if of == netsocket {
		file = map[string]any{
			"reuseaddr": 0, "ttl": s.TTL, "receive buffer": s.ReceiveBuffer,
			"refresh period": int(s.RefreshPeriod.Seconds()), "verify period": int(s.VerifyPeriod.Seconds()), "sequence": s.Sequence,
			"advertise rate": s.AdvertiseRate,
		}
		if s.MTU != 0 {
			file["mtu"] = s.MTU
		}
		if s.Unicast() {
			file["port"] = s.Port
		} else {
			file["multicast address"], file["multicast port"] = s.Group.String(), fmt.Sprint(s.Port)
		}
		if s.Peers.Len() > 0 {
			file["peers"] = s.Peers.Names()
		}
		if s.ReuseAddr {
			file["reuseaddr"] = 1
		}
		if s.Security != SecurityOff {
			file["security"] = s.Security.String()
		}
		optional = map[string]any{
			"key file": s.KeyFile, "in interface": s.InInterface, "out interface": s.OutInterface, "namespace": s.NetNamespace,
		}
	} else {
		if s.StatsPort != 0 {
			file["stats port"] = s.StatsPort
		}
		if s.EnableSS {
			file["enable ss"] = true
		}
		if s.StatsAddress.IsValid() {
			file["stats address"] = s.StatsAddress.String()
		}
	}
	maps.DeleteFunc(optional, func(_ string, value any) bool { return value == "" })
	maps.Copy(file, optional)
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
