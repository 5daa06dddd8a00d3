package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"joolctl/internal/golden"
)

// TestDocs checks that docs/metrics.md lists all families.
func TestDocs(t *testing.T) {
	const docs, mark = "../docs/metrics.md", "<!-- What follows is generated from the table in package metrics: go test ./metrics -run TestDocs -update -->\n\n"
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(page), mark)
	if !found {
		t.Fatalf("%s has no line %q", docs, mark)
	}
	golden.File(t, docs, head+mark+strings.TrimRight(Markdown(), "\n")+"\n")
}

// Markdown returns a table of the families of each section.
func Markdown() string {
	var b strings.Builder
	for _, section := range Sections() {
		fmt.Fprintf(&b, "## %s\n\n", section.Title)
		if section.Text != "" {
			fmt.Fprintf(&b, "%s\n\n", section.Text)
		}
		b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
		for _, f := range section.Families {
			fmt.Fprintf(&b, "| `%s` | %v | %s | %s |\n", f.Name, f.Type, labelsOf(&f), f.Help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// labelsOf lists the labels of a family, with their values where these are few.
func labelsOf(f *Family) string {
	var labels []string
	if f.OfPair() {
		labels = append(labels, "`pair`")
	}
	for _, l := range f.Labels {
		text := "`" + l.Name + "`"
		if n := len(l.Values); n > 0 && n < 6 {
			text += " (" + strings.Join(l.Values, ", ") + ")"
		}
		labels = append(labels, text)
	}
	return strings.Join(labels, ", ")
}
