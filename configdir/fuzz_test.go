package configdir

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// FuzzDecode: whatever a file holds, each problem is one line at a place in
// the file, and a spec without an error survives being written and read again.
func FuzzDecode(f *testing.F) {
	for _, c := range badFiles {
		f.Add(c.of == modsocket, []byte(c.text))
	}
	f.Add(false, []byte(`{`+group+`, "ttl": 3, "receive buffer": 65536, "namespace": "/run/netns/blue"}`))
	f.Add(false, []byte(`{`+group+`, "key file": "blue.key", "security": "send"}`))
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

// marshal writes a spec as a file of a kind.
func marshal(t *testing.T, of kind, s Spec) string {
	t.Helper()
	file := map[string]any{"instance": s.Instance}
	optional := map[string]any{"namespace": s.Namespace}
	if of == netsocket {
		file = map[string]any{
			"multicast address": s.Group.String(), "multicast port": fmt.Sprint(s.Port),
			"reuseaddr": 0, "ttl": s.TTL, "receive buffer": s.ReceiveBuffer,
			"refresh period": int(s.RefreshPeriod.Seconds()), "verify period": int(s.VerifyPeriod.Seconds()), "sequence": s.Sequence,
			"advertise rate": s.AdvertiseRate,
		}
		if s.MTU != 0 {
			file["mtu"] = s.MTU
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
