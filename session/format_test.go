package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session/attr"
)

var formats = []Format{Nested, Packed52, Packed40}

// sampleSession is a UDP session, which every format can hold.
func sampleSession() Session {
	return Session{
		Proto: UDP, State: Established, Timer: TimerEstablished,
		Src6:    netip.MustParseAddrPort("[2001:db8::8]:2000"),
		Dst6:    netip.MustParseAddrPort("[64:ff9b::192.0.2.8]:9000"),
		Src4:    netip.MustParseAddrPort("192.0.2.1:62564"),
		Dst4:    netip.MustParseAddrPort("192.0.2.8:9000"),
		Expires: 5 * time.Minute,
	}
}

func icmpSession() Session {
	s := sampleSession()
	s.Proto = ICMP
	s.Src6 = netip.AddrPortFrom(s.Src6.Addr(), 174)
	s.Dst6 = netip.AddrPortFrom(s.Dst6.Addr(), 174)
	s.Src4 = netip.AddrPortFrom(s.Src4.Addr(), 61836)
	s.Dst4 = netip.AddrPortFrom(s.Dst4.Addr(), 61836)
	return s
}

func mustAppend(tb testing.TB, f Format, s Session) []byte {
	tb.Helper()
	b, err := f.Append(nil, s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestGolden has the bytes of each packed form, put together by hand; 4.1.12's
// ships nowhere to be captured.
func TestGolden(t *testing.T) {
	synInit := sampleSession()
	synInit.Proto, synInit.State, synInit.Timer, synInit.Expires = TCP, V4Init, TimerSYN4, 6*time.Second
	longest := sampleSession()
	longest.Expires = (1<<32 - 1) * time.Millisecond
	const src6, dst6 = "20010db8000000000000000000000008", "0064ff9b0000000000000000c0000208"
	for _, tt := range []struct {
		name    string
		format  Format
		session Session
		want    string // without the attribute's header
	}{
		{"UDP", Packed52, sampleSession(), src6 + dst6 + "c0000201" + "000493e0" + "07d0" + "2328" + "f464" + "0020"},
		{"ICMP", Packed52, icmpSession(), src6 + dst6 + "c0000201" + "000493e0" + "00ae" + "00ae" + "f18c" + "0040"},
		{"TCP", Packed52, synInit, src6 + dst6 + "c0000201" + "00001770" + "07d0" + "2328" + "f464" + "000a"},
		{"longest", Packed52, longest, src6 + dst6 + "c0000201" + "ffffffff" + "07d0" + "2328" + "f464" + "0020"},
		{"UDP", Packed40, sampleSession(), src6 + "c0000201" + "c0000208" + "000493e0" + "07d0" + "f464" + "2328" + "0020"},
		{"ICMP", Packed40, icmpSession(), src6 + "c0000201" + "c0000208" + "000493e0" + "00ae" + "f18c" + "f18c" + "0040"},
		{"TCP", Packed40, synInit, src6 + "c0000201" + "c0000208" + "00001770" + "07d0" + "f464" + "2328" + "000a"},
	} {
		want := append(attr.AppendHeader(nil, tt.format.EntryLen(), attr.ListEntry), fromHex(t, tt.want)...)
		got := mustAppend(t, tt.format, tt.session)
		if !bytes.Equal(got, want) {
			t.Errorf("%v, %s:\n got %x\nwant %x", tt.format, tt.name, got, want)
		}
		session, err := tt.format.Decode(want, capturePool6)
		if diff := cmp.Diff(tt.session, session, equal); diff != "" || err != nil {
			t.Errorf("%v, %s: %v (-want +got):\n%s", tt.format, tt.name, err, diff)
		}
	}
}

// legal are the pairs that a module's TCP state machine makes: an RST during
// V4_FIN_RCV or V6_FIN_RCV moves the session to the transitory timer, and its
// state stays, where handle-rst-during-fin-rcv is on.
var legal = map[State][]Timer{
	Established:   {TimerEstablished},
	V6Init:        {TimerTransitory},
	V4Init:        {TimerTransitory, TimerSYN4},
	V4FinRcv:      {TimerEstablished, TimerTransitory},
	V6FinRcv:      {TimerEstablished, TimerTransitory},
	V4FinV6FinRcv: {TimerTransitory},
	Trans:         {TimerTransitory},
}

func wantKind(p Proto, s State, timer Timer) error {
	if p > ICMP {
		return ErrProto
	}
	if p != TCP && s == Established && timer == TimerEstablished {
		return nil
	}
	if p == TCP {
		if slices.Contains(legal[s], timer) {
			return nil
		}
	}
	return ErrStateTimer
}

// setKind writes protocol, state and timer into an entry.
func setKind(f Format, b []byte, p Proto, s State, timer Timer) {
	if f == Nested {
		b[112], b[120], b[128] = byte(p), byte(s), byte(timer)
		return
	}
	binary.BigEndian.PutUint16(b[f.EntryLen()-2:], uint16(p)<<5|uint16(s)<<2|uint16(timer))
}

// TestCheckKind tries every protocol, state and timer that fits the bits.
func TestCheckKind(t *testing.T) {
	for _, f := range formats {
		entry := mustAppend(t, f, sampleSession())
		for p := range Proto(4) {
			for s := range State(8) {
				for timer := range Timer(4) {
					setKind(f, entry, p, s, timer)
					want := wantKind(p, s, timer)
					if got := f.Check(entry); !errors.Is(got, want) {
						t.Errorf("%v: Check(%v, %v, %d) = %v, want %v", f, p, s, timer, got, want)
					}
					session := sampleSession()
					session.Proto, session.State, session.Timer = p, s, timer
					got, err := f.Append(nil, session)
					if !errors.Is(err, want) || err == nil && !bytes.Equal(got, entry) {
						t.Errorf("%v: Append(%v, %v, %d) = %x, %v; want %x, %v", f, p, s, timer, got, err, entry, want)
					}
				}
			}
		}
	}
	for _, kind := range [][3]uint8{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {0, 8, 1}, {1, 0, 128}} {
		entry := mustAppend(t, Nested, sampleSession())
		setKind(Nested, entry, Proto(kind[0]), State(kind[1]), Timer(kind[2]))
		if Nested.Check(entry) == nil {
			t.Errorf("nested: Check takes %v", kind)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	length := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { binary.NativeEndian.PutUint16(b, uint16(n)); return b }
	}
	typ := func(n int) func([]byte) []byte {
		return func(b []byte) []byte { binary.NativeEndian.PutUint16(b[2:], uint16(n)); return b }
	}
	for _, f := range formats {
		n := f.EntryLen()
		for _, tt := range []struct {
			name   string
			mutate func([]byte) []byte
			want   error
		}{
			{"nothing", func([]byte) []byte { return nil }, ErrEntryLength},
			{"a header only", func(b []byte) []byte { return b[:4] }, ErrEntryLength},
			{"cut", func(b []byte) []byte { return b[:n-1] }, ErrEntryLength},
			{"length 0", length(0), ErrEntryLength},
			{"length 4", length(4), ErrEntryLength},
			{"length less 1", length(n - 1), ErrEntryLength},
			{"length plus 1", func(b []byte) []byte { return append(length(n+1)(b), 0) }, ErrEntryLength},
			{"length 65535", length(65535), ErrEntryLength},
			{"type 0", typ(0), ErrEntryType},
			{"type 2", typ(2), ErrEntryType},
			{"type with the byte order bit", typ(attr.ListEntry | 1<<14), ErrEntryType},
			{"type with every bit", typ(0xffff), ErrEntryType},
		} {
			b := tt.mutate(mustAppend(t, f, sampleSession()))
			if err := f.Check(b); !errors.Is(err, tt.want) {
				t.Errorf("%v, %s: Check = %v, want %v", f, tt.name, err, tt.want)
			}
			if _, err := f.Decode(b, capturePool6); !errors.Is(err, tt.want) {
				t.Errorf("%v, %s: Decode = %v, want %v", f, tt.name, err, tt.want)
			}
		}
		for _, other := range formats {
			if err := other.Check(mustAppend(t, f, sampleSession())); (err == nil) != (f == other) {
				t.Errorf("%v checks an entry of %v: %v", other, f, err)
			}
		}
	}
	if UnknownFormat.Check(mustAppend(t, Packed40, sampleSession())) == nil {
		t.Error("the unknown format takes an entry")
	}
}

func TestCheckPackedBits(t *testing.T) {
	for _, f := range []Format{Packed52, Packed40} {
		entry := mustAppend(t, f, sampleSession())
		at := f.EntryLen() - 2
		for bit := 7; bit < 16; bit++ {
			bits := binary.BigEndian.Uint16(entry[at:])
			binary.BigEndian.PutUint16(entry[at:], bits|1<<bit)
			if err := f.Check(entry); !errors.Is(err, ErrReserved) {
				t.Errorf("%v, bit %d: %v", f, bit, err)
			}
			binary.BigEndian.PutUint16(entry[at:], bits)
		}
		binary.NativeEndian.PutUint16(entry[2:], attr.ListEntry|attr.Nested)
		if err := f.Check(entry); !errors.Is(err, ErrEntryType) {
			t.Errorf("%v with the nested bit: %v", f, err)
		}
	}
}

// TestCheckNested moves and changes each of the attributes inside an entry.
func TestCheckNested(t *testing.T) {
	whole := mustAppend(t, Nested, sampleSession())
	for _, h := range nestedHeaders {
		for _, change := range []struct{ at, add int }{{0, 1}, {0, -1}, {0, 4}, {0, -h.len}, {2, 1}, {2, -1}, {2, 1 << 14}} {
			b := bytes.Clone(whole)
			at := b[h.at+change.at:]
			binary.NativeEndian.PutUint16(at, binary.NativeEndian.Uint16(at)+uint16(change.add))
			if err := Nested.Check(b); !errors.Is(err, ErrNested) {
				t.Errorf("the attribute at %d, its byte %d changed by %d: %v", h.at, change.at, change.add, err)
			}
		}
		b := bytes.Clone(whole)
		typ := binary.NativeEndian.Uint16(b[h.at+2:])
		binary.NativeEndian.PutUint16(b[h.at+2:], typ^attr.Nested)
		if err := Nested.Check(b); (err == nil) != h.nested {
			t.Errorf("the attribute at %d, its nested bit turned: %v", h.at, err)
		}
	}
	swapped := bytes.Clone(whole)
	copy(swapped[108:116], whole[116:124])
	copy(swapped[116:124], whole[108:116])
	if err := Nested.Check(swapped); !errors.Is(err, ErrNested) {
		t.Errorf("protocol and state swapped: %v", err)
	}
	old := bytes.Clone(whole) // kernels before 5.2
	binary.NativeEndian.PutUint16(old[2:], attr.ListEntry)
	if err := Nested.Check(old); err != nil {
		t.Errorf("an entry without its nested bit: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format Format
		change func(*Session)
	}{
		{"negative time", Packed40, func(s *Session) { s.Expires = -time.Millisecond }},
		{"33 bits of time", Packed40, func(s *Session) { s.Expires = (1 << 32) * time.Millisecond }},
		{"no session", Nested, func(s *Session) { *s = Session{} }},
		{"src6 of IPv4", Packed40, func(s *Session) { s.Src6 = s.Src4 }},
		{"dst6 of IPv4", Nested, func(s *Session) { s.Dst6 = s.Dst4 }},
		{"src4 of IPv6", Packed52, func(s *Session) { s.Src4 = s.Src6 }},
		{"dst4 of IPv6", Packed40, func(s *Session) { s.Dst4 = s.Dst6 }},
		{"dst6 without dst4", Packed52, func(s *Session) { s.Dst6 = netip.MustParseAddrPort("[2001:db8:122:344:c0:2:800::]:9000") }},
		{"unknown format", UnknownFormat, func(*Session) {}},
	} {
		s := sampleSession()
		tt.change(&s)
		got, err := tt.format.Append([]byte("before"), s)
		if err == nil || string(got) != "before" {
			t.Errorf("%s: Append = %x, %v", tt.name, got, err)
		}
	}
}

func TestDecodeNeedsPool6(t *testing.T) {
	for _, f := range formats {
		_, err := f.Decode(mustAppend(t, f, sampleSession()), netip.Prefix{})
		if (err == nil) != (f != Packed40) {
			t.Errorf("%v, no pool6: %v", f, err)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for n := range 200 {
		f := FormatOf(n)
		known := n == 40 || n == 52 || n == 140
		if known != (f != UnknownFormat) || known && f.EntryLen() != n {
			t.Errorf("FormatOf(%d) = %v", n, f)
		}
	}
}
