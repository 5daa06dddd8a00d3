package configdir

import (
	"encoding/json"
	"slices"
)

// schemaKey is the key with the URL of the file's JSON Schema, for editors. joolctl ignores it.
const schemaKey = "$schema"

// Schemas returns the JSON Schemas of both files by the names "netsocket" and "modsocket". Each file that
// joolctl accepts without a warning conforms to its schema. A file that conforms may still be invalid, because a
// schema does not know which names and addresses are valid.
func Schemas() map[string]any {
	all := make(map[string]any)
	for _, of := range kinds {
		all[of.String()] = of.schema()
	}
	return all
}

func (k kind) schema() map[string]any {
	object := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": k.fileName() + " of joolctl and of Jool's joold",
		"type": "object", "additionalProperties": false,
	}
	properties := map[string]any{schemaKey: map[string]any{"type": "string", "description": "the JSON Schema of this file; joolctl ignores it"}}
	for i := range keys {
		if keys[i].of != k {
			continue
		}
		properties[keys[i].name] = keys[i].schema()
	}
	if object["properties"] = properties; k == netsocket {
		object["anyOf"] = []any{ // the mandatory keys with a group, and by unicast
			map[string]any{"required": []string{groupKey, groupPortKey}}, map[string]any{"required": []string{peersKey, portKey}},
		}
	}
	return object
}

func (k *key) schema() map[string]any {
	s := map[string]any{"description": k.meaning, "examples": []json.RawMessage{json.RawMessage(k.example)}, "type": k.form.types}
	if len(k.form.types) == 1 {
		s["type"] = k.form.types[0]
	}
	if slices.Contains(k.form.types, "integer") {
		s["minimum"], s["maximum"] = k.form.low, k.form.high
	}
	if k.form.most > 0 {
		s["items"], s["minItems"], s["maxItems"] = map[string]any{"type": "string"}, 1, k.form.most
	}
	if k.form.longest > 0 {
		s["minLength"], s["maxLength"] = 1, k.form.longest
	}
	if k.form.enum != nil {
		s["enum"] = k.form.enum
	}
	if k.preset != "" {
		s["default"] = json.RawMessage(k.preset)
	}
	return s
}
