package jsondoc

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Validator checks decoded JSON against Objects, and notes which fields occur.
type Validator struct {
	objects map[string]*Object
	root    string
	seen    map[string]bool // by object and field
}

// NewValidator returns a Validator of values that the first Object describes.
func NewValidator(objects []Object) *Validator {
	v := &Validator{make(map[string]*Object), objects[0].Name, make(map[string]bool)}
	for i := range objects {
		v.objects[objects[i].Name] = &objects[i]
	}
	return v
}

// Validate returns an error if a value, as encoding/json decodes it into an empty interface, is not as the Objects say. A key that
// they do not have is an error, too.
func (v *Validator) Validate(value any) error {
	return v.check(v.root, &Type{Kind: "object", Object: v.root}, value)
}

// Unseen returns the fields that were in no validated value.
func (v *Validator) Unseen() (fields []string) {
	for _, name := range slices.Sorted(maps.Keys(v.objects)) {
		for _, f := range v.objects[name].Fields {
			if !v.seen[name+"."+f.Name] {
				fields = append(fields, name+"."+f.Name)
			}
		}
	}
	return fields
}

func (v *Validator) check(path string, t *Type, value any) error {
	wrong := fmt.Errorf("%s is %v (%T), want type %s", path, value, value, t.Kind)
	switch t.Kind {
	case "any":
	case "object", "map":
		m, ok := value.(map[string]any)
		switch {
		case !ok:
			return wrong
		case t.Kind == "object":
			return v.checkObject(path, v.objects[t.Object], m)
		}
		for key, elem := range m {
			if err := v.check(path+"."+key, t.Elem, elem); err != nil {
				return err
			}
		}
	case "array":
		list, ok := value.([]any)
		if !ok {
			return wrong
		}
		for i, elem := range list {
			if err := v.check(fmt.Sprintf("%s[%d]", path, i), t.Elem, elem); err != nil {
				return err
			}
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return wrong
		}
	case "number", "integer":
		if n, ok := value.(float64); !ok || t.Kind == "integer" && n != math.Trunc(n) {
			return wrong
		}
	default:
		text, ok := value.(string)
		if !ok {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339, text); t.Kind == "time" && err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(t.Enum) > 0 && !slices.ContainsFunc(t.Enum, func(e Value) bool { return e.Value == text }) {
			return fmt.Errorf("%s is %q, which is not among the documented values", path, text)
		}
	}
	return nil
}

func (v *Validator) checkObject(path string, o *Object, m map[string]any) error {
	known := make(map[string]bool)
	for i := range o.Fields {
		f := &o.Fields[i]
		known[f.Name] = true
		value, is := m[f.Name]
		switch {
		case is:
			v.seen[o.Name+"."+f.Name] = true
			if err := v.check(path+"."+f.Name, &f.Type, value); err != nil {
				return err
			}
		case !f.Optional:
			return fmt.Errorf("%s has no %s", path, f.Name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !known[key] {
			return fmt.Errorf("%s has %s, which is not documented", path, key)
		}
	}
	return nil
}
