package configdir

import (
	"encoding/json"
	"slices"
	"testing"

	"joolctl/internal/golden"
)

// TestSchemas compares the schemas with the published ones, and their bounds with the values that the keys
// accept: a value at a bound is valid, and the next one beyond it is an error.
func TestSchemas(t *testing.T) {
	for name, schema := range Schemas() {
		b, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.File(t, "../docs/schema/"+name+".schema.json", string(b)+"\n")
	}
	for _, k := range keys {
		takes := func(v any) bool {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			c := k.set(new(Spec), value{b})
			return c == nil || c.advice
		}
		f := k.form
		if len(f.types) == 0 || f.docs == "" {
			t.Errorf("%s has no form", k.name)
		}
		for kind, v := range map[string]any{"integer": max(f.low, 1), "boolean": true} {
			if takes(v) != slices.Contains(f.types, kind) {
				t.Errorf("%s: %v is taken: %v", k.name, v, takes(v))
			}
		}
		if slices.Contains(f.types, "integer") {
			for v, good := range map[int]bool{f.low: true, f.high: true, f.low - 1: false, f.high + 1: false} {
				if takes(v) != good {
					t.Errorf("%s: %d is taken: %v", k.name, v, !good)
				}
			}
		}
		for _, v := range f.enum {
			if !takes(v) {
				t.Errorf("%s does not take %q", k.name, v)
			}
		}
	}
}

// TestSchemaKey checks that both files may name their schemas.
func TestSchemaKey(t *testing.T) {
	for _, of := range kinds {
		text := `{"$schema": "https://example.net/x.json", ` + of.example()[1:]
		if _, problems := read(of, text); len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
		}
	}
}
