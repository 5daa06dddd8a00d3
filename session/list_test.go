package session

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"joolctl/session/attr"
)

func TestCheckList(t *testing.T) {
	for _, f := range formats {
		entry := mustAppend(t, f, sampleSession())
		other := Packed40
		if f == Packed40 {
			other = Packed52
		}
		bad := bytes.Clone(entry)
		setKind(f, bad, UDP, V6Init, TimerTransitory)
		list := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
		for _, tt := range []struct {
			name string
			list []byte
			n    int
			want error
		}{
			{"empty", nil, 0, nil},
			{"one", entry, 1, nil},
			{"three", bytes.Repeat(entry, 3), 3, nil},
			{"41", bytes.Repeat(entry, MaxPerMessage), MaxPerMessage, nil},
			{"42", bytes.Repeat(entry, MaxPerMessage+1), MaxPerMessage, ErrTooMany},
			{"41 and a trailer", list(bytes.Repeat(entry, MaxPerMessage), []byte{0, 0, 1, 2}), MaxPerMessage, nil},
			{"one to three bytes behind it", list(entry, []byte{1, 2, 3}), 1, nil},
			{"a trailer behind 00 00", list(entry, []byte{0, 0, 0xff, 0xff, 1}), 1, nil},
			{"a length of 3", list(entry, attr.AppendHeader(nil, 3, attr.ListEntry), entry), 1, nil},
			{"a trailer only", []byte{0, 0, 0xff, 0xff}, 0, nil},
			{"the last entry cut", list(entry, entry[:len(entry)-1]), 1, ErrEntryLength},
			{"the last entry a header", list(entry, entry[:4]), 1, ErrEntryLength},
			{"an empty attribute", list(entry, attr.AppendHeader(nil, 4, attr.ListEntry)), 1, ErrEntryLength},
			{"two formats", list(entry, entry, mustAppend(t, other, sampleSession())), 2, ErrEntryLength},
			{"another format", mustAppend(t, other, sampleSession()), 0, ErrEntryLength},
			{"a bad one between", list(entry, bad, entry), 1, ErrStateTimer},
		} {
			n, err := f.CheckList(tt.list)
			if n != tt.n || !errors.Is(err, tt.want) || err != nil && tt.want == nil {
				t.Errorf("%v, %s: CheckList = %d, %v; want %d, %v", f, tt.name, n, err, tt.n, tt.want)
			}
		}
	}
	if _, err := UnknownFormat.CheckList(nil); err == nil {
		t.Error("the unknown format has a list")
	}
}

func TestListFormat(t *testing.T) {
	for _, b := range [][]byte{nil, {40}, {40, 0, 1}, {0, 0, 0, 0}, {41, 0, 1, 0}} {
		if f := ListFormat(b); f != UnknownFormat {
			t.Errorf("ListFormat(%x) = %v", b, f)
		}
	}
	for _, f := range formats {
		if got := ListFormat(mustAppend(t, f, sampleSession())); got != f {
			t.Errorf("ListFormat = %v, want %v", got, f)
		}
	}
}

func TestAgeList(t *testing.T) {
	for _, f := range formats {
		short := sampleSession()
		short.Expires = time.Second
		list := append(mustAppend(t, f, sampleSession()), mustAppend(t, f, short)...)
		AgeList(list, 2500*time.Millisecond)
		first, second := f.Expires(list), f.Expires(list[f.EntryLen():])
		if first != 297_500 || second != 0 {
			t.Errorf("%v: %d and %d ms left, want 297500 and 0", f, first, second)
		}
		if n, err := f.CheckList(list); n != 2 || err != nil {
			t.Errorf("%v: CheckList = %d, %v", f, n, err)
		}
	}
	AgeList(nil, time.Second)
}
