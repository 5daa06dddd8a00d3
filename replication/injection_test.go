package replication

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// holding is a module that has sessions.
type holding map[session.Key]bool

func (h holding) Keeps(r *session.Record) bool { return h[r.Key()] }
func (h holding) Emit(Event)                   {}

// TestInjection gives a module the sessions of two pieces, some of which have expired, were reported meanwhile or are held.
func TestInjection(t *testing.T) {
	f := session.FormatOf(40)
	now := time.Unix(1_000_000, 0)
	reported, held := tcpRecord(3, 100_000), tcpRecord(4, 100_000)
	for _, c := range []struct {
		name     string
		overflow bool // more sessions were reported than can be recorded
		want     []uint32
	}{
		{"all reports are known", false, []uint32{90_000, 110_000, 290_000}},
		{"not all reports are known", true, []uint32{90_000, 290_000}},
	} {
		var r Reported
		var b Backlog
		r.Start()
		r.Add(&reported)
		r.overflow = c.overflow
		i := NewInjection(now, &r, &b)
		i.Add([]session.Record{tcpRecord(1, 10_000), tcpRecord(2, 100_000), reported})
		i.Add(nil)
		i.Add([]session.Record{tcpRecord(4, 120_000), tcpRecord(5, 300_000)})
		list := i.Batch(nil, f, ttl.Pool6, holding{held.Key(): true}, now.Add(10*time.Second))
		var left []uint32
		for entries := list; len(entries) > 0; entries = entries[f.EntryLen():] {
			left = append(left, f.Expires(entries))
		}
		if diff := cmp.Diff(c.want, left); diff != "" {
			t.Errorf("%s: times left in ms (-want +got):\n%s", c.name, diff)
		}
		if done, total := i.Progress(); done != 5 || total != 5 || i.Given != len(c.want) || len(i.All()) != 5 {
			t.Errorf("%s: %d of %d sessions are done, %d given", c.name, done, total, i.Given)
		}
	}
}

// TestInjectionFreed removes a BIB entry that was in the way of sessions. A peer's report of such a session was refused by the module,
// so the full sync brings the session, but not one that the own module has reported meanwhile.
func TestInjectionFreed(t *testing.T) {
	f := session.FormatOf(40)
	now := time.Unix(1_000_000, 0)
	bySame, byOther, own := tcpRecord(1, 100_000), tcpRecord(2, 200_000), tcpRecord(3, 300_000)
	for _, c := range []struct {
		name  string
		freed []session.Record // their masks and hosts
		want  int
	}{
		{"none", nil, 0},
		{"of a session reported by a peer", []session.Record{bySame}, 1},
		{"of a session reported by the own module", []session.Record{own}, 0},
		{"of all", []session.Record{bySame, byOther, own}, 2},
	} {
		var r Reported
		var b Backlog
		r.Start()
		r.AddList(packedList(t, bySame, byOther, own))
		r.Add(&own)
		i := NewInjection(now, &r, &b)
		for j := range c.freed {
			m := maskOf(&c.freed[j])
			i.Free([]Mask{m}, map[Mask]bibHost{m: hostOf(&c.freed[j])})
		}
		i.Add([]session.Record{bySame, byOther, own})
		if i.Batch(nil, f, ttl.Pool6, holding{}, now); i.Given != c.want {
			t.Errorf("%s: %d sessions are given, want %d", c.name, i.Given, c.want)
		}
	}
}
