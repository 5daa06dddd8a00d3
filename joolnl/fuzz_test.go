package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// seedMessages gives a target every captured message from its byte at on.
func seedMessages(f *testing.F, at int) {
	for _, v := range captures {
		for _, name := range []string{"netlink-J.txt", "netlink-K.txt"} {
			for _, c := range readCapture(f, v, name) {
				f.Add(c.bytes[at:])
			}
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	seedMessages(f, 0)
	f.Add(netlinkMessage(unix.NLMSG_ERROR, 7, native32(-2)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := ParseMessage(b)
		if len(rest) > max(0, len(b)-unix.NLMSG_HDRLEN) || len(m.Attrs) > len(b) {
			t.Fatalf("%d bytes left and %d of attributes, of %d", len(rest), len(m.Attrs), len(b))
		}
		var refused *Error
		if errors.As(err, &refused) && refused.Error() == "" {
			t.Error("an error without a text")
		}
		if err == nil && m.Type >= unix.NLMSG_MIN_TYPE {
			compareFast(t, b, m, rest)
		}
		parseAll(t, m)
	})
}

func compareFast(t *testing.T, b []byte, m Message, rest []byte) {
	t.Helper()
	fast, fastRest, err := ParseMulticast(b)
	if err != nil || fast.Type != m.Type || fast.Header.Version != m.Header.Version || fast.Header.Flags != m.Header.Flags ||
		!bytes.Equal(fast.Attrs, m.Attrs) || !bytes.Equal(fastRest, rest) {
		t.Errorf("ParseMulticast = %+v, %x, %v; ParseMessage = %+v, %x", fast, fastRest, err, m, rest)
	}
}

// parseAll runs every reply's parser: none may panic or read past the bytes.
func parseAll(t *testing.T, m Message) {
	t.Helper()
	_, _ = ParseHello(m.Attrs)
	_, _ = ParseGlobals(m.Attrs)
	if list, _ := ParseInstances(m.Attrs); len(list)*nlaHeader > len(m.Attrs) {
		t.Errorf("%d instances in %d bytes", len(list), len(m.Attrs))
	}
	for _, v := range []Version{0x04010900, 0x04010c00, 0x04010f00, 0x04020000} {
		if stats, err := v.ParseStats(m.Attrs); err == nil && len(stats.Named())*12 > len(m.Attrs) {
			t.Errorf("Jool %v: %d counters in %d bytes", v, len(stats.Named()), len(m.Attrs))
		}
	}
	if entries := SessionEntries(m.Attrs); len(entries) > len(m.Attrs) {
		t.Errorf("%d bytes of sessions in %d", len(entries), len(m.Attrs))
	}
	sessions, _, err := ParseSessions(nil, m)
	if len(sessions)*nestedLen > len(m.Attrs) {
		t.Errorf("%d sessions in %d bytes, %v", len(sessions), len(m.Attrs), err)
	}
	r := Requests{Family: 32, Version: 0x04010f00, Instance: "nat"}
	for _, s := range sessions { // any of them can be the one to go on behind
		if _, err := r.Sessions(nil, 1, TCP, &s); err != nil {
			t.Errorf("behind %+v: %v", s, err)
		}
	}
}

func FuzzParseMulticast(f *testing.F) {
	seedMessages(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := ParseMulticast(b)
		if err == nil && attrsAt+len(m.Attrs)+len(rest) > len(b) {
			t.Errorf("%d bytes of attributes and %d left, of %d", len(m.Attrs), len(rest), len(b))
		}
		parseAll(t, m)
	})
}

func FuzzParseHeader(f *testing.F) {
	seedMessages(f, nlHeaderLen)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, attrs, err := ParseHeader(b)
		if err != nil {
			return
		}
		if len(attrs) != len(b)-headerLen || len(h.Instance) > MaxInstanceName {
			t.Fatalf("%+v with %d bytes of attributes, of %d", h, len(attrs), len(b))
		}
		again, _, err := ParseHeader(h.append(nil))
		if err != nil || again != h {
			t.Errorf("%+v comes back as %+v, %v", h, again, err)
		}
	})
}

// canonical is an entry with the bits that are the sender's to choose set as
// Append sets them: the nested bits and what stands between the attributes.
func canonical(f Format, entry []byte) []byte {
	b := bytes.Clone(entry)
	if f != Nested {
		return b
	}
	fill := func(at int) { b[at] |= nlaNested >> 8 }
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		fill = func(at int) { b[at-1] |= nlaNested >> 8 }
	}
	fill(3)
	for _, h := range nestedHeaders {
		if h.nested {
			fill(h.at + 3)
		}
		clear(b[h.at+h.len : h.at+(h.len+3)&^3])
	}
	return b
}

func fuzzFormat(f *testing.F, format Format) {
	for _, v := range captures {
		if v.Format() != format {
			continue
		}
		for _, d := range readDatagrams(f, v) {
			f.Add(d[:format.EntryLen()])
		}
	}
	f.Add(mustAppend(f, format, sampleSession()))
	f.Add(mustAppend(f, format, icmpSession()))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := format.Check(b)
		s, err := format.Decode(b, capturePool6)
		if !errors.Is(err, check) {
			t.Fatalf("Check = %v, Decode = %v", check, err)
		}
		if err != nil {
			return
		}
		again, err := format.Append(nil, s)
		if err != nil {
			t.Fatalf("Append(%+v): %v", s, err)
		}
		if want := canonical(format, b[:format.EntryLen()]); !bytes.Equal(again, want) {
			t.Fatalf("%+v\n got %x\nwant %x", s, again, want)
		}
		if twice, err := format.Decode(again, capturePool6); err != nil || twice != s {
			t.Errorf("%+v comes back as %+v, %v", s, twice, err)
		}
	})
}

func FuzzNested(f *testing.F)   { fuzzFormat(f, Nested) }
func FuzzPacked52(f *testing.F) { fuzzFormat(f, Packed52) }
func FuzzPacked40(f *testing.F) { fuzzFormat(f, Packed40) }

func FuzzCheckList(f *testing.F) {
	for _, v := range captures {
		for _, d := range readDatagrams(f, v) {
			f.Add(d, uint8(v.Format()))
		}
	}
	f.Add(mustAppend(f, Packed52, sampleSession()), uint8(Packed52))
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		format := formats[(int(which)+len(formats)-1)%len(formats)]
		size := format.EntryLen()
		n, err := format.CheckList(b)
		if n*size > len(b) || n > MaxSessions {
			t.Fatalf("%d entries in %d bytes", n, len(b))
		}
		for i := range n {
			if err := format.Check(b[i*size:]); err != nil {
				t.Errorf("entry %d of %d: %v", i, n, err)
			}
		}
		rest := b[n*size:]
		stops := len(rest) < nlaHeader || binary.NativeEndian.Uint16(rest) < nlaHeader
		if stops != (err == nil) {
			t.Errorf("CheckList = %v, and %x is left", err, rest)
		}
		if err != nil && n < MaxSessions && !errors.Is(err, format.Check(rest)) {
			t.Errorf("CheckList = %v, Check = %v", err, format.Check(rest))
		}
		if n > 0 && ListFormat(b) != format {
			t.Errorf("ListFormat = %v, want %v", ListFormat(b), format)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"4.1.15.0\n", "4.1", "4.1.255.2", "256.0", "0.0.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q is %v, which comes back as %v, %v", s, v, again, err)
		}
		if v.Format().EntryLen() == 0 {
			t.Errorf("%v has no format", v)
		}
	})
}

func FuzzEachAttr(f *testing.F) {
	seedMessages(f, attrsAt)
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := eachAttr(b, func(typ int, payload []byte) error {
			if typ < 0 || typ > 0x3fff {
				t.Errorf("type %#x", typ)
			}
			total += nlaHeader + len(payload)
			return nil
		})
		if total > len(b) {
			t.Errorf("%d bytes in %d, %v", total, len(b), err)
		}
	})
}
