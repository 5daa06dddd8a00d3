package configdir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// decode reads one file's text into a spec: all that is wrong with it goes
// into the report, the values' places into places.
func decode(r *report, of kind, spec *Spec, places places) {
	d := decoding{report: r, of: of, spec: spec, places: places,
		first: make(map[string]int), values: make(map[string]int)}
	// Repeated names and bad UTF-8 are told by decode itself, which can go on
	// behind them.
	d.json = jsontext.NewDecoder(bytes.NewReader(r.data),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.object() {
		if of == netsocket {
			d.together()
		}
		d.missing()
	}
}

// decoding is the work on one file.
type decoding struct {
	*report
	of     kind
	spec   *Spec
	places places
	json   *jsontext.Decoder
	// first has the offset of each key that was met, values that of its last value.
	first, values map[string]int
}

// met is true if the file has a key.
func (d *decoding) met(name string) bool {
	_, ok := d.first[name]
	return ok
}

// object reads the file's one object. It is true if the object came to its
// end, so that a key that was not met is not there.
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

// notObject reports a file that is something else. A syntax error comes first,
// because the rest would mislead.
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

// member reads a key and its value; false if the text can't be read on.
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

// key reports what is wrong with a key's name.
func (d *decoding) key(start, end int, name string, err error) {
	if err != nil {
		at := max(0, invalidUTF8(d.data[start:end]))
		d.add(start+at, name, "the key is not valid UTF-8; write it in plain letters", false)
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

// value checks a known key's value and notes where it stands.
func (d *decoding) value(k *key, start int, raw []byte) {
	d.places[k.keyID], d.values[k.name] = positionOf(d.data, start), start
	if c := k.set(d.spec, value{raw}); c != nil {
		d.add(start+c.offset, k.name, c.message(k), c.advice)
	}
}

// missing reports the keys that are mandatory or advised, and not there.
func (d *decoding) missing() {
	for i := range keys {
		k := &keys[i]
		if _, ok := d.first[k.name]; ok || k.of != d.of {
			continue
		}
		if k.mandatory {
			if !d.excused(k) {
				d.add(0, k.name, fmt.Sprintf("missing; write %q: %s", k.name, k.example), false)
			}
		} else if k.missing != nil {
			if c := k.missing(d.spec); c != nil {
				d.add(0, k.name, c.message(k), c.advice)
			}
		}
	}
}

// syntax reports an error of the decoder, which is the end of the work on the
// file: hence always false. behindKey is where the key ended whose value could
// not be read; 0: it was no value.
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
	// Of "ttl": 01 the 0 was taken for a value: what was said of it is moot.
	at := positionOf(d.data, offset)
	d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool {
		return p.Line == at.line && p.Column == at.column
	})
	d.add(offset, "", message, false)
	return false
}

// remove takes back what was said of a key's value, because there is something worse to say.
func (d *decoding) remove(name string) {
	d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool { return p.Key == name })
}
