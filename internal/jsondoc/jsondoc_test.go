package jsondoc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// color is an enumeration.
type color string

const (
	red  color = "red"  // as a tomato
	blue color = "blue" // as the sky
)

// fruit is a sample with a field of each kind.
//
//	Size = Parts + 1
type fruit struct {
	// Color is the color of the peel.
	Color color `json:"color"`
	// Size is how large it is.
	Size int `json:"size"`
	// Ripe is when it will be ripe. It is missing if that is not known.
	Ripe time.Time `json:"ripe,omitzero"`
	// Parts are its parts.
	Parts []part `json:"parts"`
	// Weights has grams by country.
	Weights map[string]float64 `json:"weights"`
	// Sweet is true if it is sweet.
	Sweet *bool `json:"sweet,omitempty"`
}

// part is a part.
type part struct {
	// Name is the name.
	Name string `json:"name"`
}

func described(t *testing.T, v any) []Object {
	t.Helper()
	objects, err := New("joolctl", "../..").Describe(v)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestMarkdown(t *testing.T) {
	want := strings.Join([]string{
		"## Fruit", "", "fruit is a sample with a field of each kind.", "", "\tsize = parts + 1", "", "| key | type | |", "|---|---|---|",
		"| `color` | string | `color` is the color of the peel. |",
		"| `size` | integer | `size` is how large it is. |",
		"| `ripe` | time, may be missing | `ripe` is when it will be ripe. It is missing if that is not known. |",
		"| `parts` | list of [Part](#part) | `parts` are its parts. |",
		"| `weights` | numbers by name | `weights` has grams by country. |",
		"| `sweet` | boolean, may be missing | `sweet` is true if it is sweet. |", "",
		"## Part", "", "part is a part.", "", "| key | type | |", "|---|---|---|", "| `name` | string | `name` is the name. |", "", "",
	}, "\n")
	objects := described(t, fruit{Color: red})
	if diff := cmp.Diff(want, Markdown(objects, 2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("| code | means |\n|---|---|\n| `red` | as a tomato |\n| `blue` | as the sky |\n", Values(objects[0].Fields[0].Type.Enum)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestSchema(t *testing.T) {
	got, err := json.Marshal(Schema("a fruit", described(t, fruit{Color: blue})))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"$defs":{"Part":{"description":"part is a part.","properties":{"name":{"description":"` + "`name`" + ` is the name.","type":"string"}},` +
		`"required":["name"],"type":"object"}},"$schema":"https://json-schema.org/draft/2020-12/schema"`
	for _, part := range []string{want, `"enum":["red","blue"]`, `"format":"date-time"`, `"items":{"$ref":"#/$defs/Part"}`,
		`"additionalProperties":{"type":"number"}`, `"required":["color","size","parts","weights"]`, `"title":"a fruit"`} {
		if !strings.Contains(string(got), part) {
			t.Errorf("no %s in:\n%s", part, got)
		}
	}
}

func TestValidator(t *testing.T) {
	const good = `{"color":"red","size":1,"parts":[{"name":"peel"}],"weights":{"de":1.5}}`
	for _, c := range []struct{ name, old, new, problem string }{
		{"good", "", "", ""},
		{"another color", `"red"`, `"mauve"`, `Fruit.color is "mauve", which is not among the documented values`},
		{"a color without a name", `"red"`, `7`, "Fruit.color is 7 (float64), want type string"},
		{"half a size", `"size":1`, `"size":1.5`, "Fruit.size is 1.5 (float64), want type integer"},
		{"no size", `"size":1,`, ``, "Fruit has no size"},
		{"another key", `"size":1`, `"size":1,"sour":true`, "Fruit has sour, which is not documented"},
		{"another key of a part", `"name":"peel"`, `"name":"peel","x":1`, "Fruit.parts[0] has x, which is not documented"},
		{"no list", `[{"name":"peel"}]`, `null`, "Fruit.parts is <nil> (<nil>), want type array"},
		{"a weight in words", `1.5`, `"much"`, "Fruit.weights.de is much (string), want type number"},
		{"no time", `"size":1`, `"size":1,"ripe":"soon"`, `Fruit.ripe: parsing time "soon"`},
		{"perhaps sweet", `"size":1`, `"size":1,"sweet":"perhaps"`, "Fruit.sweet is perhaps (string), want type boolean"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var value any
			if err := json.Unmarshal([]byte(strings.Replace(good, c.old, c.new, 1)), &value); err != nil {
				t.Fatal(err)
			}
			v := NewValidator(described(t, fruit{}))
			err := v.Validate(value)
			if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.HasPrefix(err.Error(), c.problem)) {
				t.Errorf("error %v, want %q", err, c.problem)
			}
			if diff := cmp.Diff([]string{"Fruit.ripe", "Fruit.sweet"}, v.Unseen()); c.problem == "" && diff != "" {
				t.Errorf("unseen (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUndescribed has types that have no description.
func TestUndescribed(t *testing.T) {
	type silent struct {
		Name string `json:"name"`
	}
	type untagged struct {
		Name string
	}
	type lasting struct {
		// Took is a time without a unit.
		Took time.Duration `json:"took"`
	}
	for _, c := range []struct {
		of      any
		problem string
	}{{silent{}, "silent.Name has no comment"}, {untagged{}, "untagged.Name has no JSON name"}, {lasting{}, "a Go duration has no unit in JSON"}} {
		if _, err := New("joolctl", "../..").Describe(c.of); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%T: %v, want %q", c.of, err, c.problem)
		}
	}
}
