package supervisor

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

// TestUnlistedSender checks the warning while a listed peer is not live and datagrams arrive from an address that is not
// listed.
func TestUnlistedSender(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	second, third, stranger := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("198.51.100.7")
	heard := func(a netip.Addr, ago time.Duration) replication.PeerInfo {
		return replication.PeerInfo{Address: a, ID: 7, LastHeard: now.Add(-ago), LiveUntil: now.Add(12*time.Second - ago)}
	}
	const warning = "peer 192.0.2.3 is not heard, but 198.51.100.7 sends and is not listed: a peer may send from an unlisted address; " +
		`if that is the peer behind a NAT, or another address of it, list it in "peers", or write the listed address as "in interface" there`
	for _, c := range []struct {
		name     string
		state    State
		unlisted netip.Addr
		ago      time.Duration
		peers    []replication.PeerInfo
		warnings []string
	}{
		{"nobody else sends", Running, netip.Addr{}, 0, []replication.PeerInfo{heard(second, 0)}, nil},
		{"a peer is not heard", Running, stranger, time.Second, []replication.PeerInfo{heard(second, 0)}, []string{warning}},
		{"a peer is not live any more", Running, stranger, time.Second, []replication.PeerInfo{heard(second, 0), heard(third, time.Minute)}, []string{warning}},
		{"long ago", Running, stranger, time.Minute, []replication.PeerInfo{heard(second, 0)}, nil},
		{"all peers are heard", Running, stranger, time.Second, []replication.PeerInfo{heard(second, 0), heard(third, 0)}, nil},
		{"not running", Waiting, stranger, time.Second, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := readiness{state: c.state, sequence: true, peers: c.peers, listed: configdir.NewPeers(netip.AddrPortFrom(second, 1), netip.AddrPortFrom(third, 1)),
				sync: worker.SyncState{Synced: syncwire.SyncYes, Answered: now, Unlisted: c.unlisted, UnlistedAt: now.Add(-c.ago)}}
			if diff := cmp.Diff(c.warnings, lines(st.warnings(nil, now, ReadyOptions{}), now)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConfiguredPeers checks that a row reports which of the configured peers were heard.
func TestConfiguredPeers(t *testing.T) {
	spec := configdir.Spec{Peers: configdir.NewPeers(netip.MustParseAddrPort("[2001:db8::2]:6464"), netip.MustParseAddrPort("[2001:db8::3]:6464"))}
	beside := configdir.Spec{Peers: configdir.NewPeers(netip.MustParseAddrPort("[2001:db8::2]:0"), netip.MustParseAddrPort("[2001:db8::3]:0"))}
	for _, c := range []struct {
		spec configdir.Spec
		want []ConfiguredPeer
	}{
		{spec, []ConfiguredPeer{{"[2001:db8::2]:6464", false}, {"[2001:db8::3]:6464", true}}},
		{beside, []ConfiguredPeer{{"2001:db8::2", false}, {"2001:db8::3", true}}},
		{configdir.Spec{}, []ConfiguredPeer{}},
	} {
		r := Row{ConfiguredPeers: configuredPeers(&c.spec)}
		r.takePeers([]replication.PeerInfo{{Address: netip.MustParseAddr("2001:db8::3")}}, time.Now())
		if diff := cmp.Diff(c.want, r.ConfiguredPeers); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
