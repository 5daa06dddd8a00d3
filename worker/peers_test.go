package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

// TestOneAddress makes two workers send from one address. Each has its own sequence numbers, and both are live.
func TestOneAddress(t *testing.T) {
	t.Parallel()
	bed := newTestbed(t, 2)
	s, h := bed.peer(0), bed.standby(1).start()
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
	eventually(t, "all others are stored", func() bool { return h.instance.Sessions.Len() == 40 })
	var live []syncwire.ID
	h.onThread(func(p *pumps) {
		for _, known := range p.host.Peers.Live(time.Now()) {
			live = append(live, known.ID)
		}
	})
	if diff := cmp.Diff([]syncwire.ID{77, 78}, live); diff != "" || len(h.Peers()) != 2 {
		t.Errorf("live peers, of %d (-want +got):\n%s", len(h.Peers()), diff)
	}
}
