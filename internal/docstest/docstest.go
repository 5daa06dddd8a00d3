// Package docstest gives tests the commands and files that the documentation
// shows, so that none of them is wrong.
package docstest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Root is the project's directory, from a package below cmd unless it is set.
var Root = "../.."

// Block is a fenced block of code.
type Block struct {
	// Where is the file and the line of its first line.
	File string
	Line int
	// Heading is that of its section, without the number signs.
	Heading string
	// Before is the last line before it that is not empty.
	Before string
	Lines  []string
}

// Files are the README and everything in docs.
func Files(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Root, "docs", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documentation: %v", err)
	}
	return append(files, filepath.Join(Root, "README.md"))
}

// Blocks are all those of a language.
func Blocks(t testing.TB, language string) []Block {
	t.Helper()
	var blocks []Block
	for _, file := range Files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var open *Block
		heading, before, fence := "", "", ""
		for i, line := range strings.Split(string(text), "\n") {
			inner := strings.TrimSpace(line)
			switch {
			case fence == "" && strings.HasPrefix(inner, "```"):
				fence = inner
				if inner == "```"+language {
					open = &Block{File: file, Line: i + 2, Heading: heading, Before: before}
				}
			case fence != "" && inner == "```":
				if open != nil {
					blocks = append(blocks, *open)
				}
				open, fence = nil, ""
			case open != nil:
				open.Lines = append(open.Lines, line)
			case inner != "":
				before = inner
				if text := strings.TrimLeft(line, "#"); text != line {
					heading = strings.TrimSpace(text)
				}
			}
		}
		if fence != "" {
			t.Errorf("%s: a block of code does not end", file)
		}
	}
	return blocks
}

// Command is a command line of the documentation.
type Command struct {
	Where string
	Words []string
	// Mention is true if a sentence only names it, without arguments.
	Mention bool
}

// heredoc finds the beginning of a here-document.
var heredoc = regexp.MustCompile(`<<'?(\w+)'?$`)

// inline finds code inside of a line.
var inline = regexp.MustCompile("`([^`]+)`")

// Commands are the command lines of all sh blocks and, where they begin with
// one of the programs, of code inside of lines. Prefixes that start the
// program in a namespace, or set its environment, are left out.
func Commands(t testing.TB, programs ...string) []Command {
	t.Helper()
	var commands []Command
	for _, b := range Blocks(t, "sh") {
		end := "" // of a here-document
		for i, line := range b.Lines {
			if end != "" {
				if line == end {
					end = ""
				}
				continue
			}
			if m := heredoc.FindStringSubmatch(line); m != nil {
				end = m[1]
			}
			if words := Split(line); len(words) > 0 {
				commands = append(commands, Command{Where: fmt.Sprintf("%s:%d", b.File, b.Line+i), Words: words})
			}
		}
	}
	for _, file := range Files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, code := range inline.FindAllStringSubmatch(line, -1) {
				if strings.ContainsAny(code[1], "…[|") {
					continue // a synopsis
				}
				words := Split(code[1])
				for _, program := range programs {
					if len(words) > 1 && words[0] == program {
						commands = append(commands, Command{fmt.Sprintf("%s:%d", file, i+1), words, len(words) == 2})
					}
				}
			}
		}
	}
	return commands
}

// private matches a command whose file only its owner can read.
var private = regexp.MustCompile(`^\(umask 077; (.*)\)$`)

// Split divides a line into words. It omits comments, redirections to files and
// the prefixes of the program: variables and `ip netns exec`. Quotes keep blanks.
func Split(line string) []string {
	line = private.ReplaceAllString(line, "$1")
	var words []string
	word, quote, begun := "", rune(0), false
	flush := func() {
		if begun {
			words = append(words, word)
		}
		word, begun = "", false
	}
loop:
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ' ' || c == '\t':
			flush()
		case c == '#' && !begun:
			break loop
		default:
			word, begun = word+string(c), true
		}
	}
	flush()
	for len(words) > 0 && strings.Contains(words[0], "=") {
		words = words[1:]
	}
	if at := slices.IndexFunc(words, func(w string) bool { return w == ">" || w == ">>" }); at >= 0 {
		words = words[:at]
	}
	if len(words) > 4 && strings.Join(words[:3], " ") == "ip netns exec" {
		words = words[4:]
	}
	return words
}
