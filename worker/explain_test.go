package worker

import (
	"log/slog"
	"strings"
	"testing"
)

// TestExplain: at the level debug, the log explains why a session of a peer is ignored; at others it does not.
func TestExplain(t *testing.T) {
	s, h := virtualPeer(t)
	s.live(sessionAt(1, 0))
	h.v.until("it is stored", func() bool { return h.Module.Len() == 1 })
	again := func(n uint64) {
		s.last--
		s.live(sessionAt(1, 0))
		h.v.until("the second copy is ignored", func() bool { return h.counters().Ledger().Ignored == n })
	}
	again(1)
	if n := h.log.count("is ignored"); n != 0 {
		t.Errorf("%d explanations at the level info", n)
	}
	h.level.Set(slog.LevelDebug)
	again(2)
	h.v.until("it is explained", func() bool { return h.log.count("is ignored") == 1 })
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	text := h.log.text.String()
	for _, want := range []string{
		`msg="a session of a peer is ignored" pair=sim why="its datagram arrived before, or too late" protocol=TCP state=TRANS`,
		"ipv6_remote=[2001:db8::1]:1 ", "ipv4_local=198.51.100.0:1 ", "ipv4_remote=192.0.2.1:53\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s:\n%s", want, text)
		}
	}
}
