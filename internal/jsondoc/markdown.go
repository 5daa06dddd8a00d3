package jsondoc

import (
	"fmt"
	"regexp"
	"strings"
)

// Markdown returns a table of the fields of each Object, below a heading of the given level.
func Markdown(objects []Object, level int) string {
	var b strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&b, "%s %s\n\n%s\n\n| key | type | |\n|---|---|---|\n", strings.Repeat("#", level), o.Name, o.keyed())
		for _, f := range o.Fields {
			kind := f.Type.String()
			if f.Optional {
				kind += ", may be missing"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, kind, strings.ReplaceAll(f.Text, "|", `\|`))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// goName is a Go identifier of a field.
var goName = regexp.MustCompile(`\b[A-Z]\w*`)

// keyed returns the text with the keys of fields instead of their names in Go, as far as they are words of the text's formulas.
func (o *Object) keyed() string {
	lines := strings.Split(strings.TrimSpace(o.Text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ") {
			lines[i] = goName.ReplaceAllStringFunc(line, func(name string) string {
				if key := o.keys[name]; key != "" {
					return key
				}
				return name
			})
		}
	}
	return strings.Join(lines, "\n")
}

// Values returns a table of the values of an enumeration.
func Values(values []Value) string {
	var b strings.Builder
	b.WriteString("| code | means |\n|---|---|\n")
	for _, v := range values {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Value, v.Text)
	}
	return b.String()
}

// String describes the type in a few words, with a link to an Object.
func (t *Type) String() string {
	switch t.Kind {
	case "array":
		return "list of " + t.Elem.plural()
	case "map":
		return t.Elem.plural() + " by name"
	case "object":
		return fmt.Sprintf("[%s](#%s)", t.Object, strings.ToLower(t.Object))
	}
	return t.Kind
}

func (t *Type) plural() string {
	if t.Kind == "object" {
		return t.String()
	}
	return t.Kind + "s"
}
