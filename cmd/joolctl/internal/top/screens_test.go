package top

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"joolctl/internal/golden"
)

// sent passes messages to a model. A word is a key.
func sent(m model, messages ...any) model {
	for _, msg := range messages {
		if key, is := msg.(string); is {
			next, _ := m.pressed(key)
			m = next.(model)
			continue
		}
		next, _ := m.Update(msg)
		m = next.(model)
	}
	return m
}

var later = begin.Add((seconds + 12) * time.Second)

// TestScreens compares screens after some messages with golden files.
func TestScreens(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		messages      []any
	}{
		{"pairs", 80, 24, nil},
		{"wide", 130, 30, nil},
		{"small", 40, 12, nil},
		{"second", 80, 24, []any{"n", "down"}},
		{"rates", 100, 24, []any{"r"}},
		{"scrolled", 80, 12, []any{"end"}},
		{"details", 80, 24, []any{"n", "down", "down", "down", "enter"}},
		{"details.end", 80, 16, []any{"n", "down", "down", "enter", "end"}},
		{"details.unicast", 80, 16, []any{"enter"}},
		{"help", 80, 24, []any{"?"}},
		{"gone", 80, 24, []any{answer{at: later, err: errGone}}},
		{"silent", 80, 24, []any{tick(later), tick(later.Add(2 * time.Second))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sent(sampled(c.width, c.height), c.messages...)
			fits(t, m)
			golden.Compare(t, c.name, screenOf(m))
		})
	}
}

// screenOf returns the screen as text.
func screenOf(m model) string {
	var text strings.Builder
	for _, line := range m.screen() {
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}

// fits reports lines that do not fit the screen.
func fits(t *testing.T, m model) {
	t.Helper()
	lines := m.screen()
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > m.width {
			t.Errorf("%d columns on a screen of %d: %s", n, m.width, line)
		}
	}
}

// TestSizes draws all pages in all sizes of a screen.
func TestSizes(t *testing.T) {
	for _, messages := range [][]any{nil, {"enter"}, {"?"}, {answer{at: later, err: errGone}}} {
		m := sent(sampled(80, 24), messages...)
		for width := 8; width <= 200; width += 8 {
			for height := 1; height <= 60; height += 6 {
				fits(t, sent(m, tea.WindowSizeMsg{Width: width, Height: height}))
			}
		}
	}
}

// TestColours: colours change nothing but the colour.
func TestColours(t *testing.T) {
	for _, messages := range [][]any{nil, {"enter"}, {"?"}, {answer{at: later, err: errGone}}} {
		m := sent(sampled(130, 24), messages...)
		want := screenOf(m)
		m.o.Colours = true
		got := screenOf(m)
		if !strings.Contains(got, bold) {
			t.Errorf("no style in:\n%s", got)
		}
		for i := strings.Index(got, "\x1b["); i >= 0; i = strings.Index(got, "\x1b[") {
			end := strings.IndexByte(got[i:], 'm')
			got = got[:i] + got[i+end+1:]
		}
		var trimmed []string
		for line := range strings.Lines(got) {
			trimmed = append(trimmed, strings.TrimRight(line, " \n"))
		}
		if diff := cmp.Diff(strings.Split(strings.TrimSuffix(want, "\n"), "\n"), trimmed); diff != "" {
			t.Errorf("without its colours (-want +got):\n%s", diff)
		}
	}
}

// TestDocumentedScreens: docs/observing.md shows the screens of the sample. The comment before a block names the screen.
func TestDocumentedScreens(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "docs", "observing.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for name, m := range map[string]model{
		"pairs":   sampled(100, 15),
		"details": sent(sampled(100, 24), "n", "down", "down", "enter"),
	} {
		before, rest, ok := strings.Cut(got, "<!-- screen "+name+": ")
		comment, rest, begins := strings.Cut(rest, "```text\n")
		_, after, ends := strings.Cut(rest, "```\n")
		if !ok || !begins || !ends {
			t.Fatalf("%s has no screen %s", path, name)
		}
		got = before + "<!-- screen " + name + ": " + comment + "```text\n" + screenOf(m) + "```\n" + after
	}
	if golden.Updates() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("%s (-want +got; rewrite with: go test ./cmd/joolctl/internal/top -run TestDocumentedScreens -update):\n%s", path, diff)
	}
}
