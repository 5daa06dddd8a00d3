package session

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/session/attr"
)

// TestRecordVectors turns every captured session into a record, and that into
// every format and back.
func TestRecordVectors(t *testing.T) {
	for _, c := range captures {
		own := c.format
		for _, d := range c.datagrams(t) {
			for _, entry := range entriesOf(t, own, d) {
				s, err := own.Decode(entry, capturePool6)
				if err != nil {
					t.Fatal(err)
				}
				r := own.Record(entry)
				if r != s.Record() {
					t.Errorf("%x is the record %x, its session %x", entry, r, s.Record())
				}
				if back, err := own.AppendRecord(nil, &r, capturePool6); err != nil || !bytes.Equal(back, entry) {
					t.Errorf("%v, %v\n got %x\nwant %x", s, err, back, entry)
				}
				if own == Packed40 && !bytes.Equal(r[:], entry[4:]) {
					t.Errorf("%x is the record %x", entry, r)
				}
				checkRecord(t, &r, s)
				checkFormats(t, &r)
			}
		}
	}
}

// checkRecord compares what a record says of itself with its session.
// TestShort writes records without their byte that is always 0, and reads them again.
func TestShort(t *testing.T) {
	for _, s := range recordSamples() {
		r := s.Record()
		b := r.AppendShort([]byte{1})
		if len(b) != 1+ShortLen || FromShort(b[1:]) != r {
			t.Errorf("%x becomes %x", r, b)
		}
	}
}

func checkRecord(t *testing.T, r *Record, s Session) {
	t.Helper()
	if r.Proto() != s.Proto || r.State() != s.State || r.Timer() != s.Timer || r.Src4() != s.Src4 ||
		millis(r.Expires()) != s.Expires || r.Check() != nil {
		t.Errorf("%x is not %+v: %v %v %v %v %v, %v", *r, s, r.Proto(), r.State(), r.Timer(), r.Src4(), r.Expires(), r.Check())
	}
}

// checkFormats writes a valid record in every format, and changes it there.
func checkFormats(t *testing.T, r *Record) {
	t.Helper()
	for _, f := range formats {
		entry, err := f.AppendRecord([]byte("before"), r, capturePool6)
		if err != nil || len(entry) != 6+f.EntryLen() {
			t.Fatalf("%v: %d bytes, %v", f, len(entry), err)
		}
		entry = entry[6:]
		if err := f.Check(entry); err != nil {
			t.Fatalf("%v: %x: %v", f, entry, err)
		}
		want := *r
		if r.Proto() == ICMP && f == Packed52 { // has no place for it: the module takes src4's
			copy(want[32:34], want[30:32])
		}
		if got := f.Record(entry); got != want {
			t.Errorf("%v\n got %x\nwant %x", f, got, want)
		}
		if proto, timer := f.Kind(entry); proto != r.Proto() || timer != r.Timer() {
			t.Errorf("%v: kind %v, %v", f, proto, timer)
		}
		if got := f.Expires(entry); got != r.Expires() {
			t.Errorf("%v: %d ms left, want %d", f, got, r.Expires())
		}
		for _, ms := range []uint32{0, 1, 0x01020304, 1<<32 - 1} {
			want.SetExpires(ms)
			f.SetExpires(entry, ms)
			if got := f.Record(entry); got != want || f.Expires(entry) != ms || f.Check(entry) != nil {
				t.Errorf("%v, %d ms left\n got %x\nwant %x", f, ms, got, want)
			}
		}
	}
}

// recordSamples are one of each protocol.
func recordSamples() []Session {
	tcp := sampleSession()
	tcp.Proto, tcp.State, tcp.Timer, tcp.Expires = TCP, V4Init, TimerSYN4, 6*time.Second
	return []Session{tcp, sampleSession(), icmpSession()}
}

func TestRecordFormats(t *testing.T) {
	for _, s := range recordSamples() {
		r := s.Record()
		checkRecord(t, &r, s)
		checkFormats(t, &r)
		for _, f := range formats {
			if got := f.Record(mustAppend(t, f, s)); got != r {
				t.Errorf("%v, %v\n got %x\nwant %x", s.Proto, f, got, r)
			}
		}
	}
}

// TestKey changes a session's fields one by one.
func TestKey(t *testing.T) {
	for _, s := range recordSamples() {
		r := s.Record()
		for _, c := range []struct {
			name          string
			change        func(*Session)
			sameKey, same bool
		}{
			{"nothing", func(*Session) {}, true, true},
			{"time left", func(s *Session) { s.Expires = 1234567 * time.Millisecond }, true, true},
			{"mask's address", func(s *Session) { s.Src4 = netip.MustParseAddrPort("192.0.2.2:62564") }, true, false},
			{"state", func(s *Session) { s.State++ }, true, false},
			{"timer", func(s *Session) { s.Timer ^= 1 }, true, false},
			{"src6", func(s *Session) { s.Src6 = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::9"), s.Src6.Port()) }, false, false},
			{"src6's port", func(s *Session) { s.Src6 = netip.AddrPortFrom(s.Src6.Addr(), 7) }, false, false},
			{"dst4", func(s *Session) { s.Dst4 = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), s.Dst4.Port()) }, false, false},
			{"protocol", func(s *Session) { s.Proto = (s.Proto + 1) % numProtos }, false, false},
			{"dst4's port", func(s *Session) { s.Dst4 = netip.AddrPortFrom(s.Dst4.Addr(), 7) }, s.Proto == ICMP, false},
			{"mask's port", func(o *Session) {
				o.Src4 = netip.AddrPortFrom(o.Src4.Addr(), 7)
				if o.Proto == ICMP {
					o.Dst4 = netip.AddrPortFrom(o.Dst4.Addr(), 7)
				}
			}, true, false},
		} {
			other := s
			c.change(&other)
			o := other.Record()
			if got := r.Key() == o.Key(); got != c.sameKey {
				t.Errorf("%v, %s: the same key: %v", s.Proto, c.name, got)
			}
			if got := r.Hash(12345) == o.Hash(12345); got != c.sameKey {
				t.Errorf("%v, %s: the same hash: %v", s.Proto, c.name, got)
			}
			if got := r.Same(&o); got != c.same || got != o.Same(&r) {
				t.Errorf("%v, %s: Same = %v", s.Proto, c.name, got)
			}
		}
	}
}

// TestRecordCheck tries all bits.
func TestRecordCheck(t *testing.T) {
	r := sampleSession().Record()
	for bits := range 1 << 16 {
		binary.BigEndian.PutUint16(r[34:], uint16(bits))
		want := ErrReserved
		if bits < 1<<7 {
			want = wantKind(Proto(bits>>5), State(bits>>2&7), Timer(bits&3))
		}
		if got := r.Check(); got != want {
			t.Errorf("bits %#x: %v, want %v", bits, got, want)
		}
		if bits > 1<<8 {
			continue
		}
		for _, f := range formats {
			b, err := f.AppendRecord([]byte("before"), &r, capturePool6)
			if (err == nil) != (want == nil) || err != nil && string(b) != "before" {
				t.Errorf("%v, bits %#x: %x, %v", f, bits, b, err)
			}
		}
	}
}

func TestAppendRecordRefuses(t *testing.T) {
	r := sampleSession().Record()
	for _, c := range []struct {
		name  string
		pool6 netip.Prefix
		takes []Format
	}{
		{"no pool6", netip.Prefix{}, []Format{Packed40}},
		{"a pool6 of /95", netip.MustParsePrefix("64:ff9b::/95"), []Format{Packed40}},
		{"a pool6 of /64", netip.MustParsePrefix("2001:db8::/64"), []Format{Packed40, Nested}},
		{"a pool6 of /96", capturePool6, formats},
	} {
		for _, f := range append(slices.Clone(formats), UnknownFormat) {
			b, err := f.AppendRecord([]byte("before"), &r, c.pool6)
			if takes := slices.Contains(c.takes, f); (err == nil) != takes || err != nil && string(b) != "before" {
				t.Errorf("%v, %s: %x, %v", f, c.name, b, err)
			}
		}
	}
}

func TestPerDatagram(t *testing.T) {
	for _, c := range []struct {
		f          Format
		size, want int
	}{
		{Packed40, 1440, 36}, {Packed40, 1439, 35}, {Packed40, 39, 0}, {Packed40, 1 << 20, MaxPerMessage},
		{Packed52, 1440, 27}, {Nested, 1440, 10}, {Nested, 139, 0},
	} {
		if got := c.f.PerDatagram(c.size); got != c.want {
			t.Errorf("%v, %d bytes: %d", c.f, c.size, got)
		}
	}
}

func TestRecordNoAllocations(t *testing.T) {
	for _, f := range formats {
		entry := mustAppend(t, f, sampleSession())
		buf := make([]byte, 0, 200)
		n := testing.AllocsPerRun(100, func() {
			r := f.Record(entry)
			_, _ = r.Key(), r.Check()
			f.SetExpires(entry, r.Expires()-1)
			_, _ = f.AppendRecord(buf, &r, capturePool6)
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", f, n)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, s := range recordSamples() {
		r := s.Record()
		f.Add(r[:])
	}
	for _, c := range captures {
		for _, d := range c.datagrams(f) {
			r := c.format.Record(d)
			f.Add(r[:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < RecordLen {
			return
		}
		r := Record(b[:RecordLen])
		if !r.Same(&r) || r.Check() != nil {
			return
		}
		checkFormats(t, &r)
		var entry [40]byte
		attr.PutHeader(entry[:], 40, attr.ListEntry)
		copy(entry[4:], r[:])
		s, err := Packed40.Decode(entry[:], capturePool6)
		if err != nil {
			t.Fatal(err)
		}
		if s.Record() != r {
			t.Errorf("%x is %+v, which is %x", r, s, s.Record())
		}
		checkRecord(t, &r, s)
	})
}
