// Package termtest checks that comments, strings and documents use the terms of docs/glossary.md.
package termtest

import (
	"fmt"
	"go/scanner"
	"go/token"
	"regexp"
	"strings"
)

// heading begins the section of the glossary with the banned words.
const heading = "## Words that the project does not use"

// terms finds banned words in a text.
type terms struct {
	banned *regexp.Regexp
	// instead maps each banned word, in lower case, to its replacement.
	instead map[string]string
}

// parse reads the table of banned words from the glossary.
func parse(glossary string) (terms, error) {
	_, section, found := strings.Cut(glossary, heading)
	if !found {
		return terms{}, fmt.Errorf("the glossary has no section %q", heading)
	}
	t := terms{instead: make(map[string]string)}
	var words []string
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 || strings.HasPrefix(cells[1], "--") || strings.TrimSpace(cells[1]) == "not" {
			continue
		}
		for word := range strings.SplitSeq(cells[1], ",") {
			word = strings.TrimSpace(word)
			t.instead[word] = strings.TrimSpace(cells[2])
			words = append(words, strings.ReplaceAll(regexp.QuoteMeta(word), " ", `\s+`))
		}
	}
	if len(words) == 0 {
		return terms{}, fmt.Errorf("the section %q has no table", heading)
	}
	t.banned = regexp.MustCompile(`(?i)\b(?:` + strings.Join(words, "|") + `)\b`)
	return t, nil
}

// finding is a banned word in a file.
type finding struct {
	line int
	word string
}

func (t terms) in(text string, line int) (found []finding) {
	for _, at := range t.banned.FindAllStringIndex(text, -1) {
		word := strings.ToLower(strings.Join(strings.Fields(text[at[0]:at[1]]), " "))
		found = append(found, finding{line + strings.Count(text[:at[0]], "\n"), word})
	}
	return found
}

// inGo returns the banned words in the comments and strings of a Go file.
func (t terms) inGo(source []byte) (found []finding) {
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch tok {
		case token.EOF:
			return found
		case token.COMMENT, token.STRING:
			found = append(found, t.in(text, file.Line(pos))...)
		}
	}
}

// code matches code inside a line of Markdown, where identifiers and output may be quoted.
var code = regexp.MustCompile("`[^`]*`")

// inMarkdown returns the banned words in a document, apart from code.
func (t terms) inMarkdown(text []byte) (found []finding) {
	fenced := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if line == heading {
			return found
		}
		if !fenced {
			found = append(found, t.in(code.ReplaceAllString(line, "``"), i+1)...)
		}
	}
	return found
}
