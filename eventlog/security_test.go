package eventlog

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
	"joolctl/syncwire"
)

func TestPeerSecured(t *testing.T) {
	got := PeerSecured(replication.PeerSecured{From: netip.MustParseAddr("192.0.2.2"),
		Was: syncwire.NewSecurity(syncwire.SecurityOff), Is: syncwire.NewSecurity(syncwire.SecurityAccept, 2, 1)})
	want := Event{Kind: Peers, Severity: Info, Setting: "security", From: "off", To: "accept (keys 2, 1)", Peer: "192.0.2.2",
		Text: "peer 192.0.2.2: security off → accept (keys 2, 1)"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
