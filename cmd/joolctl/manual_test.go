package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"joolctl/cmd/internal/manual"
)

// TestManual checks that each command has a page that lists its flags.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	root := newRoot(&program{})
	if err := (manual.Book{Dir: dir, Version: "v1.2.3", Date: time.Unix(0, 0)}).Commands(root); err != nil {
		t.Fatal(err)
	}
	read := func(page string) string {
		text, err := os.ReadFile(filepath.Join(dir, page+".8"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), `\-`, "-")
	}
	pages := 1
	check := func(cmd *cobra.Command, page string) {
		text := read(page)
		for _, want := range []string{".SH NAME\n" + page + " - " + cmd.Short, `"joolctl v1.2.3"`, "Jan 1970", "joolctl.d(5)"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s.8 lacks %q:\n%s", page, want, text)
			}
		}
		if strings.Contains(text, "spf13") {
			t.Errorf("%s.8 names its generator", page)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "--"+f.Name) {
				t.Errorf("%s.8 lacks --%s", page, f.Name)
			}
		})
	}
	check(root, "joolctl")
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		pages++
		check(cmd, "joolctl-"+cmd.Name())
		if !strings.Contains(read("joolctl"), "joolctl-"+cmd.Name()+"(8)") {
			t.Errorf("joolctl.8 does not refer to joolctl-%s(8)", cmd.Name())
		}
		for _, sub := range cmd.Commands() {
			if sub.Name() == "help" {
				continue
			}
			pages++
			check(sub, "joolctl-"+cmd.Name()+"-"+sub.Name())
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != pages || pages < 10 {
		t.Errorf("%d pages for %d commands: %v", len(files), pages, files)
	}
}
