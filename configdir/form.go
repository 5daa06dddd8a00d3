package configdir

import "fmt"

// form is which JSON values a key takes. It decides the column "type" of the documentation and the JSON Schema; the key's set function
// checks a value more closely.
type form struct {
	// docs is the documentation's name for it.
	docs string
	// types are the types of JSON Schema.
	types []string
	// low and high bound a number.
	low, high int
	// longest bounds a string, in bytes; 0: nothing does.
	longest int
	// most bounds the number of strings of an array.
	most int
	// enum are the strings that are allowed; nil: all.
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
