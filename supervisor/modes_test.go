package supervisor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/nsthread/nstest"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/worker/workertest"
)

// securityCodes are the codes of reasons and warnings that concern the sealing of datagrams.
var securityCodes = []replication.Code{
	replication.SecurityDiffers, replication.KeyMissing, replication.PeerLacksKey, replication.OneWay, replication.ClearRefused, replication.SealedRefused,
	replication.Forged, replication.Replayed, replication.UnknownKey,
}

// side is what one of two hosts hears and says.
type side struct {
	hears             bool // the other host
	warnings, reasons string
}

// TestModes runs two workers in each combination of modes, and in some of keys. It compares who hears whom, and the warnings.
func TestModes(t *testing.T) {
	const slowest = time.Minute // greetings without HELLOs count after muteAfter
	one, two := seal.NewKey(1), seal.NewKey(2)
	same := [2][]seal.Key{{one}, {one}}
	apart, early := [2][]seal.Key{{two}, {one}}, [2][]seal.Key{{two, one}, {one}}
	good := side{hears: true}
	cases := []struct {
		modes [2]string
		keys  [2][]seal.Key
		want  [2]side
	}{
		{[2]string{"off", "off"}, same, [2]side{good, good}},
		{[2]string{"off", "accept"}, same, [2]side{good, good}},
		{[2]string{"off", "send"}, same, [2]side{{false, "sealed-refused", ""}, {true, "security-differs", ""}}},
		{[2]string{"off", "require"}, same, [2]side{{false, "sealed-refused", ""}, {false, "clear-refused", ""}}},
		{[2]string{"accept", "accept"}, same, [2]side{good, good}},
		{[2]string{"accept", "send"}, same, [2]side{good, good}},
		{[2]string{"accept", "require"}, same, [2]side{{true, "security-differs", ""}, {false, "clear-refused", "security-differs"}}},
		{[2]string{"send", "send"}, same, [2]side{good, good}},
		{[2]string{"send", "require"}, same, [2]side{good, good}},
		{[2]string{"require", "require"}, same, [2]side{good, good}},

		{[2]string{"off", "accept"}, apart, [2]side{good, {true, "peer-lacks-key", ""}}},
		{[2]string{"accept", "accept"}, apart, [2]side{{true, "peer-lacks-key unknown-key", ""}, {true, "peer-lacks-key unknown-key", ""}}},
		{[2]string{"send", "accept"}, apart, [2]side{{true, "peer-lacks-key unknown-key", ""}, {false, "unknown-key", ""}}},
		{[2]string{"send", "send"}, apart, [2]side{{false, "unknown-key", ""}, {false, "unknown-key", ""}}},
		{[2]string{"require", "require"}, apart, [2]side{{false, "unknown-key", ""}, {false, "unknown-key", ""}}},
		{[2]string{"require", "require"}, early, [2]side{{false, "one-way", ""}, {false, "unknown-key", ""}}},
	}
	nstest.Need(t)
	namespaces := [2]string{nstest.New(t), nstest.New(t)}
	nstest.Veth(t, nstest.End{Namespace: namespaces[0], Name: "sync", Addrs: []string{"10.64.0.1/24"}}, nstest.End{Namespace: namespaces[1], Name: "sync", Addrs: []string{"10.64.0.2/24"}})
	name := func(i, which int) string { return fmt.Sprintf("p%d-%d", i, which) }
	instances := make(map[string]*workertest.Instance)
	r := startReal(t, func(r *real) {
		for i, c := range cases {
			for which, ns := range namespaces {
				var text strings.Builder
				for _, key := range c.keys[which] {
					text.WriteString(key.Line() + "\n")
				}
				n := name(i, which)
				writePairFor(t, r.dir, n, ns, n, "sync", 6464+i)
				must(t, os.WriteFile(filepath.Join(r.dir, n+".key"), []byte(text.String()), 0o600))
				file := filepath.Join(r.dir, n+".netsocket.json")
				netsocket, err := os.ReadFile(file)
				must(t, err)
				must(t, os.WriteFile(file, []byte(strings.Replace(string(netsocket), "{", fmt.Sprintf(`{"key file": %q, "security": %q, `, n+".key", c.modes[which]), 1)), 0o644))
				instances[n] = r.kernel.Add(t, ns, n)
				instances[n].Sessions = workertest.NewTable()
			}
		}
	})
	sides := func() map[string]side {
		s, err := r.Status(context.Background(), nil)
		must(t, err)
		got := make(map[string]side)
		for _, row := range s.Workers {
			got[row.Name] = side{
				hears:    slices.ContainsFunc(row.Peers, func(p Peer) bool { return p.Live && p.Software != "" }),
				warnings: securityIn(row.Warnings), reasons: securityIn(row.Reasons),
			}
		}
		return got
	}
	wrong := func() (lines []string) {
		got := sides()
		for i, c := range cases {
			for which := range c.want {
				if is, want := got[name(i, which)], c.want[which]; is != want {
					lines = append(lines, fmt.Sprintf("%s beside %s, keys %v beside %v: %+v, want %+v", c.modes[which], c.modes[1-which], c.keys[which], c.keys[1-which], is, want))
				}
			}
		}
		return lines
	}
	until(t, slowest, "all hosts say what is expected", func() string { return strings.Join(wrong(), "\n") })

	// Each host reports a session. The other one has it if it hears that host.
	report := func(n string, number byte) session.Record {
		s := session.Session{Proto: session.UDP, Src6: netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: number}), 1000),
			Src4: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, number}), 2000), Dst4: netip.MustParseAddrPort("192.0.2.1:53"), Expires: time.Minute}
		record := s.Record()
		entry, err := r.kernel.Format().AppendRecord(nil, &record, workertest.Pool6)
		must(t, err)
		instances[n].Sessions.Put(record)
		instances[n].Multicast(entry)
		return record
	}
	for i, c := range cases {
		var reported [2]session.Record
		for which := range c.want {
			reported[which] = report(name(i, which), byte(1+which))
		}
		for which, want := range c.want {
			table := instances[name(i, which)].Sessions
			has := func() bool { _, has := table.Get(reported[1-which].Key()); return has }
			what := fmt.Sprintf("%s beside %s, keys %v beside %v: the host has the other one's session", c.modes[which], c.modes[1-which], c.keys[which], c.keys[1-which])
			if want.hears {
				await.Within(t, 10*time.Second, what, has)
			} else if has() {
				t.Error(what)
			}
		}
	}
}

// securityIn lists the codes of reasons that concern the sealing of datagrams, in alphabetical order.
func securityIn(reasons []replication.Reason) string {
	var codes []string
	for _, r := range reasons {
		if slices.Contains(securityCodes, r.Code) {
			codes = append(codes, string(r.Code))
		}
	}
	slices.Sort(codes)
	return strings.Join(codes, " ")
}
