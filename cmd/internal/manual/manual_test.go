package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
)

// TestFiles checks that joolctl.d(5) lists the keys of each file that configdir knows, and an example that configdir
// accepts.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := (Book{Dir: dir, Version: "v1.2.3", Date: time.Unix(0, 0)}).Files(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "joolctl.d.5"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, k := range configdir.Keys() {
		want = append(want, k.File+" "+k.Name)
	}
	file := ""
	for _, m := range regexp.MustCompile(`(?m)^\.SH KEYS OF (\w+)|^\\fB"([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		if m[1] != "" {
			file = strings.ToLower(m[1])
			continue
		}
		got = append(got, file+" "+m[2])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	files := regexp.MustCompile(`(?m)^    \{\n(?:    .*\n)+`).FindAllString(filesTail, -1)
	if len(files) != 2 {
		t.Fatalf("%d examples", len(files))
	}
	for i, name := range []string{"netsocket.json", "modsocket.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[i]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pair := configdir.ReadPair("nat", filepath.Join(dir, "netsocket.json"), filepath.Join(dir, "modsocket.json"))
	for _, problem := range pair.Problems {
		t.Error(problem)
	}
}
