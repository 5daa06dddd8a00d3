package configdir

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// value is the value of a key in a file: one JSON value.
type value struct{ raw []byte }

// complaint is a problem of a value.
type complaint struct {
	what string
	// write says which value to write instead; empty: the message takes want of the key's entry.
	write string
	// advice is true for a warning: the value is used nevertheless.
	advice bool
	// offset is the place of the problem in the value, in bytes.
	offset int
}

func wrong(format string, arguments ...any) *complaint {
	return &complaint{what: fmt.Sprintf(format, arguments...)}
}

// message returns the text of a complaint about a key's value.
func (c *complaint) message(k *key) string {
	write := c.write
	if write == "" {
		write = "write " + k.want + ", as in " + k.example
	}
	return c.what + "; " + write
}

// line parses the value as a string of 1 to limit bytes without control characters. The parameter what ends the
// message about a longer string, which says that it has more bytes than "a path can have", for example.
func (v value) line(limit int, what string) (string, *complaint) {
	text, c := v.text()
	if c != nil {
		return "", c
	}
	switch {
	case text == "":
		return "", wrong("empty")
	case len(text) > limit:
		return "", wrong("%s has %d bytes, more than %s", quote(text), len(text), what)
	case strings.ContainsFunc(text, isControl):
		return "", wrong("%s has a control character", quote(text))
	}
	return text, nil
}

// text parses the value as a string.
func (v value) text() (string, *complaint) {
	if jsontext.Value(v.raw).Kind() != '"' {
		return "", v.wrongType("a string")
	}
	text, err := jsontext.AppendUnquote(nil, v.raw)
	if err == nil {
		return string(text), nil
	}
	// Strings that are not Unicode have an invalid byte or an escaped half of a surrogate pair.
	if at := invalidUTF8(v.raw); at >= 0 {
		return "", &complaint{
			what: fmt.Sprintf("byte 0x%02x is not UTF-8", v.raw[at]), write: "write the file as UTF-8", offset: at,
		}
	}
	return "", wrong(`half of a \u surrogate pair is no character`)
}

// whole stores a whole number between two bounds in target.
func (v value) whole(target *int, low, high int) *complaint {
	if jsontext.Value(v.raw).Kind() != '0' {
		return v.wrongType("a number")
	}
	number, err := strconv.ParseInt(string(v.raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return wrong("%s is not a whole number in plain digits", shorten(string(v.raw)))
	case err != nil || number < int64(low) || number > int64(high):
		return wrong("%s is out of range", shorten(string(v.raw)))
	}
	*target = int(number)
	return nil
}

// seconds stores a whole number of seconds from 0 to high in target.
func (v value) seconds(target *time.Duration, high int) *complaint {
	n := 0
	if c := v.whole(&n, 0, high); c != nil {
		return c
	}
	*target = time.Duration(n) * time.Second
	return nil
}

// boolean stores true or false in target.
func (v value) boolean(target *bool) *complaint {
	switch jsontext.Value(v.raw).Kind() {
	case 't', 'f':
		*target = jsontext.Value(v.raw).Kind() == 't'
		return nil
	}
	return v.wrongType("true or false")
}

// wrongType returns the complaint about a value of the wrong type. The message shows the value, because the
// right one often differs only in the quotes.
func (v value) wrongType(want string) *complaint {
	is := ""
	switch jsontext.Value(v.raw).Kind() {
	case 'n':
		return wrong("null is no value")
	case 't', 'f':
		is = string(v.raw)
	case '"':
		is = "the string " + v.show()
	case '0':
		is = "the number " + shorten(string(v.raw))
	case '{':
		is = "an object"
	case '[':
		is = "an array"
	}
	return wrong("must be %s, not %s", want, is)
}

// show returns a string value in the form for messages.
func (v value) show() string {
	text, _ := jsontext.AppendUnquote(nil, v.raw)
	return quote(string(text))
}

// invalidUTF8 returns the offset of the first byte that is not valid UTF-8; -1: there is none.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
