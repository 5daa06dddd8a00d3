package configdir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// decode parses the text of one file into a spec. It adds all problems to the report, and the places of all
// values to places.
func decode(r *report, of kind, spec *Spec, places places) {
	d := decoding{report: r, of: of, spec: spec, places: places,
		first: make(map[string]int), values: make(map[string]int)}
	// decode itself reports repeated names and invalid UTF-8, so that it can continue after them.
	d.json = jsontext.NewDecoder(bytes.NewReader(r.data),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.object() {
		if of == netsocket {
			d.together()
		}
		d.missing()
	}
}

// decoding is the state of decode for one file.
type decoding struct {
	*report
	of     kind
	spec   *Spec
	places places
	json   *jsontext.Decoder
	// first has the offset of the first occurrence of each key, values that of its last value.
	first, values map[string]int
}

// met reports whether the file has a key.
func (d *decoding) met(name string) bool {
	_, ok := d.first[name]
	return ok
}

// object parses the file's single object. It returns true if it reached the object's end, so that keys that it
// did not find are missing.
func (d *decoding) object() bool {
	if kind := d.json.PeekKind(); kind != '{' {
		return d.notObject(kind)
	}
	if _, err := d.json.ReadToken(); err != nil {
		return d.syntax(err, 0)
	}
	for d.json.PeekKind() != '}' {
		if !d.member() || d.full() {
			return false
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return d.syntax(err, 0)
	}
	rest := bytes.TrimLeft(d.data[d.json.InputOffset():], blanks)
	if len(rest) > 0 {
		d.add(len(d.data)-len(rest), "", "something follows the closing brace; remove it", false)
	}
	return true
}

// notObject reports a file that is not an object. It reports a syntax error first, because other messages would
// mislead.
func (d *decoding) notObject(kind jsontext.Kind) bool {
	if kind == 0 {
		_, err := d.json.ReadToken()
		return d.syntax(err, 0)
	}
	start := len(d.data) - len(bytes.TrimLeft(d.data, blanks))
	raw, err := d.json.ReadValue()
	if err != nil {
		return d.syntax(err, 0)
	}
	c := value{raw}.wrongType("an object")
	d.add(start, "", c.what+"; write an object, as in "+d.of.example(), false)
	return false
}

// member parses a key and its value. It returns false if the decoder cannot continue.
func (d *decoding) member() bool {
	raw, err := d.json.ReadValue()
	if err != nil {
		return d.syntax(err, 0)
	}
	end := int(d.json.InputOffset())
	start := end - len(raw)
	name, err := jsontext.AppendUnquote(nil, raw)
	d.key(start, end, string(name), err)

	raw, err = d.json.ReadValue()
	if err != nil {
		return d.syntax(err, end)
	}
	if k := find(string(name), d.of); k != nil {
		d.value(k, int(d.json.InputOffset())-len(raw), raw)
	}
	return true
}

// key reports problems of a key's name.
func (d *decoding) key(start, end int, name string, err error) {
	if err != nil {
		at := max(0, invalidUTF8(d.data[start:end]))
		d.add(start+at, name, "the key is not valid UTF-8; write it in plain letters", false)
		return
	}
	if name == schemaKey {
		return
	}
	if find(name, d.of) == nil {
		d.add(start, name, unknownKey(name, d.of), false)
		return
	}
	first, again := d.first[name]
	if again {
		line := positionOf(d.data, first).line
		d.add(start, name, fmt.Sprintf("repeated, first given in line %d; keep one of them", line), false)
		return
	}
	d.first[name] = start
}

// value checks the value of a known key and records its place.
func (d *decoding) value(k *key, start int, raw []byte) {
	d.places[k.keyID], d.values[k.name] = place{positionOf(d.data, start), string(raw)}, start
	if c := k.set(d.spec, value{raw}); c != nil {
		d.add(start+c.offset, k.name, c.message(k), c.advice)
	}
}

// missing reports the mandatory and the advised keys that the file does not have.
func (d *decoding) missing() {
	for i := range keys {
		k := &keys[i]
		if d.met(k.name) || k.of != d.of || d.excused(k) {
			continue
		}
		if k.mandatory {
			d.add(0, k.name, fmt.Sprintf("missing; write %q: %s", k.name, k.example), false)
		} else if k.missing != nil {
			c := k.missing(d.spec)
			d.add(0, k.name, c.message(k), c.advice)
		}
	}
}

// syntax reports an error of the decoder. Decoding ends with it, so it always returns false. behindKey is the
// offset behind the key whose value is invalid; 0: the error is not in a value.
func (d *decoding) syntax(err error, behindKey int) bool {
	offset := int(d.json.InputOffset())
	var syntactic *jsontext.SyntacticError
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		offset = len(d.data)
	case errors.As(err, &syntactic):
		offset = int(syntactic.ByteOffset)
	}
	offset, message := syntaxMessage(d.data, offset, behindKey, d.of)
	// In "ttl": 01, the decoder has accepted 0 as a value. The syntax error replaces a problem at the same
	// place.
	at := positionOf(d.data, offset)
	d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool {
		return p.Line == at.line && p.Column == at.column
	})
	d.add(offset, "", message, false)
	return false
}

// remove removes the problems of a key's value, because a worse problem replaces them.
func (d *decoding) remove(name string) {
	d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool { return p.Key == name })
}
