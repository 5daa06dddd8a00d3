package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFile     = 400 // lines
	maxFunction = 60  // lines, without tables
	tableFrom   = 8   // a composite literal of as many lines is a table
)

// TestSizes checks that no file and no function is longer than CONTRIBUTING.md allows.
func TestSizes(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
		if n := files.File(file.Pos()).LineCount(); n > maxFile {
			t.Errorf("%s has %d lines; divide it by concept into files of at most %d", name, n, maxFile)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n, id := linesOf(files, fn), name+" "+fn.Name.Name
			if n <= maxFunction {
				continue
			}
			t.Errorf("%s has %d lines without tables; divide it into functions of at most %d", id, n, maxFunction)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// linesOf returns the number of lines of a function, without its tables.
func linesOf(files *token.FileSet, fn *ast.FuncDecl) int {
	lines := func(n ast.Node) int { return files.Position(n.End()).Line - files.Position(n.Pos()).Line }
	total := lines(fn) + 1
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if table, ok := n.(*ast.CompositeLit); ok && lines(table) >= tableFrom {
			total -= lines(table)
			return false
		}
		return true
	})
	return total
}

// TestTablesDoNotCount checks that linesOf counts a function's lines without a table.
func TestTablesDoNotCount(t *testing.T) {
	source := "package p\n\nfunc f() {\n\tx := []int{\n" + strings.Repeat("\t\t1,\n", 20) + "\t}\n\tprintln(x)\n}\n"
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := linesOf(files, file.Decls[0].(*ast.FuncDecl)); n != 4 {
		t.Errorf("the function has %d lines, want 4", n)
	}
}
