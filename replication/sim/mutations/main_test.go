package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestMutationsApply finds the mutations whose code has changed.
func TestMutationsApply(t *testing.T) {
	files, err := sources("../../..")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if names[m.name] {
				t.Error("there are two of this name")
			}
			names[m.name] = true
			changed, err := m.apply(files)
			if err != nil {
				t.Fatalf("%v\nThe code has changed; change the mutation, too, so that it is the same defect.", err)
			}
			for path, text := range changed {
				if text == files[path] {
					t.Errorf("%s stays the same", path)
				}
				if _, err := parser.ParseFile(token.NewFileSet(), path, text, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if len(mutations) < 18 {
		t.Errorf("there are only %d mutations", len(mutations))
	}
}

// TestDocumented compares docs/reliability.md with the seeds that are known to find a mutation.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for _, m := range mutations {
		seed := found[m.name]
		if seed == 0 {
			continue
		}
		listed++
		if line := fmt.Sprintf("\n| %s | %s | %d |\n", m.name, m.breaks, seed); !strings.Contains(string(doc), line) {
			t.Errorf("docs/reliability.md lacks the line %s", strings.TrimSpace(line))
		}
	}
	if len(found) != listed {
		t.Errorf("there are seeds for %d mutations, but only %d of these mutations", len(found), listed)
	}
}
