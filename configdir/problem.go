package configdir

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong, or only unwise, in a file of a pair.
// It is an error that fits one line:
//
//	FILE:LINE:COL: KEY: what is wrong; what to write
type Problem struct {
	// File is the file's path, as the directory was given.
	File string
	// Line and Column count from 1, columns in bytes. What is not there (a
	// missing key, a missing file) is at line 1, column 1.
	Line, Column int
	// Key is the key concerned; empty where the file as a whole is.
	Key string
	// Message says what is wrong and, behind a semicolon, what to write.
	Message string
	// Warning marks what is unwise but works: a pair with warnings alone is
	// fit to run.
	Warning bool
}

// Error gives the whole problem on one line. It does not tell warnings from
// errors: whoever prints a mixture looks at Warning.
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

// String is Error.
func (p Problem) String() string { return p.Error() }

// byPlace orders the problems of one file from top to bottom.
func byPlace(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// longest is how much of somebody's text a message repeats.
const longest = 64

// plain gives s as it is if it can't break the line or fool a terminal, else
// quoted: names come from files that anybody may have written.
func plain(s string) string {
	if isPlain(s) {
		return s
	}
	return quote(s)
}

func isPlain(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// quote gives s in double quotes, on one line and shortened to a size that
// fits one.
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
