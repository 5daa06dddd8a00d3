package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"joolctl/session/attr"
)

// canonical returns an entry with those bits that a sender may choose set as
// Append sets them: the nested bits and the padding between attributes.
func canonical(f Format, entry []byte) []byte {
	b := bytes.Clone(entry)
	if f != Nested {
		return b
	}
	fill := func(at int) { b[at] |= attr.Nested >> 8 }
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		fill = func(at int) { b[at-1] |= attr.Nested >> 8 }
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
		if v.format != format {
			continue
		}
		for _, d := range v.datagrams(f) {
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
		for _, d := range v.datagrams(f) {
			f.Add(d, uint8(v.format))
		}
	}
	f.Add(mustAppend(f, Packed52, sampleSession()), uint8(Packed52))
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		format := formats[(int(which)+len(formats)-1)%len(formats)]
		size := format.EntryLen()
		n, err := format.CheckList(b)
		if n*size > len(b) || n > MaxPerMessage {
			t.Fatalf("%d entries in %d bytes", n, len(b))
		}
		for i := range n {
			if err := format.Check(b[i*size:]); err != nil {
				t.Errorf("entry %d of %d: %v", i, n, err)
			}
		}
		rest := b[n*size:]
		stops := len(rest) < attr.HeaderLen || binary.NativeEndian.Uint16(rest) < attr.HeaderLen
		if stops != (err == nil) {
			t.Errorf("CheckList = %v, and %x is left", err, rest)
		}
		if err != nil && n < MaxPerMessage && !errors.Is(err, format.Check(rest)) {
			t.Errorf("CheckList = %v, Check = %v", err, format.Check(rest))
		}
		if n > 0 && ListFormat(b) != format {
			t.Errorf("ListFormat = %v, want %v", ListFormat(b), format)
		}
	})
}
