package termtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

func TestTerms(t *testing.T) {
	glossary, err := os.ReadFile(filepath.Join(root, "docs", "glossary.md"))
	if err != nil {
		t.Fatal(err)
	}
	terms, err := parse(string(glossary))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "dist", "termtest"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		find := map[string]func([]byte) []finding{".go": terms.inGo, ".md": terms.inMarkdown}[filepath.Ext(path)]
		if find == nil {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, f := range find(text) {
			t.Errorf("%s:%d: %q; docs/glossary.md says: %s", path, f.line, f.word, terms.instead[f.word])
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files: %v", files, err)
	}
}

// small is a glossary with three banned words.
const small = "# Glossary\n\nA resync, before the table.\n\n" + heading + `

| not | but |
|---|---|
| resync, live update | full sync |
| anew | again |
`

func TestBannedWordsAreFound(t *testing.T) {
	terms, err := parse(small)
	if err != nil {
		t.Fatal(err)
	}
	in := func(words ...finding) []finding { return words }
	goFile := func(text string) []finding { return terms.inGo([]byte(text)) }
	document := func(text string) []finding { return terms.inMarkdown([]byte(text)) }
	for _, c := range []struct {
		name string
		got  []finding
		want []finding
	}{
		{"comment", goFile("package p\n\n// A Resync begins.\n"), in(finding{3, "resync"})},
		{"comment of two lines", goFile("package p\n/* a\nlive  update */\n"), in(finding{3, "live update"})},
		{"string", goFile("package p\nconst s = `it\nbegins anew`\n"), in(finding{3, "anew"})},
		{"identifier", goFile("package p\n\nvar resync int // the number\n"), nil},
		{"part of a word", goFile("package p\n// renewal, resynced, update\n"), nil},
		{"document", document("# Title\n\nThe resync starts anew.\n"), in(finding{3, "resync"}, finding{3, "anew"})},
		{"code in a document", document("`resync` is a field:\n```\nresync anew\n```\n"), nil},
		{"behind code in a document", document("```\nx\n```\nanew\n"), in(finding{4, "anew"})},
		{"the glossary", document(small), in(finding{3, "resync"})},
	} {
		if d := cmp.Diff(c.want, c.got, cmp.AllowUnexported(finding{})); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
	if terms.instead["live update"] != "full sync" {
		t.Errorf("instead of live update: %q", terms.instead["live update"])
	}
}

func TestGlossaryWithoutTable(t *testing.T) {
	for _, glossary := range []string{"# Glossary\n", fmt.Sprintln(heading)} {
		if _, err := parse(glossary); err == nil {
			t.Errorf("%q has no banned words, and is accepted", glossary)
		}
	}
}
