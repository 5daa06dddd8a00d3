package sim

import (
	"testing"
	"time"

	"joolctl/session"
)

// TestClosesOtherwise has two hosts translate one FIN of a connection each. Each module then has the state of its own FIN, and one of them
// is given the other one's. That is right if the other FIN was the last packet.
func TestClosesOtherwise(t *testing.T) {
	for _, c := range []struct {
		name   string
		last   int // the host that translates the last packet
		healed bool
	}{
		{"the last packet led to the state", 1, true},
		{"the last packet led to the state that is overwritten", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := claimers(t, "4.1.15")
			m := s.Monitor(time.Second, DefaultBounds())
			s.Run(time.Second)
			first, second := s.Nodes[0].Module, s.Nodes[1].Module
			mask, _ := first.Packet(opening(session.TCP, 1))
			packet := func(m *Module, flag Flag, from4 bool) {
				if _, ok := m.Packet(Packet{session.TCP, flag, client(1), web, from4, mask}); !ok {
					t.Fatal("the module drops a packet")
				}
			}
			give := func(from, to *Module) {
				if err := to.Add(entries(t, to.Version().Format(), from.Records()...)); err != nil {
					t.Fatal(err)
				}
			}
			packet(first, SYN, true)
			give(first, second)
			s.Run(10 * time.Second)
			packet(first, Data, false)
			fins := []func(){func() { packet(first, FIN, false) }, func() { packet(second, FIN, true) }}
			fins[1-c.last]()
			fins[c.last]()
			give(second, first)
			moves := s.Truth.Moves()
			move := moves[len(moves)-1]
			if move.Host != 0 || move.Old.State != session.V6FinRcv || move.New.State != session.V4FinRcv {
				t.Fatalf("moves: %v", moves)
			}
			if healed := m.healed(move); healed != c.healed {
				t.Errorf("healed: %v", healed)
			}
		})
	}
}
