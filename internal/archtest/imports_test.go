// Package archtest checks the import directions of docs/architecture.md, and the sizes of CONTRIBUTING.md.
package archtest

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "joolctl/"

// mayImport has the packages of this module that a package may import, tests aside.
var mayImport = map[string][]string{
	"session/attr":    nil,
	"seal":            nil,
	"session":         {"session/attr"},
	"syncwire":        {"session"},
	"replication":     {"syncwire", "session"},
	"replication/sim": {"replication", "syncwire", "session", "joolnl"},
	"joolnl":          {"session", "session/attr", "packetio"},
	"eventlog":        {"replication"},
	"worker":          {"configdir", "eventlog", "fdstore", "joolnl", "nsthread", "packetio", "replication", "seal", "session", "syncwire"},
	"metrics":         {"joolnl", "replication", "supervisor", "syncwire", "worker"},
	"configdir":       {"seal"},
	"events":          {"nsthread"},
}

// withoutSystem are the packages that do no I/O, and system are the packages that they do without. net/netip is not
// among these.
var (
	withoutSystem = []string{"seal", "session/attr", "session", "syncwire", "replication"}
	system        = []string{"net", "os", "os/signal", "sync", "sync/atomic", "syscall"}
)

func TestImports(t *testing.T) {
	for dir, allowed := range mayImport {
		for path, file := range importsOf(t, dir) {
			if own, ok := strings.CutPrefix(path, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s; of this module %s may import only %q", file, path, dir, allowed)
			}
		}
	}
}

func TestPackagesWithoutSystem(t *testing.T) {
	for _, dir := range withoutSystem {
		for path, file := range importsOf(t, dir) {
			if slices.Contains(system, path) || strings.HasPrefix(path, "golang.org/x/sys/") {
				t.Errorf("%s imports %s; %s does no I/O and needs no locks", file, path, dir)
			}
		}
	}
}

// importsOf returns what a package's files import, tests aside, each with one of the files that import it.
func importsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	imports := make(map[string]string)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[path] = file
		}
	}
	return imports
}
