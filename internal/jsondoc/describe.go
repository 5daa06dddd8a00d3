// Package jsondoc describes JSON by the Go types that encode it and their comments: as a JSON Schema, and as tables for the
// documentation.
package jsondoc

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Object is a struct as JSON has it.
type Object struct {
	Name   string
	Text   string
	Fields []Field
	keys   map[string]string // of the fields, by their names in Go
}

// Field is a field of an Object.
type Field struct {
	Name     string
	Text     string
	Optional bool // it may be missing
	Type     Type
}

// Type is the type of a value.
type Type struct {
	// Kind is string, time (a string in the form of RFC 3339), integer, number, boolean, array, map, object or any.
	Kind   string
	Elem   *Type   // of an array or a map
	Object string  // the name of the Object
	Enum   []Value // the values of a string, if they are known
}

// Value is a value of an enumeration.
type Value struct{ Value, Text string }

// Describer reads the comments of Go packages.
type Describer struct {
	root   string // of the module
	module string
	parsed map[string]*source
}

// New returns a Describer of a module, whose source is at root.
func New(module, root string) *Describer {
	return &Describer{root: root, module: module, parsed: make(map[string]*source)}
}

// source is a package's source: its types and its string constants by type.
type source struct {
	structs map[string]*ast.StructType
	docs    map[string]string
	consts  map[string][]Value
}

// Describe returns the Object of a value and all Objects that it contains, each once, in the order in which they occur.
func (d *Describer) Describe(v any) ([]Object, error) {
	var all []Object
	seen := make(map[string]reflect.Type)
	err := d.add(&all, seen, reflect.TypeOf(v))
	return all, err
}

func (d *Describer) add(all *[]Object, seen map[string]reflect.Type, t reflect.Type) error {
	name := exported(t.Name())
	if before, is := seen[name]; is {
		if before != t {
			return fmt.Errorf("%v and %v have the same name", before, t)
		}
		return nil
	}
	seen[name] = t
	src, err := d.source(t.PkgPath())
	if err != nil {
		return err
	}
	at := len(*all)
	keys := make(map[string]string)
	*all = append(*all, Object{Name: name, Text: src.docs[t.Name()], keys: keys})
	comments := src.fieldComments(t.Name())
	var fields []Field
	for f := range t.Fields() {
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" {
			return fmt.Errorf("%v.%s has no JSON name", t, f.Name)
		}
		keys[f.Name] = tag
		typ, err := d.typeOf(all, seen, f.Type)
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		text := comments[f.Name]
		if text == "" {
			return fmt.Errorf("%v.%s has no comment", t, f.Name)
		}
		if rest, is := strings.CutPrefix(text, f.Name+" "); is {
			text = "`" + tag + "` " + rest
		}
		fields = append(fields, Field{tag, text, strings.Contains(options, "omit"), typ})
	}
	(*all)[at].Fields = fields
	return nil
}

// typeOf describes a type, and adds the Objects that it contains.
func (d *Describer) typeOf(all *[]Object, seen map[string]reflect.Type, t reflect.Type) (Type, error) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return Type{Kind: "time"}, nil
	case t == reflect.TypeFor[json.RawMessage]():
		return Type{Kind: "any"}, nil
	case t == reflect.TypeFor[time.Duration]():
		return Type{}, fmt.Errorf("a Go duration has no unit in JSON")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.typeOf(all, seen, t.Elem())
	case reflect.String:
		typ := Type{Kind: "string"}
		if t.PkgPath() != "" {
			src, err := d.source(t.PkgPath())
			if err != nil {
				return Type{}, err
			}
			typ.Enum = src.consts[t.Name()]
		}
		return typ, nil
	case reflect.Bool:
		return Type{Kind: "boolean"}, nil
	case reflect.Float64:
		return Type{Kind: "number"}, nil
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return Type{Kind: "integer"}, nil
	case reflect.Slice, reflect.Map:
		elem, err := d.typeOf(all, seen, t.Elem())
		kind := "array"
		if t.Kind() == reflect.Map {
			kind = "map"
		}
		return Type{Kind: kind, Elem: &elem}, err
	case reflect.Struct:
		return Type{Kind: "object", Object: exported(t.Name())}, d.add(all, seen, t)
	}
	return Type{}, fmt.Errorf("%v has no description", t)
}

func exported(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// source parses a package, once.
func (d *Describer) source(pkg string) (*source, error) {
	if s := d.parsed[pkg]; s != nil {
		return s, nil
	}
	dir := filepath.Join(d.root, strings.TrimPrefix(strings.TrimPrefix(pkg, d.module), "/"))
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s has no source in %s: %v", pkg, dir, err)
	}
	s := &source{make(map[string]*ast.StructType), make(map[string]string), make(map[string][]Value)}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok {
				s.take(g)
			}
		}
	}
	d.parsed[pkg] = s
	return s, nil
}

func (s *source) take(g *ast.GenDecl) {
	for _, spec := range g.Specs {
		switch x := spec.(type) {
		case *ast.TypeSpec:
			if st, ok := x.Type.(*ast.StructType); ok {
				s.structs[x.Name.Name], s.docs[x.Name.Name] = st, g.Doc.Text()
			}
		case *ast.ValueSpec:
			typ, ok := x.Type.(*ast.Ident)
			if !ok || g.Tok != token.CONST || len(x.Values) != 1 {
				continue
			}
			if lit, ok := x.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, err := strconv.Unquote(lit.Value)
				if err != nil {
					continue
				}
				text := x.Comment.Text()
				if text == "" {
					_, text, _ = strings.Cut(x.Doc.Text(), ": ")
				}
				s.consts[typ.Name] = append(s.consts[typ.Name], Value{value, oneLine(text)})
			}
		}
	}
}

// fieldComments returns the comments of a struct's fields, each in one line.
func (s *source) fieldComments(name string) map[string]string {
	comments := make(map[string]string)
	if st := s.structs[name]; st != nil {
		for _, f := range st.Fields.List {
			for _, n := range f.Names {
				comments[n.Name] = oneLine(f.Doc.Text())
			}
		}
	}
	return comments
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
