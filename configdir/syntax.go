package configdir

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// blanks are the white space characters of JSON.
const blanks = " \t\r\n"

// syntaxMessage returns the offset and the text of the message about a syntax error, for files that are edited
// by hand. It recognises frequent mistakes by the byte at the offset and the byte before. The returned offset is
// that of the mistake, which may lie before the decoder's. behindKey is the offset behind the key whose value is
// invalid; 0: the error is not in a value.
func syntaxMessage(data []byte, offset, behindKey int, of kind) (int, string) {
	text := bytes.TrimRight(data, blanks)
	switch {
	case len(text) == 0:
		return 0, "file is empty; write " + of.example()
	case offset >= len(text):
		return len(text), "file ends too early; write the rest, up to the closing brace"
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) && offset < 3:
		return 0, "file begins with a byte order mark; save it as UTF-8 without one"
	}
	c := data[offset]
	r, size := utf8.DecodeRune(data[offset:])
	if r == utf8.RuneError && size == 1 {
		return offset, fmt.Sprintf("byte 0x%02x is not UTF-8; save the file as UTF-8", c)
	}
	if inString(data[:offset]) {
		if c == '\\' {
			return offset, `unknown escape; write \\ for a backslash`
		}
		return offset, `a string breaks off here; close it with a double quote (a line break inside is \n)`
	}
	start, word := wordAt(text, offset)
	if last(text, start) == ':' && word != "" {
		return start, plain(shorten(word)) + " is not a value; write a string in double quotes, or a number in plain digits"
	}
	before := bytes.TrimRight(data[:offset], blanks)
	next := bytes.TrimLeft(text[offset+size:], blanks)
	switch previous := last(text, offset); {
	case c == ',' && len(next) > 0 && (next[0] == '}' || next[0] == ']') && previous != '{':
		return offset, "comma behind the last value; remove it"
	case c == '/' || c == '#':
		return offset, "JSON has no comments; remove it"
	case c == '\'':
		return offset, `single quote; write double quotes (")`
	case behindKey > 0 && len(before) == behindKey:
		return offset, `no colon behind the key; write "KEY": VALUE`
	case behindKey > 0 && previous == ':':
		return offset, `no value behind the colon; write one, or remove the key`
	case behindKey == 0 && (previous == '{' || previous == ','):
		return offset, fmt.Sprintf(`%q can't begin a key; write keys in double quotes, as in "ttl": 1`, r)
	case c == '"':
		return offset, "no comma behind the value before; write a comma there"
	}
	return offset, fmt.Sprintf("%q can't stand here; write one object, as in %s", r, of.example())
}

// inString reports whether text, the beginning of a JSON text, ends within a string.
func inString(text []byte) bool {
	in := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			in = !in
		case in && text[i] == '\\':
			i++
		}
	}
	return in
}

// last returns the last byte before an offset that is not white space; 0: there is none.
func last(text []byte, offset int) byte {
	before := bytes.TrimRight(text[:offset], blanks)
	if len(before) == 0 {
		return 0
	}
	return before[len(before)-1]
}

// wordAt returns the bare word (a number, or a name without quotes) around an offset.
func wordAt(text []byte, offset int) (start int, word string) {
	isWord := func(c byte) bool { return c > ' ' && bytes.IndexByte([]byte(`{}[],:"'/#`), c) < 0 }
	start, end := offset, offset
	for start > 0 && isWord(text[start-1]) {
		start--
	}
	for end < len(text) && isWord(text[end]) {
		end++
	}
	return start, string(text[start:end])
}
