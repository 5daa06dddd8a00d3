package worker

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/worker/workertest"
)

// TestBadDatagrams sends malformed datagrams and unknown messages, each between two valid datagrams.
func TestBadDatagrams(t *testing.T) {
	bed := newTestbed(t, 2)
	good := entries(t, jool4115, 1, 3)
	broken := slices.Clone(good)
	broken[len(broken)-1] = 0xff
	malformed, notUnderstood := Losses{Malformed: 1}, Losses{NotUnderstood: 1}
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		sender := bed.peer(0)
		for _, c := range []struct {
			name string
			in   []byte
			want Losses
			// sessions are those of the datagram that are given to the module
			sessions []byte
			log      string
		}{
			{"empty", nil, malformed, nil, "malformed"},
			{"one byte", []byte{1}, malformed, nil, "malformed"},
			{"cut", good[:len(good)-1], malformed, nil, "malformed"},
			{"a broken session", broken, malformed, nil, "malformed"},
			{"42 sessions", entries(t, jool4115, 1, 42), malformed, nil, "malformed"},
			{"text", []byte("Is anybody there?"), malformed, nil, "malformed"},
			{"longer than the buffer", make([]byte, receivedSize+1), malformed, nil, "longer than any"},
			{"good, but longer than the buffer", append(entries(t, jool4115, 1, 41), make([]byte, receivedSize)...), malformed, nil, "longer than any"},
			{"a leading mark", []byte{0, 0, 9, 9, 9}, notUnderstood, nil, ""},
			{"a mark alone", []byte{0, 0}, notUnderstood, nil, ""},
			{"sessions behind a mark", append([]byte{0, 0}, good...), notUnderstood, nil, ""},
			{"a trailer", append(slices.Clone(good), 0, 0, 9, 9, 9), notUnderstood, good, ""},
			{"the shortest trailer", append(slices.Clone(good), 0, 0), notUnderstood, good, ""},
			{"41 sessions", entries(t, jool4115, 1, 41), Losses{}, entries(t, jool4115, 1, 41), ""},
		} {
			bed.run(c.name, func(t *testing.T, bed *testbed) {
				h := bed.host(1).start()
				first, last := entries(t, jool4115, 100, 1), entries(t, jool4115, 200, 1)
				sender.send(first)
				sender.send(c.in)
				sender.send(last)
				want := [][]byte{first, last}
				if c.sessions != nil {
					want = [][]byte{first, c.sessions, last}
				}
				same(t, h.adds(len(want)), want...)
				n, size := uint64(len(want)), uint64(len(slices.Concat(want...)))
				counts(t, h, Stats{NetRcvdPackets: n, NetRcvdBytes: size, KernelSentPackets: n, KernelSentBytes: size})
				if got := h.counters.Losses(); got != c.want {
					t.Errorf("losses %+v, want %+v", got, c.want)
				}
				if c.log != "" && h.log.count(c.log) != 1 {
					t.Errorf("the log has %d lines with %q", h.log.count(c.log), c.log)
				}
				h.stop()
				if got := h.instance.Count(joolnl.JooldAdd); got != len(want) {
					t.Errorf("%d JOOLD_ADDs", got)
				}
			})
		}
	})
}

// TestOtherModulesFormat sends the sessions of each version of the module to each other version.
func TestOtherModulesFormat(t *testing.T) {
	bed := newTestbed(t, 2)
	modules := []joolnl.Version{jool419, jool4112, jool4115}
	for _, from := range modules {
		for _, to := range modules {
			bed.run(fmt.Sprintf("%v to %v", from, to), func(t *testing.T, bed *testbed) {
				sender, receiver := bed.host(0).of(from).start(), bed.host(1).of(to).start()
				sender.instance.Multicast(entries(t, from, 1, 3))
				same(t, receiver.adds(1), entries(t, to, 1, 3))
				if got := receiver.counters.Losses(); got != (Losses{}) {
					t.Errorf("losses %+v", got)
				}
			})
		}
	}
}

// TestBatch lets more datagrams wait in the socket than one recvmmsg reads.
func TestBatch(t *testing.T) {
	bed := newTestbed(t, 2)
	sender := bed.peer(0)
	h := bed.host(1).start()
	const n = 5*batch + 3
	var want [][]byte
	size := 0
	h.blocked(func() {
		for i := range n {
			want = append(want, entries(t, jool4115, 40*i, 1+i%36))
			size += len(want[i])
			sender.send(want[i])
		}
	})
	got := h.adds(n)
	same(t, got, want...)
	seqs := make(map[uint32]bool)
	for _, r := range got {
		seqs[r.Seq] = true
	}
	if len(seqs) != n || seqs[0] {
		t.Errorf("%d numbers for %d requests", len(seqs), n)
	}
	counts(t, h, Stats{NetRcvdPackets: n, NetRcvdBytes: uint64(size), KernelSentPackets: n, KernelSentBytes: uint64(size)})
}

// TestSocketDrops overruns the network socket.
func TestSocketDrops(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		sender := bed.peer(0)
		h := bed.host(1)
		h.current.ReceiveBuffer = 10_000
		h.start()
		spec := h.spec()
		const n = 300
		h.blocked(func() {
			for i := range n {
				sender.send(entries(t, jool4115, 10*i, 10))
			}
		})
		sent := uint64(n)
		eventually(t, "all datagrams are counted", func() bool {
			sender.send(entries(t, jool4115, 0, 1)) // the kernel reports drops with the next datagram
			sent++
			return h.counters.Stats().NetRcvdPackets+h.counters.Losses().SocketDrops == sent
		})
		if h.counters.Losses().SocketDrops < n/2 {
			t.Errorf("%+v: a buffer of %d held too much", h.counters.Losses(), spec.ReceiveBuffer)
		}
		if c := h.log.count("receive buffer"); c == 0 {
			t.Error("the log has no line about the receive buffer")
		}
	})
}

// TestKernelErrors makes the module refuse every third request, with different errors.
func TestKernelErrors(t *testing.T) {
	bed := newTestbed(t, 2)
	for _, c := range []struct {
		name    string
		err     joolnl.Error
		untaken bool
	}{
		{"single sessions", joolnl.Error{Code: unix.EEXIST, Text: "Something about one session."}, false},
		{"synchronisation off", joolnl.Error{Code: unix.EINVAL, Text: "Session Sync is disabled on this instance."}, true},
		{"no instance", joolnl.Error{Code: unix.ESRCH, Text: "This namespace lacks an instance named 'nat'."}, true},
		{"netlink's own", joolnl.Error{Code: unix.EPERM}, true},
	} {
		bed.run(c.name, func(t *testing.T, bed *testbed) {
			sender := bed.peer(0)
			h := bed.host(1)
			n := 0
			h.instance.Refuse = func(r workertest.Request) *joolnl.Error {
				if r.Op != joolnl.JooldAdd {
					return nil
				}
				if n++; n%3 == 0 {
					return &c.err
				}
				return nil
			}
			h.start()
			const sent, refused = 3 * 15, 15
			kept, size := uint64(sent), 0
			rcvd := 0
			h.blocked(func() {
				for i := range sent {
					list := entries(t, jool4115, 10*i, 1+i%5)
					rcvd += len(list)
					if !c.untaken || (i+1)%3 != 0 {
						size += len(list)
					}
					sender.send(list)
				}
			})
			if c.untaken {
				kept -= refused
			}
			h.adds(sent)
			eventually(t, "the errors are counted", func() bool { return h.counters.Losses() == Losses{KernelErrors: refused} })
			counts(t, h, Stats{NetRcvdPackets: sent, NetRcvdBytes: uint64(rcvd), KernelSentPackets: kept, KernelSentBytes: uint64(size)})
			if lines := h.log.count("the kernel refused sessions"); lines != 1 {
				t.Errorf("%d lines in the log for %d errors, want 1", lines, refused)
			}
		})
	}
}

func TestSentAdds(t *testing.T) {
	var s sentAdds
	for seq := uint32(1); seq <= 100; seq++ {
		s.put(seq, int(10*seq))
	}
	if p, b := s.flush(); p != 100 || b != 50500 {
		t.Errorf("flush: %d, %d", p, b)
	}
	if p, b := s.flush(); p != 0 || b != 0 {
		t.Errorf("second flush: %d, %d", p, b)
	}
	for _, c := range []struct {
		seq   uint32
		bytes uint32
		ok    bool
	}{{100, 1000, true}, {100, 0, false}, {37, 370, true}, {36, 0, false}, {0, 0, false}, {101, 0, false}, {64, 640, true}} {
		if b, ok := s.take(c.seq); b != c.bytes || ok != c.ok {
			t.Errorf("take(%d) = %d, %v; want %d, %v", c.seq, b, ok, c.bytes, c.ok)
		}
	}
}

// TestHeard sends a datagram of an unknown version to a host. The host counts its sender as a peer.
func TestHeard(t *testing.T) {
	bed := newTestbed(t, 2)
	sender := bed.peer(0)
	h := bed.host(1).start()
	sender.send([]byte{0, 0})
	eventually(t, "a peer is heard", func() bool { return len(h.Peers()) == 1 })
	heard := h.Peers()[0]
	if heard.Address.Zone() != "" || fmt.Sprint(heard.Address) == "" || heard.LastHeard.IsZero() {
		t.Errorf("%+v", heard)
	}
}
