package supervisor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/syncwire"
	"joolctl/worker"
)

const (
	off     = syncwire.SecurityOff
	accept  = syncwire.SecurityAccept
	send    = syncwire.SecuritySend
	require = syncwire.SecurityRequire
)

// TestModeNumbers checks that the modes of the configuration have the numbers of the wire format.
func TestModeNumbers(t *testing.T) {
	for m := configdir.SecurityOff; m <= configdir.SecurityRequire; m++ {
		spec := configdir.Spec{Security: m, Keys: seal.NewKeys(seal.NewKey(2), seal.NewKey(1))}
		is := worker.SecurityOf(&spec)
		if is != syncwire.NewSecurity(syncwire.SecurityMode(m), 2, 1) || is.Mode.String() != m.String() || is.Mode.Seals() != m.Seals() || is.Mode.TakesSealed() != m.Keyed() {
			t.Errorf("%v is %v", m, is)
		}
	}
}

// codesOf lists the codes of reasons.
func codesOf(reasons []replication.Reason) string {
	var codes []string
	for _, r := range reasons {
		codes = append(codes, string(r.Code))
	}
	return strings.Join(codes, " ")
}

// TestModesAndKeys compares the warnings and reasons about a peer, for all combinations of modes.
func TestModesAndKeys(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	is := syncwire.NewSecurity
	for _, c := range []struct {
		name      string
		own, peer syncwire.Security
		live      string // the warnings while the peer is live
		silent    string // the warnings once the peer is not live, if its last HELLO was clear
		reasons   string // the reasons then, if its last HELLO was sealed; with "": the warnings are those of silent
	}{
		{"clear", is(off), is(off), "", "", ""},
		{"clear, key at hand", is(off, 1), is(off), "", "", ""},
		{"first step here", is(accept, 1), is(off), "peer-lacks-key", "", ""},
		{"first step here, key at hand there", is(accept, 1), is(off, 1), "", "", ""},
		{"first step there", is(off), is(accept, 1), "", "", ""},
		{"accept", is(accept, 1), is(accept, 1), "", "", ""},
		{"second step here", is(send, 1), is(accept, 1), "", "", ""},
		{"second step there", is(accept, 1), is(send, 1), "", "", ""},
		{"send", is(send, 1), is(send, 1), "", "", ""},
		{"third step here", is(require, 1), is(send, 1), "", "", ""},
		{"third step there", is(send, 1), is(require, 1), "", "", ""},
		{"require", is(require, 1), is(require, 1), "", "", ""},

		{"second step too early here", is(send, 1), is(off), "security-differs peer-lacks-key", "", ""},
		{"second step too early there", is(off), is(send, 1), "security-differs", "security-differs", ""},
		{"third step too early here", is(require, 1), is(accept, 1), "security-differs", "security-differs", "security-differs"},
		{"third step too early there", is(accept, 1), is(require, 1), "security-differs", "", ""},
		{"two steps here", is(require, 1), is(off), "security-differs peer-lacks-key", "security-differs", "security-differs"},
		{"two steps there", is(off), is(require, 1), "security-differs", "security-differs", ""},
		{"an older joolctl", is(send, 1), syncwire.Security{}, "security-differs", "", ""},
		{"an older joolctl, accept", is(accept, 1), syncwire.Security{}, "", "", ""},

		{"a key is added here", is(require, 1, 2), is(require, 1), "", "", ""},
		{"a key is added there", is(require, 1), is(require, 1, 2), "", "", ""},
		{"it is moved here", is(require, 2, 1), is(require, 1, 2), "", "", ""},
		{"it is moved there", is(require, 1, 2), is(require, 2, 1), "", "", ""},
		{"the old one is removed here", is(require, 2), is(require, 2, 1), "", "", ""},
		{"it is moved too early here", is(require, 2, 1), is(require, 1), "peer-lacks-key", "", ""},
		{"it is moved too early there", is(require, 1), is(require, 2, 1), "key-missing", "key-missing", "key-missing"},
		{"other keys", is(require, 1), is(require, 2), "key-missing peer-lacks-key", "key-missing", "key-missing"},
		{"other keys, send", is(send, 1), is(send, 2), "key-missing peer-lacks-key", "key-missing", ""},
		{"other keys, accept", is(accept, 1), is(accept, 2), "peer-lacks-key", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, authentic := range []bool{false, true} {
				st := readiness{state: Running, sequence: true, security: security{c.own, "/etc/joold.d/blue.key"},
					sync: worker.SyncState{Synced: syncwire.SyncYes, Answered: now}}
				p := replication.PeerInfo{Address: netip.MustParseAddr("192.0.2.2"), ID: 7, LastHeard: now, LiveUntil: now, Software: "joolctl", Security: c.peer, Authentic: authentic}
				check := func(what, reasons, warnings string, o ReadyOptions) {
					t.Helper()
					st.peers = []replication.PeerInfo{p}
					why := st.reasons(now, o)
					if got := codesOf(why); got != reasons {
						t.Errorf("authentic: %v, %s: reasons %q, want %q", authentic, what, got, reasons)
					}
					if got := codesOf(st.warnings(why, now, o)); got != warnings {
						t.Errorf("authentic: %v, %s: warnings %q, want %q", authentic, what, got, warnings)
					}
				}
				check("live", "", c.live, ReadyOptions{})
				p.LiveUntil = now.Add(-1)
				if !authentic || c.reasons == "" {
					check("silent", "", c.silent, ReadyOptions{})
					continue
				}
				check("silent", c.reasons, "", ReadyOptions{})
				check("silent, alone is allowed", "", c.silent, ReadyOptions{AllowAlone: true})
				p.LastHeard = now.Add(-24 * time.Hour)
				check("silent for a day", c.reasons, "", ReadyOptions{})
				p.Authentic = false
				check("silent for a day, not authentic", "", "", ReadyOptions{})
			}
		})
	}
}

// TestRefusedAndLinks compares the lines about refused datagrams, and about the state of links.
func TestRefusedAndLinks(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	from := netip.MustParseAddr("192.0.2.2")
	refused := func(why worker.Refusal, n uint64, since, last time.Duration) worker.SyncState {
		return worker.SyncState{Refused: []worker.Refused{{From: from, Why: why, Datagrams: n, Since: ago(since), Last: ago(last), Key: 9}}}
	}
	linked := func(deaf, greeted, content time.Duration) worker.SyncState {
		l := seal.Link{From: from, GreetedAt: ago(greeted), ContentAt: ago(content)}
		if deaf > 0 {
			l.DeafSince = ago(deaf)
		}
		return worker.SyncState{Links: []seal.Link{l}}
	}
	const oneWayRemedy = "; look there for this host in `joolctl status -o wide`; check interfaces, snooping and firewalls on the way from this host to it"
	deaf := "peer 192.0.2.2 does not hear this host: its greetings say so, for 1m0s" + oneWayRemedy
	mute := `peer 192.0.2.2 sends clear datagrams, which "security": "require" refuses: nothing but its greetings is sealed, for 30s; write "security": "send" there, or here until it has that`
	for _, c := range []struct {
		name              string
		mode              syncwire.SecurityMode
		sync              worker.SyncState
		peer              syncwire.Security
		warnings, reasons []string
	}{
		{name: "clear", mode: require, sync: refused(worker.RefusedClear, 12, time.Minute, time.Second),
			warnings: []string{`dropped 12 clear datagrams from 192.0.2.2, because "security" is "require", for 1m0s; if that is a host of the group, write "security": "send" there, or here until it has that; otherwise somebody forges them`}},
		{name: "clear, a while ago", mode: require, sync: refused(worker.RefusedClear, 12, time.Hour, time.Minute+1)},
		{name: "sealed", mode: off, sync: refused(worker.RefusedSealed, 1, 0, 0),
			warnings: []string{`dropped 1 sealed datagram from 192.0.2.2, because "security" is "off"; if that is a host of the group, write "security": "accept" and "key file" here, or "accept" there until this host has a key`}},
		{name: "sealed greetings of a host that accepts", mode: off, sync: refused(worker.RefusedSealed, 1, 0, 0), peer: syncwire.NewSecurity(accept, 1)},
		{name: "forged", mode: require, sync: refused(worker.RefusedForged, 2, 0, 0),
			warnings: []string{"dropped 2 forged datagrams from 192.0.2.2: not sealed with key 9 for this group and port; compare the key file with that of the other hosts; if they are equal, somebody forges datagrams"}},
		{name: "some duplicates", mode: require, sync: refused(worker.RefusedReplayed, replaysCount-1, 0, 0)},
		{name: "replayed", mode: require, sync: refused(worker.RefusedReplayed, replaysCount, 0, 0),
			warnings: []string{"dropped 10 replayed datagrams from 192.0.2.2: they had arrived before, or are too old; find out whether the network duplicates datagrams; otherwise somebody sends a recording"}},
		{name: "unknown key", mode: require, sync: refused(worker.RefusedUnknownKey, 2, 0, 0),
			warnings: []string{"dropped 2 datagrams from 192.0.2.2: sealed with key 9, which this host lacks; if that is a host of the group, add key 9 to /etc/joold.d/blue.key"}},
		{name: "a start", mode: require, sync: refused(worker.RefusedUnconfirmed, 20, 20*time.Second, 16*time.Second)},
		{name: "unconfirmed", mode: require, sync: refused(worker.RefusedUnconfirmed, 20, 20*time.Second, time.Second),
			warnings: []string{"peer 192.0.2.2 has not heard this host: dropped 20 datagrams of it, because they may be a recording, for 20s" + oneWayRemedy}},
		{name: "unconfirmed, a while ago", mode: require, sync: refused(worker.RefusedUnconfirmed, 20, time.Minute, 26*time.Second)},

		{name: "a good link", mode: require, sync: linked(0, time.Second, 2*time.Second)},
		{name: "not heard for a moment", mode: require, sync: linked(4*time.Second, time.Second, time.Second)},
		{name: "not heard", mode: require, sync: linked(time.Minute, time.Second, time.Second), warnings: []string{deaf}},
		{name: "not heard, and gone", mode: require, sync: linked(time.Minute, 26*time.Second, time.Minute)},
		{name: "greetings only", mode: require, sync: linked(0, 5*time.Second, 30*time.Second), reasons: []string{mute}},
		{name: "greetings only, which this host takes", mode: send, sync: linked(0, 5*time.Second, 30*time.Second)},
		{name: "a peer that has died", mode: require, sync: linked(0, 6*time.Second, 30*time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := readiness{state: Running, sequence: true, security: security{syncwire.NewSecurity(c.mode, 1), "/etc/joold.d/blue.key"}, sync: c.sync}
			st.sync.Synced, st.sync.Answered = syncwire.SyncYes, now
			if c.peer.Known {
				st.peers = []replication.PeerInfo{{Address: from, ID: 7, LastHeard: now, LiveUntil: now, Software: "joolctl", Security: c.peer}}
			}
			why := st.reasons(now, ReadyOptions{})
			if d := cmp.Diff(c.reasons, lines(why, now), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("reasons (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.warnings, lines(st.warnings(why, now, ReadyOptions{}), now), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
		})
	}
}

// TestRefusedLinesAreBounded sends forged datagrams from many addresses.
func TestRefusedLinesAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	st := readiness{state: Running, sequence: true, sync: worker.SyncState{Synced: syncwire.SyncYes, Answered: now}}
	for i := range 64 {
		st.sync.Refused = append(st.sync.Refused, worker.Refused{From: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Why: worker.RefusedForged, Datagrams: 1, Since: now, Last: now})
	}
	if n := len(st.warnings(nil, now, ReadyOptions{})); n != replication.MaxReasons {
		t.Errorf("%d warnings, want %d", n, replication.MaxReasons)
	}
}
