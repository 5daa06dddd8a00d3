package configdir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSettings checks that Settings has each key of a pair once, with its value and its place.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	netsocketPath, modsocketPath := filepath.Join(dir, "a.netsocket.json"), filepath.Join(dir, "a.modsocket.json")
	for path, text := range map[string]string{
		netsocketPath: "{\"multicast address\": \"ff08::1\",\n \"multicast port\": 6464,\n \"ttl\": 300}",
		modsocketPath: "{\n\n\"instance\": \"nat\"}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settings := ReadPair("a", netsocketPath, modsocketPath).Settings()
	if len(settings) != len(keys) {
		t.Errorf("%d settings of %d keys", len(settings), len(keys))
	}
	some := make(map[string]Setting)
	for _, s := range settings {
		some[s.File+"/"+s.Key] = s
	}
	for _, want := range []Setting{
		{File: "netsocket", Key: "multicast port", Value: "6464", Path: netsocketPath, Line: 2},
		{File: "netsocket", Key: "ttl", Value: "300", Path: netsocketPath, Line: 3},
		{File: "netsocket", Key: "sequence", Value: "true"},
		{File: "netsocket", Key: "namespace", Without: "the modsocket's"},
		{File: "modsocket", Key: "instance", Value: `"nat"`, Path: modsocketPath, Line: 3},
		{File: "modsocket", Key: "namespace", Without: "the program's own"},
	} {
		if d := cmp.Diff(want, some[want.File+"/"+want.Key]); d != "" {
			t.Error(d)
		}
	}
}
