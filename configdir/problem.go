package configdir

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is an error or a warning about a pair's file. As an error it has one line, with the mistake and the
// remedy:
//
//	FILE:LINE:COL: KEY: what is wrong; what to write
type Problem struct {
	// File is the path of the file. It begins with the directory as the caller of Read spells it.
	File string
	// Line and Column count from 1, columns in bytes. A missing key or file is reported at line 1, column 1.
	Line, Column int
	// Key is the key that the problem concerns; empty if it concerns the whole file.
	Key string
	// Message says what is wrong and, after a semicolon, what to write.
	Message string
	// Warning is true for a problem that does not keep the pair from running.
	Warning bool
}

// Error returns the problem on one line. The text is the same for errors and warnings; callers that print both
// must check Warning.
func (p Problem) Error() string {
	place := fmt.Sprintf("%s:%d:%d: ", plain(p.File), p.Line, p.Column)
	if p.Key == "" {
		return place + p.Message
	}
	key := p.Key
	if len(key) > longest || !isPlain(key) {
		key = quote(key)
	}
	return place + key + ": " + p.Message
}

// String returns the same as Error.
func (p Problem) String() string { return p.Error() }

// byPlace compares two problems of one file by their places, from top to bottom.
func byPlace(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// longest is the greatest length in bytes of a quotation from a file in a message.
const longest = 64

// plain returns s unchanged if all its characters are printable, and otherwise quoted. Names come from files
// that any user may have written, and must neither break the line nor send control characters to a terminal.
func plain(s string) string {
	if isPlain(s) {
		return s
	}
	return quote(s)
}

func isPlain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// quote returns s in double quotes, on one line and shortened to longest.
func quote(s string) string {
	return strconv.Quote(shorten(s))
}

func shorten(s string) string {
	if len(s) <= longest {
		return s
	}
	cut := longest
	for cut > longest-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
