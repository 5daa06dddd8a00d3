package replication

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// holding is a module that has sessions.
type holding map[session.Key]bool

func (h holding) Holds(r *session.Record) bool { return h[r.Key()] }
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
