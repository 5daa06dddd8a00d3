package jsondoc

// Schema returns the JSON Schema of the first of some Objects, as it is encoded to JSON. The others are its definitions.
func Schema(title string, objects []Object) map[string]any {
	definitions := make(map[string]any)
	for _, o := range objects[1:] {
		definitions[o.Name] = o.schema()
	}
	s := objects[0].schema()
	s["$schema"], s["title"], s["$defs"] = "https://json-schema.org/draft/2020-12/schema", title, definitions
	return s
}

func (o *Object) schema() map[string]any {
	properties, required := make(map[string]any), []string{}
	for _, f := range o.Fields {
		p := f.Type.schema()
		p["description"] = f.Text
		properties[f.Name] = p
		if !f.Optional {
			required = append(required, f.Name)
		}
	}
	return map[string]any{"type": "object", "description": oneLine(o.Text), "properties": properties, "required": required}
}

func (t *Type) schema() map[string]any {
	switch t.Kind {
	case "any":
		return map[string]any{}
	case "time":
		return map[string]any{"type": "string", "format": "date-time"}
	case "array":
		return map[string]any{"type": "array", "items": t.Elem.schema()}
	case "map":
		return map[string]any{"type": "object", "additionalProperties": t.Elem.schema()}
	case "object":
		return map[string]any{"$ref": "#/$defs/" + t.Object}
	}
	s := map[string]any{"type": t.Kind}
	if len(t.Enum) > 0 {
		values := make([]string, len(t.Enum))
		for i, v := range t.Enum {
			values[i] = v.Value
		}
		s["enum"] = values
	}
	return s
}
