package supervisor

import (
	"context"
	"fmt"
	"net/netip"
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

// side describes one of the two hosts.
type side struct {
	hears             bool // this host hears the other one
	warnings, reasons string
}

// combination is a group of two hosts with their modes and keys.
type combination struct {
	modes [2]string
	keys  [2][]seal.Key
	want  [2]side
}

// about names one of the hosts.
func (c combination) about(host int) string {
	return fmt.Sprintf("%s beside %s, keys %v beside %v", c.modes[host], c.modes[1-host], c.keys[host], c.keys[1-host])
}

// TestModes runs two workers in each combination of modes, and in some combinations of keys. It checks which host hears the other one,
// which warnings and reasons each host has, and that a host stores the sessions of exactly those hosts that it hears.
func TestModes(t *testing.T) {
	t.Parallel()
	one, two := seal.NewKey(1), seal.NewKey(2)
	same := [2][]seal.Key{{one}, {one}}
	apart, early := [2][]seal.Key{{two}, {one}}, [2][]seal.Key{{two, one}, {one}}
	good := side{hears: true}
	c := startCombinations(t, []combination{
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
	})
	const slowest = time.Minute // a peer that only greets counts after muteAfter
	await.Right(t, slowest, "all hosts have the expected peers, warnings and reasons", c.wrong)
	for i := range c.all {
		c.exchange(i)
	}
}

// combinations is a supervisor with the workers of all combinations. Each combination has a port of its own on one link.
type combinations struct {
	*real
	all       []combination
	instances map[string]*workertest.Instance // by the name of the pair
}

func startCombinations(t *testing.T, all []combination) *combinations {
	nstest.Need(t)
	namespaces := [2]string{nstest.New(t), nstest.New(t)}
	nstest.Veth(t, nstest.End{Namespace: namespaces[0], Name: "sync", Addrs: []string{"10.64.0.1/24"}}, nstest.End{Namespace: namespaces[1], Name: "sync", Addrs: []string{"10.64.0.2/24"}})
	c := &combinations{all: all, instances: make(map[string]*workertest.Instance)}
	startReal(t, func(r *real) {
		c.real = r
		for i, pair := range all {
			for host, ns := range namespaces {
				name := c.name(i, host)
				writePairFor(t, r.dir, name, ns, name, "sync", 6464+i)
				writeSecurity(t, r.dir, name, 6464+i, pair.modes[host], pair.keys[host]...)
				c.instances[name] = r.kernel.Add(t, ns, name)
				c.instances[name].Sessions = workertest.NewTable()
			}
		}
	})
	return c
}

// name names the pair and the instance of a combination's host.
func (c *combinations) name(i, host int) string { return fmt.Sprintf("p%d-%d", i, host) }

// wrong returns a line for each host that hears other hosts, or has other warnings or reasons, than expected.
func (c *combinations) wrong() string {
	s, err := c.Status(context.Background(), nil)
	must(c.t, err)
	got := make(map[string]side)
	for _, row := range s.Workers {
		got[row.Name] = side{
			hears:    slices.ContainsFunc(row.Peers, func(p Peer) bool { return p.Live && p.Software != "" }),
			warnings: securityIn(row.Warnings), reasons: securityIn(row.Reasons),
		}
	}
	var lines []string
	for i, pair := range c.all {
		for host, want := range pair.want {
			if is := got[c.name(i, host)]; is != want {
				lines = append(lines, fmt.Sprintf("%s: %+v, want %+v", pair.about(host), is, want))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// exchange has both hosts of a combination report a session. The other host must store it exactly if it hears the first one.
func (c *combinations) exchange(i int) {
	c.t.Helper()
	pair := c.all[i]
	var reported [2]session.Record
	for host := range reported {
		reported[host] = c.report(i, host)
	}
	for host, want := range pair.want {
		table := c.instances[c.name(i, host)].Sessions
		has := func() bool { _, has := table.Get(reported[1-host].Key()); return has }
		what := pair.about(host) + ": the host has the other one's session"
		if want.hears {
			await.Within(c.t, 10*time.Second, what, has)
		} else if has() {
			c.t.Error(what)
		}
	}
}

// report has the module of a combination's host report a new session.
func (c *combinations) report(i, host int) session.Record {
	c.t.Helper()
	number := byte(1 + host)
	s := session.Session{Proto: session.UDP, Src6: netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: number}), 1000),
		Src4: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, number}), 2000), Dst4: netip.MustParseAddrPort("192.0.2.1:53"), Expires: time.Minute}
	record := s.Record()
	entry, err := c.kernel.Format().AppendRecord(nil, &record, workertest.Pool6)
	must(c.t, err)
	instance := c.instances[c.name(i, host)]
	instance.Sessions.Put(record)
	instance.Multicast(entry)
	return record
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

// TestReadyAndSecurity runs three hosts with a key. An attacker without the key uses the address of one of them. The
// attacker causes warnings, but changes neither the verdict nor ready. When one host changes its key or its mode, the
// two others no longer hear it and are not ready. They are ready again when that host has its old key again.
func TestReadyAndSecurity(t *testing.T) {
	t.Parallel()
	one, two := seal.NewKey(1), seal.NewKey(2)
	g := startGroup(t, "require", one)
	g.hear("the start", "require", []int{1}, g.names...)
	g.ready("all is well", "a, b", "a", "b")

	attacker := g.join(9, "10.64.0.9/24", "10.64.0.3/24") // 10.64.0.3 is also the address of c
	nstest.IP(t, attacker, "route add 224.0.0.0/4 dev sync")
	forged := attack(t, attacker, "10.64.0.3")
	await.Right(t, groupPatience, "the hosts warn", func() string {
		forged()
		if got := g.says(false, "a", "b"); got != "a, b" {
			t.Fatalf("forged datagrams make ready say %q", got)
		}
		warnings := g.says(true, "a", "b")
		for _, code := range []replication.Code{replication.ClearRefused, replication.Forged, replication.UnknownKey} {
			if strings.Count(warnings, fmt.Sprintf("%s(10.64.0.3)", code)) != 2 {
				return warnings
			}
		}
		return ""
	})
	g.hear("the attack", "require", []int{1}, g.names...)

	g.set("c", "require", two)
	g.ready("c has another key", "a key-missing(10.64.0.3), b key-missing(10.64.0.3)", "a", "b")
	g.hear("the others have each other", "", nil, "a", "b")
	g.set("c", "require", one)
	g.hear("c is back", "require", []int{1}, g.names...)
	g.ready("c has the key again", "a, b", "a", "b")
	g.set("c", "off", one)
	g.ready("c is clear", "a security-differs(10.64.0.3), b security-differs(10.64.0.3)", "a", "b")
	g.hear("the others have each other", "", nil, "a", "b")
}

// TestDocumentedSteps follows the steps of docs/configuration.md from clear to sealed datagrams, to another key, and
// back. At each step, status must show the results that the document describes.
func TestDocumentedSteps(t *testing.T) {
	t.Parallel()
	one, two := seal.NewKey(1), seal.NewKey(2)
	lacks := func(peers ...string) (text string) {
		for _, peer := range peers {
			text += fmt.Sprintf(" peer-lacks-key(10.64.0.%s)", peer)
		}
		return text
	}
	g := startGroup(t, "")
	g.hear("the start", "off", nil, g.names...)
	for _, step := range []struct {
		what, mode string
		keys       []seal.Key
		warnings   [3]string // of all hosts, after each host's change
	}{
		{"accept", "accept", []seal.Key{one}, [3]string{"a" + lacks("2", "3") + ", b, c", "a" + lacks("3") + ", b" + lacks("3") + ", c", "a, b, c"}},
		{"send", "send", []seal.Key{one}, [3]string{}},
		{"require", "require", []seal.Key{one}, [3]string{}},
		{"a new key", "require", []seal.Key{one, two}, [3]string{}},
		{"it is moved to the first line", "require", []seal.Key{two, one}, [3]string{}},
		{"the old one is removed", "require", []seal.Key{two}, [3]string{}},
		{"back to send", "send", []seal.Key{two}, [3]string{}},
		{"back to accept", "accept", []seal.Key{two}, [3]string{}},
		{"back to off", "off", nil, [3]string{"a, b" + lacks("1") + ", c" + lacks("1"), "a, b, c" + lacks("1", "2"), "a, b, c"}},
	} {
		var ids []int
		for _, key := range step.keys {
			ids = append(ids, int(key.ID))
		}
		for i, name := range g.names {
			g.set(name, step.mode, step.keys...)
			want := step.warnings[i]
			if want == "" {
				want = "a, b, c"
			}
			await.Right(t, groupPatience, step.what+": "+name, func() string {
				status, err := g.Status(context.Background(), g.names)
				must(t, err)
				for _, row := range status.Workers {
					at := slices.IndexFunc(row.Peers, func(p Peer) bool { return p.Live && p.Address == fmt.Sprintf("10.64.0.%d", i+1) })
					if row.Name != name && (at < 0 || row.Peers[at].Security != step.mode || !slices.Equal(row.Peers[at].KeyIDs, ids)) {
						return fmt.Sprintf("%s: peers %+v", row.Name, row.Peers)
					}
				}
				if got := g.says(true, g.names...); got != want {
					return fmt.Sprintf("warnings %q, want %q", got, want)
				}
				return ""
			})
		}
		g.hear(step.what, step.mode, ids, g.names...)
		g.ready(step.what, "a, b, c", g.names...)
	}
}
