package configdir

import "fmt"

// form describes the JSON values that a key accepts. It determines the column "type" of the documentation and
// the JSON Schema. The key's set function checks values more closely.
type form struct {
	// docs is the name of the form in the documentation.
	docs string
	// types are the JSON Schema types.
	types []string
	// low and high are the bounds of a number.
	low, high int
	// longest is the greatest length of a string in bytes; 0: no limit.
	longest int
	// most is the greatest number of strings in an array.
	most int
	// enum are the allowed strings; nil: all.
	enum []string
}

var (
	text    = form{docs: "string", types: []string{"string"}}
	port    = form{docs: "string or number", types: []string{"string", "integer"}, low: 1, high: 65535}
	boolean = form{docs: "true or false", types: []string{"boolean"}}
)

func number(low, high int) form {
	return form{docs: fmt.Sprintf("%d to %d", low, high), types: []string{"integer"}, low: low, high: high}
}
