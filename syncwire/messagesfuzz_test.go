package syncwire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func seed(f *testing.F) {
	for _, m := range examples() {
		b := m.Append(nil)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 200, 0, 2, 1, 2))
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		f.Add(Message{1, 2, randomBody(r, true)}.Append(nil))
	}
	for _, vector := range [][]Component{fullVector(), {{Origin: 5}, {Origin: 5}}, {{Origin: 5, Complete: Position{1, 1}}}, {{}}} {
		f.Add(cat(TypeHello, appendVector(nil, 6, vector)))
	}
	f.Add([]byte{0, 0})
}

func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		m, err := Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			if m.Body != nil || m.Sender != 0 {
				t.Errorf("%v, and yet %+v", err, m)
			}
			return
		}
		again := m.Append(nil)
		padding := 0
		if h, is := m.Body.(*Hello); is {
			padding = h.Padding
		}
		if len(again) > MaxMessage+padding || !isMark(again) {
			t.Errorf("%+v takes %d bytes", m, len(again))
		}
		got, err := Parse(again)
		if diff := cmp.Diff(m, got, equal); err != nil || diff != "" {
			t.Errorf("it comes back otherwise: %v (-want +got):\n%s", err, diff)
		}
		bounded(t, m)
	})
}

// bounded checks the bounds that callers of Parse rely on.
func bounded(t *testing.T, m Message) {
	t.Helper()
	if m.Sender == 0 {
		t.Error("no sender")
	}
	ranges := func(r []Range) {
		if len(r) == 0 || len(r) > MaxRanges {
			t.Errorf("%d ranges", len(r))
		}
		for _, r := range r {
			if r.To-r.From >= 1<<31 {
				t.Errorf("range %v", r)
			}
		}
	}
	switch b := m.Body.(type) {
	case *Hello:
		if len(b.Heard) > MaxHeard || b.Padding > maxPadding || b.Padding > 0 && !b.Padded || len(b.Software) > 32 || b.Sync > SyncAlone || b.Settings.SSFlushASAP > SwitchOn {
			t.Errorf("%+v", b)
		}
		boundedVector(t, b.Vector)
	case *Nack:
		ranges(b.Ranges)
	case *Gone:
		ranges(b.Ranges)
	case *Begin:
		if b.PerBulk > MaxBulk || len(b.Audience) > MaxAudience || b.FullSync == 0 || slices.Contains(b.Settings.TTLs[:], 0) {
			t.Errorf("%+v", b)
		}
		boundedVector(t, b.Vector)
	case *Bulk:
		if n := len(b.Records); n == 0 || n%RecordLen != 0 || n > MaxBulk*RecordLen || b.FullSync == 0 {
			t.Errorf("%d bytes of records", n)
		}
	case *End:
		if uint64(b.Sessions) > uint64(b.Bulks)*MaxBulk {
			t.Errorf("%+v", b)
		}
	}
}

func FuzzTrailer(f *testing.F) {
	for k := range Kind(4) {
		f.Add(Trailer{k, 5, 6}.Append(nil))
	}
	f.Add([]byte{0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 2, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := ParseTrailer(b)
		if !ok {
			return
		}
		again := got.Append(nil)
		if !bytes.HasPrefix(b, again) || got.Sender == 0 || got.Kind > Advertised {
			t.Errorf("%x is %+v, which is %x", b, got, again)
		}
		if binary.NativeEndian.Uint16(again) != 0 {
			t.Errorf("%x is something to a module", again)
		}
	})
}
