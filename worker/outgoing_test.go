package worker

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// TestPartlySent makes the kernel refuse some datagrams of a batch. The worker counts them as unsent; they keep their sequence
// numbers, and can be retransmitted.
func TestPartlySent(t *testing.T) {
	sessions := []int{5, 36, 5, 36, 5} // a datagram with 36 sessions exceeds an MTU of 1280
	newTestbed(t, 2).standby(0).step(func(d *stepped) {
		dontFragment := func(on int) {
			if err := unix.SetsockoptInt(d.socket.fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, on); err != nil {
				panic(err)
			}
		}
		if err := unix.SetsockoptInt(d.socket.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU, 1280); err != nil {
			panic(err)
		}
		dontFragment(1)
		before := d.host.Knowledge.Position().Seq
		var messages [][]byte
		for i, n := range sessions {
			messages = append(messages, workertest.Multicast(jool4115, "nat", entries(t, jool4115, 100*i, n)))
		}
		d.multicast(messages...)
		d.sentWith(syncwire.Live, before, sessions, 1, 3, 5)
		s, l, lost := d.w.counters.Stats(), d.w.counters.Ledger(), d.w.counters.Losses()
		if s.NetSentPackets != 3 || s.NetSentBytes != 15*40 {
			t.Errorf("sent: %+v", s)
		}
		if l.Reported != 87 || l.Sent != 15 || l.Unsent != 72 || lost != (Losses{SendErrors: 2}) {
			t.Errorf("ledger %+v, losses %+v", l, lost)
		}

		dontFragment(0)
		nack := &syncwire.Nack{To: d.host.Knowledge.Self(), Ranges: []syncwire.Range{{From: uint32(before + 1), To: uint32(before + 5)}}}
		d.hear(syncwire.Message{Sender: 0x10f, Body: nack}.Append(nil))
		d.sentWith(syncwire.Retransmission, before, sessions, 1, 2, 3, 4, 5)
		if l := d.w.counters.Ledger(); l.Retransmitted != 87 || d.w.counters.Losses() != lost {
			t.Errorf("ledger %+v, losses %+v", l, d.w.counters.Losses())
		}
		if n := d.w.counters.Stats().NetSentPackets; n != 3+5 {
			t.Errorf("%d datagrams are sent, want %d", n, 3+5)
		}
	})
}

// TestOverrunHastensRefreshes overruns the netlink socket while a refresh waits. The worker sends the refresh at once: after the
// full sync that brings the lost sessions, it would overwrite a newer record.
func TestOverrunHastensRefreshes(t *testing.T) {
	h := newTestbed(t, 2).standby(0)
	h.current.RefreshPeriod = time.Hour // on a busy host, the refresh would not wait otherwise
	h.step(func(d *stepped) {
		before := d.host.Knowledge.Position().Seq
		report := workertest.Multicast(jool4115, "nat", entries(t, jool4115, 0, 3))
		d.multicast(report)
		d.multicast(report)
		d.sentWith(syncwire.Live, before, []int{3}, 1)
		if d.host.Coalescer.Idle() {
			t.Error("no refresh waits")
			return // Fatal would end the worker's thread
		}
		d.overrun(d.do.now())
		if d.sentWith(syncwire.Live, before, []int{3, 3}, 2); !d.host.Coalescer.Idle() {
			t.Error("the refresh still waits")
		}
	})
}

// sentWith reads the datagrams that the worker sends to the group. Their sequence numbers must be before plus each of numbers,
// and the datagram with number i must have sessions[i-1] sessions.
func (d *stepped) sentWith(kind syncwire.Kind, before syncwire.Seq, sessions []int, numbers ...int) {
	for _, i := range numbers {
		list, trailer, err := syncwire.Sessions(d.buf[:d.read(d.group)], session.Packed40)
		want := syncwire.Trailer{Kind: kind, Sender: d.host.Knowledge.Self(), Seq: before + syncwire.Seq(i)}
		if got, ok := syncwire.ParseTrailer(trailer); !ok || got != want || len(list) != 40*sessions[i-1] || err != nil {
			d.t.Errorf("%+v with %d sessions, %v; want %+v with %d", got, len(list)/40, err, want, sessions[i-1])
		}
	}
}
