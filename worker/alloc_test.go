package worker

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// none calls fn once to warm up and then runs times, and fails if these calls allocate memory.
func (d *stepped) none(what string, runs int, fn func(i int)) {
	i := 0
	if n := testing.AllocsPerRun(runs, func() { fn(i); i++ }); n != 0 {
		d.t.Errorf("%s: %v allocations", what, n)
	}
}

// TestNoAllocations checks that neither a report nor a datagram allocates memory, with sequence numbers, retransmission buffer,
// coalescing, time stamps and ledger.
func TestNoAllocations(t *testing.T) {
	const runs = 50
	for _, v := range []joolnl.Version{jool419, jool4112, jool4115} {
		t.Run(v.String(), func(t *testing.T) {
			newTestbed(t, 2).standby(0).of(v).step(func(d *stepped) {
				for _, together := range []int{1, 3, batch + 2} {
					d.outNoAllocations(v, together, runs)
				}
				for _, theirs := range []session.Format{session.Nested, session.Packed52, session.Packed40} {
					for _, together := range []int{1, batch} {
						ours, upstream := d.numbered(d.newLists(theirs, together*(runs+1))), d.newLists(theirs, together*(runs+1))
						d.none(fmt.Sprintf("%d datagrams of a peer's, %v", together, theirs), runs, func(i int) {
							d.receive(ours[together*i : together*(i+1)]...)
						})
						d.none(fmt.Sprintf("%d datagrams of an upstream peer's, %v", together, theirs), runs, func(i int) {
							d.receive(upstream[together*i : together*(i+1)]...)
						})
					}
				}
				if l := d.w.counters.Losses(); l != (Losses{}) {
					t.Errorf("losses %+v", l)
				}
				l := d.w.counters.Ledger()
				if l.Coalesced == 0 || l.Refreshed == 0 || l.Translated == 0 || l.Reported-l.Coalesced+l.Refreshed != l.Sent {
					t.Errorf("ledger %+v", l)
				}
			})
		})
	}
}

// TestMTUNoAllocations checks that reports allocate no memory, neither as long datagrams nor if they are divided.
func TestMTUNoAllocations(t *testing.T) {
	const runs = 50
	h := newTestbed(t, 2).standby(0).of(jool419)
	h.current.MTU = 9000
	h.step(func(d *stepped) {
		for _, together := range []int{1, batch + 2} {
			d.outNoAllocations(jool419, together, runs)
		}
	})
	h = newTestbed(t, 2).standby(0)
	h.current.MTU = 1280
	h.step(func(d *stepped) {
		for _, together := range []int{1, batch + 2} {
			var messages [][]byte
			for range together * (runs + 1) {
				messages = append(messages, workertest.Multicast(jool4115, "nat", inFormat(d.t, d.format, d.first, 36)))
				d.first += 36
			}
			d.none(fmt.Sprintf("%d reports that are divided", together), runs, func(i int) {
				d.multicast(messages[together*i : together*(i+1)]...)
				d.sentAre(2*together, 6*d.format.EntryLen())
			})
		}
	})
}

// outNoAllocations checks that reports allocate no memory. The worker reads together reports at a time.
func (d *stepped) outNoAllocations(v joolnl.Version, together, runs int) {
	lists := d.newLists(d.format, together*(runs+1))
	var messages [][]byte
	for _, list := range lists {
		messages = append(messages, workertest.Multicast(v, "nat", list))
	}
	size := len(lists[0]) + syncwire.TrailerLen
	if d.seals() {
		size = len(syncwire.AppendSealed(nil, d.numbered(lists[:1])[0], d.format)) + seal.Overhead
	}
	d.none(fmt.Sprintf("%d lists of new sessions", together), runs, func(i int) {
		d.multicast(messages[together*i : together*(i+1)]...)
		d.sentAre(together, size)
	})
	again := messages[len(messages)-together:]
	due := time.Now()
	d.none(fmt.Sprintf("%d lists of sessions that wait for their period's end", together), runs, func(i int) {
		// Sessions that fall into one slot of the coalescer evict each other, and are sent at once.
		sent := d.w.counters.Stats().NetSentPackets
		d.multicast(again...)
		due = due.Add(2 * time.Second)
		d.host.SendRefreshes(due)
		d.sentAre(int(d.w.counters.Stats().NetSentPackets-sent), 1)
	})
	d.host.Coalescer = replication.NewCoalescer(d.host.Coalescer.Period(), 1) // the old one has sessions with times in the future
}

// unread replaces readTable: the module's table is never read.
type unread struct{ outside }

func (unread) readTable(int, time.Time, func() bool, func(replication.Snapshot, error)) {}

// TestBulkNoAllocations checks that BULKs allocate no memory, neither at their sender nor at their receiver.
func TestBulkNoAllocations(t *testing.T) {
	const runs = 50
	newTestbed(t, 2).standby(0).step(func(d *stepped) {
		now := time.Now()
		records := sessionsAt(0, (replication.MaxRate*(runs+2)+200)*syncwire.MaxBulk)
		d.host.Sender.Return(&replication.Peer{PeerInfo: replication.PeerInfo{Sync: syncwire.SyncYes}}, replication.Snapshot{Records: records, Base: now}, nil, now)
		d.host.Sender.Tick(now)
		d.sentAre(1, 1)
		for rate := replication.FirstRate; rate < replication.MaxRate; rate++ {
			now = now.Add(time.Second)
			d.host.Sender.Tick(now)
			d.sentAre(rate, syncwire.MaxBulk*syncwire.RecordLen)
		}
		d.none("sending BULKs", runs, func(int) {
			d.host.Sender.Tick(now)
			d.sentAre(replication.MaxRate, syncwire.MaxBulk*syncwire.RecordLen)
		})
		d.host.Sender.Stop()

		d.hear(syncwire.Message{Sender: 0x10f, Body: &syncwire.End{FullSync: 1}}.Append(nil))
		d.do = unread{d.do}
		d.host.Receiver.Stop(now)
		d.host.Receiver.Begin(&syncwire.Begin{FullSync: 1, Why: syncwire.WhyAdvertise, Sessions: uint32(len(records)), Settings: ttl}, d.host.Peers.WithID(0x10f), now, now)
		var bulks [][]byte
		for i := range uint32(runs + 1) {
			var list []byte
			for _, r := range records[:syncwire.MaxBulk] {
				list = append(list, r[:]...)
			}
			bulks = append(bulks, syncwire.Message{Sender: 0x10f, Body: &syncwire.Bulk{FullSync: 1, Index: i, Records: list}}.Append(nil))
		}
		d.none("receiving BULKs", runs, func(i int) { d.hear(bulks[i]) })
		if got := d.host.Receiver.Progress().Done; got != (runs+1)*syncwire.MaxBulk {
			t.Errorf("%d sessions were received, want %d", got, (runs+1)*syncwire.MaxBulk)
		}
		d.host.Receiver.Stop(now)
	})
}

// BenchmarkPumps measures the cost of a datagram in either direction, with all features on. It includes the cost of the test itself.
func BenchmarkPumps(b *testing.B) {
	for _, together := range []int{1, multicasts} {
		b.Run(fmt.Sprintf("out, %d at a time", together), func(b *testing.B) {
			newTestbed(b, 2).standby(0).step(func(d *stepped) {
				lists, messages := d.newLists(d.format, together), [][]byte(nil)
				for _, list := range lists {
					messages = append(messages, workertest.Multicast(jool4115, "nat", list))
				}
				b.ReportAllocs()
				for n := 0; n < b.N; n += together {
					for i, m := range messages { // all sessions are new
						for at := len(m) - len(lists[i]) + 12; at < len(m); at += 40 {
							binary.BigEndian.PutUint32(m[at:], uint32(n+i))
						}
					}
					d.multicast(messages...)
					d.sentAre(together, 1)
				}
			})
		})
	}
	for _, theirs := range []session.Format{session.Packed40, session.Nested} {
		b.Run(fmt.Sprintf("in, %d at a time, %v", batch, theirs), func(b *testing.B) {
			newTestbed(b, 2).standby(0).step(func(d *stepped) {
				lists := d.newLists(theirs, batch)
				b.ReportAllocs()
				for n := 0; n < b.N; n += batch {
					d.receive(d.numbered(lists)...)
					for i := range lists {
						lists[i] = lists[i][:len(lists[i])-syncwire.TrailerLen]
					}
				}
			})
		})
	}
}
