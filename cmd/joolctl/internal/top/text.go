package top

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The escape sequences beside those of table.Colours.
const (
	bold    = "\x1b[1m"
	red     = "\x1b[31m"
	yellow  = "\x1b[33m"
	reverse = "\x1b[7m"
	plain   = "\x1b[0m"
)

// clip cuts a line to a width, and replaces characters that are not printable.
func clip(line string, width int) string {
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, line)
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	if width < 1 {
		return ""
	}
	return string([]rune(line)[:width-1]) + "…"
}

// pad fills a text with blanks; right aligns it to the right.
func pad(text string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
	if right {
		return blanks + text
	}
	return text + blanks
}

// wrap breaks a text into lines of at most width characters, the second and the next ones indented.
func wrap(text string, width, indent int) (lines []string) {
	room := max(width-indent, 1)
	line := ""
	for word := range strings.FieldsSeq(text) {
		for part := range slices.Chunk([]rune(word), room) {
			switch {
			case line == "":
				line = string(part)
			case utf8.RuneCountInString(line)+1+len(part) <= width:
				line += " " + string(part)
			default:
				lines = append(lines, clip(line, width))
				line = strings.Repeat(" ", indent) + string(part)
			}
		}
	}
	if line != "" {
		lines = append(lines, clip(line, width))
	}
	return lines
}
