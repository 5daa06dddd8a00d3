package syncwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/session"
)

// exampleSession returns a valid session, a different one for each n.
func exampleSession(n int) session.Session {
	dst4 := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	return session.Session{
		Proto: session.TCP, State: session.V6FinRcv, Timer: session.TimerEstablished,
		Src6:    netip.AddrPortFrom(netip.MustParseAddr("2001:db8::8"), uint16(1000+n)),
		Dst6:    netip.AddrPortFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: 192, 13: 0, 14: 2, 15: byte(n)}), 80),
		Src4:    netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(2000+n)),
		Dst4:    netip.AddrPortFrom(dst4, 80),
		Expires: 7 * time.Minute,
	}
}

// list returns an encoded list of n sessions in a format.
func list(t testing.TB, f session.Format, n int) []byte {
	t.Helper()
	var b []byte
	for i := range n {
		var err error
		if b, err = f.Append(b, exampleSession(i)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

var formats = []session.Format{session.Nested, session.Packed52, session.Packed40}

// with returns a copy of b with a 16-bit number in host byte order at an offset.
func with(b []byte, at int, v uint16) []byte {
	b = slices.Clone(b)
	binary.NativeEndian.PutUint16(b[at:], v)
	return b
}

func TestSessions(t *testing.T) {
	one, three, most := list(t, session.Packed40, 1), list(t, session.Packed40, 3), list(t, session.Packed40, session.MaxPerMessage)
	nested := list(t, session.Nested, 2)
	bits := func(v uint16) []byte {
		b := slices.Clone(three)
		binary.BigEndian.PutUint16(b[118:], v)
		return b
	}
	trailer := []byte{0, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7}
	for _, c := range []struct {
		name             string
		in               []byte
		format           session.Format
		entries, trailer []byte
		err, reason      error
	}{
		{name: "one", in: one, entries: one},
		{name: "three", in: three, entries: three},
		{name: "as many as a module sends", in: most, entries: most},
		{name: "nested", in: nested, format: session.Nested, entries: nested},
		{name: "52 bytes", in: list(t, session.Packed52, 3), format: session.Packed52, entries: list(t, session.Packed52, 3)},
		{name: "a trailer", in: slices.Concat(three, trailer), entries: three, trailer: trailer},
		{name: "a trailer behind the most", in: slices.Concat(most, trailer), entries: most, trailer: trailer},
		{name: "the shortest trailer", in: slices.Concat(one, trailer[:2]), entries: one, trailer: trailer[:2]},
		{name: "a trailer that holds a session", in: slices.Concat(one, []byte{0, 0}, one), entries: one, trailer: slices.Concat([]byte{0, 0}, one)},

		{name: "a control message", in: trailer, err: ErrNotUnderstood},
		{name: "the shortest one", in: trailer[:2], err: ErrNotUnderstood},
		{name: "one that holds a session", in: slices.Concat([]byte{0, 0, 0, 0}, one), err: ErrNotUnderstood},

		{name: "nil", err: ErrMalformed, reason: errEmpty},
		{name: "empty", in: []byte{}, err: ErrMalformed, reason: errEmpty},
		{name: "one byte", in: one[:1], err: ErrMalformed, reason: errBehind},
		{name: "half a mark", in: []byte{0}, err: ErrMalformed, reason: errBehind},
		{name: "an attribute's length alone", in: one[:3], err: ErrMalformed, reason: errBehind},
		{name: "a length below four", in: with(one, 0, 3), err: ErrMalformed, reason: errBehind},
		{name: "a header alone", in: one[:4], err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "cut in the first", in: one[:39], err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "cut in the third", in: three[:119], err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "cut behind the second's length", in: three[:82], err: ErrMalformed, reason: errBehind},
		{name: "half a mark behind", in: append(slices.Clone(one), 0), err: ErrMalformed, reason: errBehind},
		{name: "no mark behind", in: append(slices.Clone(one), 1, 0, 0, 0), err: ErrMalformed, reason: errBehind},
		{name: "a strange length", in: with(three, 80, 41), err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "a length past the end", in: with(one, 0, 0xffff), err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "a strange type", in: with(three, 42, 2), err: ErrMalformed, reason: session.ErrEntryType},
		{name: "the other byte order", in: with(with(one, 0, 0x2800), 2, 0x0100), err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "protocol 3", in: bits(3 << 5), err: ErrMalformed, reason: session.ErrProto},
		{name: "a UDP session in a TCP state", in: bits(1<<5 | 3<<2), err: ErrMalformed, reason: session.ErrStateTimer},
		{name: "TCP state 7", in: bits(7 << 2), err: ErrMalformed, reason: session.ErrStateTimer},
		{name: "TCP timer 3", in: bits(3), err: ErrMalformed, reason: session.ErrStateTimer},
		{name: "reserved bits", in: bits(1 << 7), err: ErrMalformed, reason: session.ErrReserved},
		{name: "a broken nested session", in: with(nested, 36, 31), format: session.Nested, err: ErrMalformed, reason: session.ErrNested},
		{name: "42", in: list(t, session.Packed40, session.MaxPerMessage+1), err: ErrMalformed, reason: session.ErrTooMany},
		{name: "42 and a trailer", in: slices.Concat(list(t, session.Packed40, session.MaxPerMessage+1), trailer), err: ErrMalformed, reason: session.ErrTooMany},

		{name: "two formats", in: slices.Concat(one, list(t, session.Packed52, 1)), err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "another format, broken", in: with(list(t, session.Packed52, 1), 2, 9), err: ErrMalformed, reason: session.ErrEntryLength},
		{name: "another format, cut", in: list(t, session.Packed52, 1)[:51], err: ErrMalformed, reason: session.ErrEntryLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.format == session.UnknownFormat {
				c.format = session.Packed40
			}
			entries, trailer, err := Sessions(c.in, c.format)
			if !bytes.Equal(entries, c.entries) || !bytes.Equal(trailer, c.trailer) {
				t.Errorf("entries %x, trailer %x;\nwant    %x, trailer %x", entries, trailer, c.entries, c.trailer)
			}
			if !errors.Is(err, c.err) || c.reason != nil && !errors.Is(err, c.reason) {
				t.Errorf("error %v, want %v: %v", err, c.err, c.reason)
			}
		})
	}
}

// TestOtherFormat decodes the sessions of every format as every other format.
func TestOtherFormat(t *testing.T) {
	for _, theirs := range formats {
		for _, ours := range formats {
			for _, trailer := range [][]byte{nil, {0, 0}, {0, 0, 1, 2, 3, 4}} {
				entries, _, err := Sessions(append(list(t, theirs, 3), trailer...), ours)
				var want error
				if ours != theirs {
					want = ErrOtherFormat
				}
				if err != want || (entries == nil) != (want != nil) {
					t.Errorf("%v for a module of format %v: %d bytes, %v", theirs, ours, len(entries), err)
				}
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	entries, trailer, err := Sessions(list(t, session.Packed40, 1), session.UnknownFormat)
	if entries != nil || trailer != nil || err == nil {
		t.Errorf("%x, %x, %v", entries, trailer, err)
	}
}

func TestNoAllocations(t *testing.T) {
	good := append(list(t, session.Packed40, 36), 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, in := range map[string][]byte{
		"good": good, "empty": {}, "control": {0, 0, 1}, "cut": good[:100], "too many": list(t, session.Packed40, 42),
		"nested": list(t, session.Nested, 10), "behind": good[:len(good)-11],
	} {
		if n := testing.AllocsPerRun(100, func() { _, _, _ = Sessions(in, session.Packed40) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzSessions(f *testing.F) {
	for i, format := range formats {
		for _, n := range []int{1, 2, 10} {
			b := list(f, format, n)
			f.Add(b, byte(i))
			f.Add(b, byte(i+1))
			f.Add(append(b, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8), byte(i))
			f.Add(b[:len(b)-1], byte(i))
		}
	}
	f.Add([]byte{0, 0, 1}, byte(2))
	f.Add(list(f, session.Packed40, 42), byte(2))
	f.Fuzz(func(t *testing.T, b []byte, which byte) {
		format := formats[int(which)%len(formats)]
		before := slices.Clone(b)
		entries, trailer, err := Sessions(b, format)
		if !bytes.Equal(b, before) {
			t.Fatal("the datagram was changed")
		}
		if err != nil {
			if len(entries)+len(trailer) > 0 {
				t.Errorf("%v, and yet %d bytes of sessions and %d behind them", err, len(entries), len(trailer))
			}
			kinds := 0
			for _, kind := range []error{ErrOtherFormat, ErrNotUnderstood, ErrMalformed} {
				if errors.Is(err, kind) {
					kinds++
				}
			}
			if kinds != 1 {
				t.Errorf("%v is of %d kinds", err, kinds)
			}
			return
		}
		if !bytes.Equal(slices.Concat(entries, trailer), b) {
			t.Error("sessions and trailer are not the datagram")
		}
		if len(trailer) > 0 && !isMark(trailer) {
			t.Errorf("trailer %x", trailer)
		}
		n, err := format.CheckList(entries)
		if n == 0 || n > session.MaxPerMessage || n*format.EntryLen() != len(entries) || err != nil {
			t.Errorf("%d sessions in %d bytes, %v", n, len(entries), err)
		}
	})
}
