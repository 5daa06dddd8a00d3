package worker

import "testing"

// TestTurns: a loop goes round without traffic too.
func TestTurns(t *testing.T) {
	h := newTestbed(t, 2).host(0).start()
	before := h.Turns()
	within(t, 4*askIdle, "the idle loop has gone round", func() bool { return h.Turns() > before })
	if h.InKernel() {
		t.Error("an idle loop counts as busy in the kernel")
	}
}
