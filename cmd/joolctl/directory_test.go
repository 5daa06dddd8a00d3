package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDefaultDirectory checks that the second directory is the default only if the first one does not exist.
func TestDefaultDirectory(t *testing.T) {
	for _, c := range []struct {
		there []string
		want  string
	}{
		{nil, "first"},
		{[]string{"first"}, "first"},
		{[]string{"second"}, "second"},
		{[]string{"first", "second"}, "first"},
	} {
		root := t.TempDir()
		for _, name := range c.there {
			if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if got := chooseDir(filepath.Join(root, "first"), filepath.Join(root, "second")); got != filepath.Join(root, c.want) {
			t.Errorf("of %v, it is %s", c.there, got)
		}
	}
	if got := directory([]string{"x"}); got != "x" {
		t.Errorf("the argument is x, and the directory %s", got)
	}
}
