package worker

import (
	"testing"

	"joolctl/configdir"
	"joolctl/seal"
	"joolctl/syncwire"
)

// TestIgnoresTestDatagrams sends workers with and without a key the test datagram of `joolctl doctor`: they count nothing, and know no new
// peer.
func TestIgnoresTestDatagrams(t *testing.T) {
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			bed := newTestbed(t, 2)
			h := bed.standby(0)
			if mode.Keyed() {
				h.keyed(mode, seal.NewKey(1))
			}
			h.start()
			peer := bed.peer(1)
			for range 3 {
				peer.send(syncwire.AppendTest(nil))
			}
			peer.send([]byte{0, 0, syncwire.Version, 99, 0, 0, 0, 1, 0, 0, 0, 0}) // of an unknown type, to know that all of them were read
			refused := func() uint64 {
				l := h.counters.Losses()
				return l.NotUnderstood + l.ClearRefused
			}
			eventually(t, "the datagram behind them is counted", func() bool { return refused() > 0 })
			if n := refused(); n != 1 {
				t.Errorf("%d datagrams count as refused or not understood, want 1", n)
			}
			if l := h.counters.Losses(); l.Malformed > 0 {
				t.Errorf("%d are malformed", l.Malformed)
			}
		})
	}
}
