package replication

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

var retransmitStart = time.Unix(1_000_000, 0)

// wantKept checks that a buffer has the datagrams from to last, each as put by numbered, and
// nothing around it.
func wantKept(t *testing.T, r *RetransmitBuffer, from, last syncwire.Seq) {
	t.Helper()
	for seq := from; !seq.After(last); seq++ {
		got, sent, ok := r.get(seq)
		if want := numbered(seq); !ok || !bytes.Equal(got, want) || !sent.Equal(retransmitStart.Add(time.Duration(seq-from))) && last-from < RetransmitDatagrams-1 {
			t.Fatalf("%d: %x, sent at %v, %v; want %x", seq, got, sent, ok, want)
		}
	}
	for _, seq := range []syncwire.Seq{from - 1, from - RetransmitDatagrams, from - 1<<31, last + 1, last + RetransmitDatagrams, last + 1<<31} {
		if got, _, ok := r.get(seq); ok || got != nil {
			t.Errorf("%d is there: %x", seq, got)
		}
	}
}

// numbered is a datagram of a length that its number gives it.
func numbered(seq syncwire.Seq) []byte {
	return bytes.Repeat([]byte{byte(seq), byte(seq >> 8)}, 1+int(seq)%(retransmitBytes/2))
}

func TestRetransmitBuffer(t *testing.T) {
	for _, first := range []syncwire.Seq{1, 5000, 1<<32 - 700, 1<<31 - 10} {
		var r RetransmitBuffer
		if _, _, ok := r.get(0); ok {
			t.Error("an empty buffer has something")
		}
		for i := range syncwire.Seq(3*RetransmitDatagrams + 7) {
			b := numbered(first + i)
			r.Put(first+i, b, retransmitStart.Add(time.Duration(i)))
			clear(b)
			if i == 0 || i == 10 || i == RetransmitDatagrams-1 || i == RetransmitDatagrams || i == 3*RetransmitDatagrams {
				wantKept(t, &r, first+i-min(i, RetransmitDatagrams-1), first+i)
			}
		}
		r.Free()
		if _, _, ok := r.get(first + 3*RetransmitDatagrams + 6); ok || r.data != nil || r.slots != nil {
			t.Error("freed, and it has something")
		}
		next := first + 3*RetransmitDatagrams + 7
		r.Put(next, numbered(next), retransmitStart)
		wantKept(t, &r, next, next)
	}
}

// TestRetransmitLong puts datagrams that an Ethernet frame cannot carry between others. All are kept.
func TestRetransmitLong(t *testing.T) {
	var r RetransmitBuffer
	var want [][]byte
	for i, n := range []int{10, retransmitBytes, retransmitBytes + 1, 100, 5740, 5000, 1} {
		want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n))
		r.Put(syncwire.Seq(i), want[i], retransmitStart)
	}
	for i := range want {
		if b, _, ok := r.get(syncwire.Seq(i)); !ok || !bytes.Equal(b, want[i]) {
			t.Errorf("datagram %d: %d bytes, %v, want %d", i, len(b), ok, len(want[i]))
		}
	}
	if n := len(r.data); n > RetransmitDatagrams*5740 {
		t.Errorf("the buffer takes %d bytes", n)
	}
}

func TestRetransmittedWithin(t *testing.T) {
	var r RetransmitBuffer
	r.Put(1, numbered(1), retransmitStart)
	r.Put(2, numbered(2), retransmitStart)
	now := retransmitStart
	for _, c := range []struct {
		after time.Duration
		seq   syncwire.Seq
		want  bool
	}{{0, 1, false}, {0, 1, true}, {9, 1, true}, {0, 2, false}, {1, 1, false}, {9, 1, true}, {1, 1, false}} {
		now = now.Add(c.after)
		if got := r.RetransmittedWithin(c.seq, 10, now); got != c.want {
			t.Errorf("%v, %d: %v", now.Sub(retransmitStart), c.seq, got)
		}
	}
	r.Put(1+RetransmitDatagrams, numbered(1), now)
	if r.RetransmittedWithin(1+RetransmitDatagrams, 10, now) {
		t.Error("another datagram in the same place was repeated")
	}
}

func TestRetransmitIndex(t *testing.T) {
	f := session.Packed40
	entries := func(first, n int) (list []byte) {
		for i := first; i < first+n; i++ {
			r := tcpRecord(i, 5000)
			list, _ = f.AppendRecord(list, &r, netip.Prefix{})
		}
		return list
	}
	key := func(n int) session.Key { r := f.Record(entries(n, 1)); return r.Key() }
	var r RetransmitBuffer
	base := syncwire.Seq(1<<32 - 2)
	for i, list := range [][]byte{entries(1, 3), entries(2, 1), nil, entries(3, 3), entries(1, 1)} {
		r.Put(base+syncwire.Seq(i), list, retransmitStart)
	}
	for _, c := range []struct {
		from syncwire.Seq
		want map[int]syncwire.Seq
	}{
		{base, map[int]syncwire.Seq{1: 4, 2: 1, 3: 3, 4: 3, 5: 3}},
		{base - 5, map[int]syncwire.Seq{1: 4, 2: 1, 3: 3, 4: 3, 5: 3}},
		{base + 2, map[int]syncwire.Seq{1: 4, 3: 3, 4: 3, 5: 3}},
		{base + 4, map[int]syncwire.Seq{1: 4}},
		{base + 5, nil},
	} {
		r.index(c.from, f)
		got := r.newest
		r.ForgetIndex()
		if len(got) != len(c.want) {
			t.Errorf("from %d: %d sessions, want %d", c.from, len(got), len(c.want))
		}
		for n, i := range c.want {
			if seq, ok := got[key(n)]; !ok || seq != base+i {
				t.Errorf("from %d, session %d: %d, %v", c.from, n, seq, ok)
			}
		}
	}
	// Little by little, both ways, while datagrams are sent.
	for _, from := range []syncwire.Seq{base + 4, base + 1, base + 3, base} {
		r.index(from, f)
	}
	r.Put(base+5, entries(2, 1), retransmitStart)
	r.index(base+2, f)
	got := r.newest
	for n, i := range map[int]syncwire.Seq{1: 4, 2: 5, 3: 3, 4: 3, 5: 3} {
		if got[key(n)] != base+i {
			t.Errorf("session %d: %d, want %d", n, got[key(n)], base+i)
		}
	}
}

func TestRetransmitNoAllocations(t *testing.T) {
	var r RetransmitBuffer
	b := numbered(700)
	seq := syncwire.Seq(0)
	r.Put(seq, b, retransmitStart)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		r.Put(seq, b, retransmitStart)
		_, _, _ = r.get(seq - 5)
		r.RetransmittedWithin(seq, time.Second, retransmitStart)
	}); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

// TestRetransmitAppend retransmits datagrams whose sessions were partly sent again since.
func TestRetransmitAppend(t *testing.T) {
	f := session.Packed40
	var b RetransmitBuffer
	b.Put(1, packedList(t, tcpRecord(1, 5000), tcpRecord(2, 300)), retransmitStart)
	b.Put(2, packedList(t, tcpRecord(3, 5000)), retransmitStart)
	b.Put(3, packedList(t, tcpRecord(3, 4000), tcpRecord(1, 4000)), retransmitStart)
	now := retransmitStart.Add(400 * time.Millisecond)
	for seq, want := range map[syncwire.Seq][]byte{
		1: packedList(t, tcpRecord(2, 0)),
		2: nil,
		3: packedList(t, tcpRecord(3, 3600), tcpRecord(1, 3600)),
	} {
		if got := b.Append(nil, seq, f, now); !bytes.Equal(got, want) {
			t.Errorf("%d\n got %x\nwant %x", seq, got, want)
		}
	}
	if b.ForgetIndex(); b.Indexed() {
		t.Error("the index was not freed")
	}
}

// TestRetransmitRemoved removes a BIB entry whose sessions are in datagrams.
func TestRetransmitRemoved(t *testing.T) {
	f := session.Packed40
	gone, stays := tcpRecord(1, 5000), tcpRecord(2, 5000)
	gone[30]++ // another mask
	var b RetransmitBuffer
	b.Put(1, packedList(t, gone, stays, gone), retransmitStart)
	b.Put(2, packedList(t, gone), retransmitStart)
	b.Remove(map[Mask]struct{}{maskOf(&gone): {}}, f)
	for seq, want := range map[syncwire.Seq][]byte{1: packedList(t, stays), 2: nil} {
		if got := b.Append(nil, seq, f, retransmitStart); !bytes.Equal(got, want) || !b.Has(seq) {
			t.Errorf("%d: has it: %v\n got %x\nwant %x", seq, b.Has(seq), got, want)
		}
	}
}
