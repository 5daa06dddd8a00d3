package e2e

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// GuestTests finds the tests in the directory of package guest. It maps each test's name to the purpose that the test
// gives to enter, which is empty for a test that needs no machine.
func GuestTests(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	tests := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				tests[f.Name.Name] = entered(f)
			}
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("%s has no tests", dir)
	}
	return tests, nil
}

// entered is the purpose in a test's call of enter(t, "purpose"), "" if there is none.
func entered(f *ast.FuncDecl) (purpose string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		name, isName := call.Fun.(*ast.Ident)
		text, isText := call.Args[1].(*ast.BasicLit)
		if isName && isText && name.Name == "enter" {
			purpose, _ = strconv.Unquote(text.Value)
		}
		return true
	})
	return purpose
}

// PurposeOf returns the purpose of a test among those of [GuestTests]. The error for an unknown name lists the names.
func PurposeOf(tests map[string]string, name string) (string, error) {
	purpose, ok := tests[name]
	switch {
	case name == "":
		return "", errors.New("no test was named; the guest's tests are " + inMachines(tests))
	case !ok:
		return "", fmt.Errorf("the guest has no test %s; its tests are %s", name, inMachines(tests))
	case purpose == "":
		return "", fmt.Errorf("%s needs no virtual machine; run it with: go test -run '^%[1]s$' ./e2e/guest", name)
	case purposes[purpose].test != "":
		return "", fmt.Errorf("%s needs two virtual machines; run it with: go test -count=1 -v -run '^%s$' ./e2e", name, purposes[purpose].test)
	}
	return purpose, nil
}

// inMachines lists the tests that need a machine.
func inMachines(tests map[string]string) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(tests)), func(t string) bool { return tests[t] == "" })
	return strings.Join(names, ", ")
}
