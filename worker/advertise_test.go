package worker

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// aged returns n UDP sessions with different times left. Their order in the table differs from the order of their ages.
func aged(n int) []session.Session {
	var list []session.Session
	for i := range n {
		dst4 := [4]byte{192, 0, 2, byte(i)}
		dst6 := [16]byte{0, 0x64, 0xff, 0x9b, 12: 192, 13: 0, 14: 2, 15: byte(i)}
		list = append(list, session.Session{
			Proto: session.UDP,
			Src6:  netip.AddrPortFrom(netip.MustParseAddr("2001:db8::8"), uint16(i)),
			Dst6:  netip.AddrPortFrom(netip.AddrFrom16(dst6), 53),
			Src4:  netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(i)),
			Dst4:  netip.AddrPortFrom(netip.AddrFrom4(dst4), 53),
			// Less than the UDP timeout, which is 5 minutes.
			Expires: time.Duration(100+(i*37)%200) * time.Second,
		})
	}
	return list
}

// advertised reads datagrams until it has n sessions. It skips control messages.
func (p *peer) advertised(f session.Format, n int) (records []session.Record, trailers []syncwire.Trailer) {
	p.t.Helper()
	for len(records) < n {
		b, _ := p.receive()
		entries, rest, err := syncwire.Sessions(b, f)
		if err != nil {
			continue
		}
		if len(rest) > 0 {
			trailer, ok := syncwire.ParseTrailer(rest)
			if !ok {
				p.t.Fatalf("a malformed trailer: %x", rest)
			}
			trailers = append(trailers, trailer)
		}
		for ; len(entries) > 0; entries = entries[f.EntryLen():] {
			records = append(records, f.Record(entries))
		}
	}
	return records, trailers
}

// TestAdvertise advertises the table of a module of each format. The worker sends the oldest sessions first, keeps to the rate,
// and appends trailers only if datagrams have sequence numbers.
func TestAdvertise(t *testing.T) {
	for _, version := range []joolnl.Version{jool419, jool4112, jool4115} {
		for _, sequence := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v sequence %v", version, sequence), func(t *testing.T) {
				bed := newTestbed(t, 2)
				p := bed.peer(1)
				h := bed.host(0).of(version)
				h.current.Sequence, h.current.AdvertiseRate = sequence, 1000
				const n = 200
				h.instance.Table = aged(n)
				h.instance.Stats = map[int]uint64{5: n}
				h.start()
				began := time.Now()
				state, err := h.Advertise(context.Background())
				if err != nil || state.Total != n || state.Rate != 1000 || state.Ended {
					t.Fatalf("Advertise: %+v, %v", state, err)
				}
				if _, err := h.Advertise(context.Background()); err == nil || !strings.Contains(err.Error(), "advertising already") {
					t.Errorf("a second one: %v", err)
				}
				records, trailers := p.advertised(version.Format(), n)
				took := time.Since(began)
				if size := frame(false).Sessions(version.Format()); took < time.Duration(n-2*size)*time.Millisecond {
					t.Errorf("%d sessions took %v at 1000 a second", n, took)
				}
				for i := 1; i < len(records); i++ {
					if records[i].Expires() < records[i-1].Expires() {
						t.Fatalf("session %d is older than the one before it", i)
					}
				}
				for _, trailer := range trailers {
					if trailer.Kind != syncwire.Advertised || trailer.Seq != 0 {
						t.Errorf("trailer %+v", trailer)
					}
				}
				if sequence != (len(trailers) > 0) {
					t.Errorf("%d trailers", len(trailers))
				}
				eventually(t, "the advertise ends", func() bool { return h.Sync().Advertise.Ended })
				if s := *h.Sync().Advertise; s != (replication.Advertise{Sent: n, Total: n, Rate: 1000, Ended: true}) || h.counters.Ledger().Advertised != n {
					t.Errorf("%+v, ledger %+v", s, h.counters.Ledger())
				}
				if h.instance.Count(joolnl.JooldAdvertise) != 0 {
					t.Error("the module was asked to advertise")
				}
			})
		}
	}
}

// TestAdvertiseLeavesOutNewer makes the module report a session during an advertise. The worker does not send the session's older
// record from the table.
func TestAdvertiseLeavesOutNewer(t *testing.T) {
	bed := newTestbed(t, 2)
	p := bed.peer(1)
	h := bed.host(0)
	h.current.AdvertiseRate = 200
	h.instance.Table = aged(100)
	h.start()
	if _, err := h.Advertise(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, _ := p.advertised(session.Packed40, 36)
	// The youngest session has not been sent yet.
	youngest := h.instance.Table[0].Record()
	for _, s := range h.instance.Table {
		if r := s.Record(); r.Expires() > youngest.Expires() {
			youngest = r
		}
	}
	live, err := session.Packed40.AppendRecord(nil, &youngest, netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	h.instance.Multicast(live)
	eventually(t, "the advertise ends", func() bool { return h.Sync().Advertise.Ended })
	rest, _ := p.advertised(session.Packed40, 64)
	n := 0
	for _, r := range append(first, rest...) {
		if bytes.Equal(r[:24], youngest[:24]) && r.Key() == youngest.Key() {
			n++
		}
	}
	if s := h.Sync().Advertise; n != 1 || s.Sent != 99 || s.Total != 99 {
		t.Errorf("the reported session was sent %d times, want once; %+v", n, s)
	}
}

// TestAdvertiseFails advertises a table that cannot be read: the state has the error.
func TestAdvertiseFails(t *testing.T) {
	h := newTestbed(t, 2).host(0).start()
	h.instance.Set(func(i *workertest.Instance) {
		i.Refuse = refusing(joolnl.SessionForeach, &joolnl.Error{Code: 22, Text: "no"})
	})
	if _, err := h.Advertise(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := h.Sync().Advertise; !s.Ended || !strings.Contains(s.String(), "failed after 0 of 0 sessions: reading the session table: Jool: no") {
		t.Errorf("%v", s)
	}
}
