package worker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

// TestOneAddress makes two workers send from one address. Each has its own sequence numbers, and both are live.
func TestOneAddress(t *testing.T) {
	s, h := virtualPeer(t)
	other := *s // with another sender ID, and its own sequence numbers
	other.id = 78
	for i := range 20 {
		if i == 10 {
			s.last++ // a datagram is lost
		}
		s.live(sessionAt(4*i, 0))
		other.live(sessionAt(10_000+4*i, 0))
	}
	controlThat(s, func(n *syncwire.Nack) bool { return n.To == s.id })
	h.v.until("all others are stored", func() bool { return h.Module.Len() == 40 })
	var live []syncwire.ID
	for _, known := range h.worker().host.Peers.Live(h.v.Clock.Now()) {
		live = append(live, known.ID)
	}
	if diff := cmp.Diff([]syncwire.ID{77, 78}, live); diff != "" || len(h.worker().host.Peers.All()) != 2 {
		t.Errorf("live peers, of %d (-want +got):\n%s", len(h.worker().host.Peers.All()), diff)
	}
}
