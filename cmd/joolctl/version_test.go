package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/cmd/internal/version"
	"joolctl/internal/golden"
	"joolctl/syncwire"
)

func TestVersionGolden(t *testing.T) {
	v := version.Info{Version: "v0.1.0-rc1", Commit: "c9c8618fbc450b1d1e5a5ff4f3ad61f5ddbbd87f", Go: "go1.26.8", Wire: 1, Jool: []string{"4.1.9", "4.1.15"}}
	var text, unknown, js bytes.Buffer
	if err := writeVersion(&text, v); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "version.text", text.String())
	if err := writeJSON(&js, v); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "version.json", js.String())
	v.Version, v.Commit = "devel", ""
	if err := writeVersion(&unknown, v); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "version.unknown", unknown.String())
}

// TestVersion runs the command as scripts do.
func TestVersion(t *testing.T) {
	code, out, _ := ran("version", "-o", "json")
	var v version.Info
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if v.Version == "" || v.Go == "" || v.Wire != syncwire.Version || len(v.Jool) == 0 {
		t.Errorf("incomplete: %+v", v)
	}
	if code, _, problem := ran("version", "-o", "yaml"); code != exitUsage || problem == "" {
		t.Errorf("unknown output: exit %d, %q", code, problem)
	}
}

// TestDocumentedVersion checks that docs/install.md shows the keys that the command prints.
func TestDocumentedVersion(t *testing.T) {
	text, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("## Which version runs"))
	var out bytes.Buffer
	if err := writeJSON(&out, version.Get()); err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`(?m)^  "(\w+)":`)
	var printed, shown, explained []string
	for _, m := range key.FindAllStringSubmatch(out.String(), -1) {
		printed = append(printed, m[1])
	}
	for _, m := range key.FindAllStringSubmatch(string(text), -1) {
		shown = append(shown, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		explained = append(explained, m[1])
	}
	if d := cmp.Diff(printed, shown); d != "" {
		t.Errorf("example: %s", d)
	}
	if d := cmp.Diff(printed, explained); d != "" {
		t.Errorf("table: %s", d)
	}
}
