// Package fuzztest gives tests the inputs that fuzzing has kept.
package fuzztest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Kept returns the byte slices in the files of a pattern, as in testdata/fuzz/FuzzParse/*. Other arguments of fuzz
// targets are left out. Fewer than least fail the test.
func Kept(t testing.TB, pattern string, least int) (inputs [][]byte) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "[]byte(")
			if !ok {
				continue
			}
			b, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			inputs = append(inputs, []byte(b))
		}
	}
	if len(inputs) < least {
		t.Fatalf("%s: %d inputs are kept, want %d at least", pattern, len(inputs), least)
	}
	return inputs
}
