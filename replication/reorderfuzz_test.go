package replication

import (
	"encoding/binary"
	"testing"
	"time"

	"joolctl/syncwire"
)

// FuzzStream gives a stream any sequence of calls, of two bytes each, and checks its bounds and its answers after each call.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 0, 3, 4, 20, 1, 2, 2, 9})
	f.Add([]byte{0, 1, 3, 200, 4, 255, 4, 255, 5, 7})
	f.Fuzz(func(t *testing.T, calls []byte) {
		m := &streamModel{listener: newListener(t), base: 1<<32 - 40, have: make(map[syncwire.Seq]bool), delivered: make(map[syncwire.Seq]bool)}
		for ; len(calls) >= 2; calls = calls[2:] {
			m.call(calls[0], calls[1])
			m.checkBounds()
			m.checkClaim()
			m.checkOrder()
		}
	})
}

// streamModel knows which datagrams a stream has received, and which of them it has delivered.
type streamModel struct {
	*listener
	base            syncwire.Seq          // near the numbers that the stream expects
	have, delivered map[syncwire.Seq]bool // since the sender's last restart
	seen            int                   // restarts
	in, out         int                   // datagrams
}

// call calls a method of the stream. The first byte chooses the method, the second one its argument.
func (m *streamModel) call(method, argument byte) {
	seq := m.base + syncwire.Seq(argument)
	six := []syncwire.Range{{From: uint32(seq), To: uint32(seq + 5)}}
	switch method % 8 {
	case 0:
		m.receive(syncwire.Live, seq)
	case 1:
		m.receive(syncwire.Retransmission, seq)
	case 2:
		m.ExpectUpTo(seq, m.now, m.count)
	case 3:
		m.ExpectUpTo(seq<<6, m.now, m.count)
		clear(m.delivered) // as far as the numbers come again
		m.base = m.next - 10
	case 4:
		m.now = m.now.Add(time.Duration(argument) * time.Millisecond)
		ask, _ := m.Tick(m.now, m.count)
		if len(ask) > syncwire.MaxRanges {
			m.t.Errorf("%d ranges", len(ask))
		}
	case 5:
		lost := method&8 != 0
		for _, missing := range m.missing {
			m.have[missing.seq] = m.have[missing.seq] || !lost && missing.seq-seq <= 5
		}
		m.Gone(six, lost)
	case 6:
		m.Suppress(six, m.now)
	}
}

func (m *streamModel) receive(kind syncwire.Kind, seq syncwire.Seq) {
	if m.Receive(kind, seq, payload(seq), m.now, m.count) {
		m.in++
	}
}

// count is called for each datagram that the stream delivers. None may be delivered twice.
func (m *streamModel) count(b []byte) {
	m.out++
	if m.restarts != m.seen {
		m.seen = m.restarts
		clear(m.delivered)
		clear(m.have)
	}
	seq := syncwire.Seq(binary.BigEndian.Uint32(b))
	if m.delivered[seq] {
		m.t.Errorf("%d twice", seq)
	}
	m.have[seq], m.delivered[seq] = true, true
}

// checkBounds checks that the stream buffers neither too many datagrams nor others than those that it has received and not delivered.
func (m *streamModel) checkBounds() {
	m.t.Helper()
	if len(m.buffered) > MaxBuffered || len(m.missing) > MaxMissing {
		m.t.Fatalf("%d held, %d missing", len(m.buffered), len(m.missing))
	}
	if m.in != m.out+len(m.buffered) {
		m.t.Fatalf("%d were received, %d delivered, %d are held", m.in, m.out, len(m.buffered))
	}
}

// checkClaim checks that all datagrams have been received that the stream claims to have without a gap.
func (m *streamModel) checkClaim() {
	m.t.Helper()
	if !m.started || m.restarts != m.seen {
		return
	}
	for seq := m.first; !seq.After(m.last()); seq++ {
		if !m.have[seq] {
			m.t.Fatalf("%d never came, but everything from %d to %d is said to have come", seq, m.first, m.last())
		}
	}
}

// checkOrder checks that buffered and missing datagrams are in order, the missing before the next expected one, the buffered
// after it.
func (m *streamModel) checkOrder() {
	m.t.Helper()
	for i, h := range m.buffered {
		if !h.seq.After(m.next) || i > 0 && !h.seq.After(m.buffered[i-1].seq) || h.until.Before(m.bufferUntil) {
			m.t.Fatalf("held %d of %d is %d, next %d, until %v", i, len(m.buffered), h.seq, m.next, m.bufferUntil)
		}
	}
	for i, missing := range m.missing {
		if !m.next.After(missing.seq) || i > 0 && !missing.seq.After(m.missing[i-1].seq) {
			m.t.Fatalf("missing %d of %d is %d, next %d", i, len(m.missing), missing.seq, m.next)
		}
	}
}
