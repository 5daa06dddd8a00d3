package joolnl

import "encoding/binary"

// CheckList walks a list of sessions in this format from its front and returns
// how many whole entries it begins with. It stops, without an error, at fewer
// bytes than an attribute's header and at an attribute whose length is below
// four, as the module does: what is there says nothing to it. Any other entry
// that Check refuses is an error, and so are more than MaxSessions; the number
// is that of the entries before it.
func (f Format) CheckList(b []byte) (int, error) {
	size := f.EntryLen()
	if size == 0 {
		return 0, ErrEntryLength
	}
	for n := 0; ; n++ {
		if len(b) < nlaHeader || binary.NativeEndian.Uint16(b) < nlaHeader {
			return n, nil
		}
		if n == MaxSessions {
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
	if len(b) < nlaHeader {
		return UnknownFormat
	}
	return FormatOf(int(binary.NativeEndian.Uint16(b)))
}

// CountList walks a list as CheckList does and looks at nothing but lengths:
// for what a module itself has sent.
func (f Format) CountList(b []byte) (n int) {
	for size := f.EntryLen(); len(b) >= size && int(binary.NativeEndian.Uint16(b)) == size; b = b[size:] {
		n++
	}
	return n
}
