package session

import (
	"encoding/binary"
	"time"

	"joolctl/session/attr"
)

// CheckList walks a list of sessions in this format and returns how many whole entries the list begins with. It stops,
// without an error, where fewer bytes than an attribute's header are left, and at an attribute whose length is below
// four: the module stops there too. Any other entry that Check refuses is an error, and so is an entry after
// MaxPerMessage; the number then is that of the entries before it.
func (f Format) CheckList(b []byte) (int, error) {
	size := f.EntryLen()
	if size == 0 {
		return 0, ErrEntryLength
	}
	header := entryHeaders[f]
	for n := 0; ; n++ {
		// This loop takes sound entries, which nearly all are, in a fraction of Check's time.
		for f != Nested && n < MaxPerMessage && len(b) >= size && binary.NativeEndian.Uint32(b) == header && b[size-2] == 0 && soundKinds[b[size-1]] {
			b = b[size:]
			n++
		}
		if len(b) < attr.HeaderLen || binary.NativeEndian.Uint16(b) < attr.HeaderLen {
			return n, nil
		}
		if n == MaxPerMessage {
			return n, ErrTooMany
		}
		if err := f.Check(b); err != nil {
			return n, err
		}
		b = b[size:]
	}
}

// ListFormat guesses the format of a list by its first entry's length;
// UnknownFormat if it has none of a known one.
func ListFormat(b []byte) Format {
	if len(b) < attr.HeaderLen {
		return UnknownFormat
	}
	return FormatOf(int(binary.NativeEndian.Uint16(b)))
}

// CountList is CheckList for a list that the own module has sent: it looks at lengths only.
func (f Format) CountList(b []byte) (n int) {
	for size := f.EntryLen(); size > 0 && len(b) >= size && int(binary.NativeEndian.Uint16(b)) == size; b = b[size:] {
		n++
	}
	return n
}

// AgeList subtracts the time that has passed from the times left of a list, of any format, that has passed CheckList. No
// time left falls below 0.
func AgeList(entries []byte, passed time.Duration) {
	ms := uint32(passed.Milliseconds())
	f := ListFormat(entries)
	for b := entries; len(b) > 0; b = b[f.EntryLen():] {
		left := f.Expires(b)
		f.SetExpires(b, left-min(ms, left))
	}
}

// entryHeaders are the attribute headers of the formats' entries, in the host's byte order.
var entryHeaders = func() (headers [len(entryLens)]uint32) {
	for f, n := range entryLens {
		var header [attr.HeaderLen]byte
		attr.PutHeader(header[:], int(n), attr.ListEntry)
		headers[f] = binary.NativeEndian.Uint32(header[:])
	}
	return headers
}()

// soundKinds says which bits of a packed entry, proto<<5 | state<<2 | timer, pass checkKind.
var soundKinds = func() (sound [256]bool) {
	for bits := range sound {
		sound[bits] = checkKind(Proto(bits>>5), State(bits>>2&7), Timer(bits&3)) == nil
	}
	return sound
}()

// Lifetimes are the longest times left that sessions can have, in milliseconds, by proto<<5 | state<<2 | timer; 0: any.
type Lifetimes [128]uint32

// NewLifetimes makes Lifetimes of a function of protocol and timer.
func NewLifetimes(of func(Proto, Timer) uint32) *Lifetimes {
	var l Lifetimes
	for bits := range int(numProtos) << 5 {
		l[bits] = of(Proto(bits>>5), Timer(bits&3))
	}
	return &l
}

// CutList shortens, in a list that has passed CheckList, each time left that is longer than it can be. It returns how
// many it has shortened.
func (f Format) CutList(entries []byte, longest *Lifetimes) (cut int) {
	size := f.EntryLen()
	for b := entries; size > 0 && len(b) >= size; b = b[size:] {
		var most uint32
		if f == Nested {
			proto, timer := f.Kind(b)
			most = longest[uint8(proto)<<5&127|uint8(timer)&3]
		} else {
			most = longest[b[size-1]&127]
		}
		if most > 0 && f.Expires(b) > most {
			f.SetExpires(b, most)
			cut++
		}
	}
	return cut
}
